//! `kdump-loader generate-completions`: what shells complete, from the definitions that clap parses by. Packagers run it once.

use std::fs;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Error, write_file};
use crate::cli::{Cli, GenerateCompletions};

/// Each shell, and the name under which it looks for the completions of `kdump-loader` in its own directory: bash-completion below
/// `bash-completion/completions/`, zsh below `site-functions/`, fish below `vendor_completions.d/`.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "bash/kdump-loader"), (Shell::Zsh, "zsh/_kdump-loader"), (Shell::Fish, "fish/kdump-loader.fish")];

/// Writes one file per shell, each in a directory of its own.
pub fn run(arguments: &GenerateCompletions) -> Result<(), Error> {
    let program = without_hidden(&Cli::command());
    for (shell, file) in SHELLS {
        let path = arguments.dir.join(file);
        let directory = path.parent().expect("every shell has a directory");
        fs::create_dir_all(directory).map_err(|source| Error::Output { path: directory.to_owned(), source })?;
        let text = if shell == Shell::Bash { bash(&program) } else { text(shell, &program, program.get_name()) };
        write_file(&path, text.as_bytes())?;
    }
    Ok(())
}

/// The same command, without what no user types. clap_complete offers hidden commands as well.
fn without_hidden(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned())
        .args(command.get_arguments())
        .subcommands(command.get_subcommands().filter(|below| !below.is_hide_set()).map(without_hidden))
        .disable_help_flag(command.is_disable_help_flag_set());
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown
}

/// Completions for bash. clap_complete 4.6 spells the states of a program differently where it enters and where it handles them if the name
/// has a hyphen (clap-rs/clap#6421). So it sees the name without one, and only the lines that register the function get the real name.
fn bash(program: &Command) -> String {
    let name = program.get_name();
    let plain = name.replace('-', "_");
    let text = text(Shell::Bash, program, &plain);
    let registers = format!(" {plain}");
    let lines = text.lines().map(|line| match line.strip_suffix(&registers) {
        Some(rest) if rest.trim_start().starts_with("complete ") => format!("{rest} {name}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn text(shell: Shell, program: &Command, name: &str) -> String {
    let mut bytes = Vec::new();
    generate(shell, &mut program.clone(), name, &mut bytes);
    String::from_utf8(bytes).expect("what clap prints is text")
}

//! Completions for bash, zsh and fish, from the definitions by which the loader parses its
//! arguments.

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;
use clap::Command;
use clap_complete::{Shell, generate};

/// Each shell, and its file. The names are those that the shells look for: bash-completion in
/// `bash-completion/completions/`, zsh in `site-functions/`, fish in `vendor_completions.d/`.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash/kdump-loader"),
    (Shell::Zsh, "zsh/_kdump-loader"),
    (Shell::Fish, "fish/kdump-loader.fish"),
];

/// Writes one file per shell below `directory`, and removes what was there before.
pub fn write(sh: &xshell::Shell, directory: &Path) -> Result<()> {
    sh.remove_path(directory)?;
    let program = visible(&kdump_loader::command());
    for (shell, file) in SHELLS {
        let text = if shell == Shell::Bash {
            bash(&program)?
        } else {
            text(shell, &program, program.get_name())?
        };
        sh.write_file(directory.join(file), text)?;
    }
    Ok(())
}

/// The command without hidden options, which clap_complete 4.6 would offer. Only what completions
/// are made from is kept.
fn visible(command: &Command) -> Command {
    let mut visible = Command::new(command.get_name().to_owned())
        .disable_help_flag(command.is_disable_help_flag_set())
        .args(command.get_arguments().filter(|option| !option.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().map(self::visible));
    if let Some(about) = command.get_about() {
        visible = visible.about(about.clone());
    }
    match command.get_version() {
        Some(version) => visible.version(version.to_owned()),
        None => visible,
    }
}

/// Completions for bash. If a program's name has a hyphen, clap_complete 4.6 spells the states that
/// it enters differently from those that it handles (clap-rs/clap#6421). So it gets a name without
/// one, and only the lines that register the function get the real name.
fn bash(program: &Command) -> Result<String> {
    let name = program.get_name();
    let plain = name.replace('-', "_");
    let text = text(Shell::Bash, program, &plain)?;
    let registers = format!(" {plain}");
    let lines = text.lines().map(|line| match line.strip_suffix(&registers) {
        Some(rest) if rest.trim_start().starts_with("complete ") => format!("{rest} {name}\n"),
        _ => format!("{line}\n"),
    });
    Ok(lines.collect())
}

fn text(shell: Shell, program: &Command, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    generate(shell, &mut program.clone(), name, &mut bytes);
    Ok(String::from_utf8(bytes)?)
}

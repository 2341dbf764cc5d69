//! `kdump-loader generate-man`: the man pages, from the text of `--help`. Used once, by whoever packages the program.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Error;
use crate::cli::{Cli, GenerateMan};

/// System administration.
const SECTION: &str = "8";

/// clap's own subcommand, where it adds one.
const HELP: &str = "help";

/// Writes kdump-loader.8, and one page per subcommand.
pub fn run(arguments: &GenerateMan) -> Result<(), Error> {
    let directory = &arguments.dir;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Output { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let source = program.render_version();
    let mut pages = Vec::new();
    collect(&program, program.get_name().to_owned(), &mut pages);
    for (page, command) in pages {
        let path = directory.join(format!("{page}.{SECTION}"));
        let mut text = Vec::new();
        let man = Man::new(command.display_name(page)).section(SECTION).source(source.trim_end());
        man.render(&mut text).and_then(|()| fs::write(&path, text)).map_err(failed(&path))?;
    }
    Ok(())
}

/// The page of a command and those of all commands below it, by name.
fn collect(command: &Command, page: String, pages: &mut Vec<(String, Command)>) {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != HELP) {
        collect(below, format!("{page}-{}", below.get_name()), pages);
    }
    pages.push((page, command.clone()));
}

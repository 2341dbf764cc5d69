//! `kdump-loader`: what was typed → what was meant → done.

mod cli;
mod commands;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::commands::{Error, in_full};

/// It could not be done. (2, misuse, is clap's.)
const COULD_NOT: u8 = 1;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::say(format_args!("{}", in_full(&error)));
            ExitCode::from(COULD_NOT)
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Load(arguments) => commands::load::run(&arguments),
        Command::Unload => commands::unload::run(),
        Command::Status(arguments) => commands::status::run(&arguments),
        Command::Plan(arguments) => commands::plan::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Snapshot(arguments) => commands::snapshot::run(&arguments),
        Command::GenerateMan(arguments) => commands::generate_man::run(&arguments),
    }
}

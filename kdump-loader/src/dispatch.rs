//! `kdump-loader`: parses the command line and runs one command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::commands::{self, Error};
use crate::hint;
use crate::kexec;
use crate::messages::report;

/// Exit status of a failure. (clap exits with 2 after a usage error.)
const FAILURE: u8 = 1;

/// Runs the command line and returns the exit status.
pub fn main() -> ExitCode {
    if let Some(arguments) = for_kexec(env::args_os()) {
        return commands::kexec::run(arguments);
    }
    match run(Cli::parse().command) {
        Ok(status) => status,
        Err(error) => {
            report(&error);
            hint::print(&error);
            ExitCode::from(FAILURE)
        }
    }
}

/// The arguments for the kexec front end, if this program was called under the name `kexec` or with
/// the subcommand `kexec`. clap does not see them, because kexec-tools has its own option syntax.
fn for_kexec(mut words: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let name = words.next()?;
    if Path::new(&name).file_name() == Some(OsStr::new(kexec::NAME)) || words.next()? == kexec::NAME
    {
        return Some(words.collect());
    }
    None
}

fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Load(arguments) => commands::load::run(&arguments)?,
        Command::Unload(arguments) => commands::unload::run(&arguments)?,
        Command::Reload(arguments) => commands::reload::run(&arguments)?,
        Command::Status(arguments) => return commands::status::run(&arguments),
        Command::Last(arguments) => return commands::last::run(&arguments),
        Command::Watch(arguments) => commands::watch::run(&arguments)?,
        Command::Plan(arguments) => commands::plan::run(&arguments)?,
        Command::Estimate(arguments) => commands::estimate::run(&arguments)?,
        Command::Test(arguments) => return commands::test::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments)?,
        Command::Snapshot(arguments) => commands::snapshot::run(&arguments)?,
        Command::Kexec(_) => unreachable!("`for_kexec` has taken it"),
        Command::Service(what) => commands::service::run(&what)?,
    }
    Ok(ExitCode::SUCCESS)
}

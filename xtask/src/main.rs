//! `cargo xtask`: every chore of this repository, one command each.

mod command; // how other programs are run
mod repository; // paths in this repository
mod setup; // fetch what is missing
mod build; // the purgatory, and the loader with the purgatory inside
mod audit; // what the built purgatory must satisfy
mod package; // .deb and .rpm
mod run; // real kernels, real panics
mod gate; // everything that a change must pass

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xshell::Shell;

use gate::{fuzz, lint, miri};
use repository::Repository;
use run::{fixture, linux_tree, peers, qemu};

/// Set up, build, audit and test kdump-purgatory
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Build(build::Args),
    Package(package::Args),
    Audit(audit::Args),
    Qemu(qemu::Args),
    Peers(peers::Args),
    LinuxTree(linux_tree::Args),
    Fuzz(fuzz::Args),
    Fixture(fixture::Args),
    Miri(miri::Args),
    Lint(lint::Args),
    Test(gate::Args),
    Ci(gate::Ci),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes says what failed. A backtrace would add nothing, so
            // RUST_BACKTRACE has no effect here.
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  cause: {cause}"));
            if error.is::<qemu::CannotTell>() {
                ExitCode::from(qemu::CANNOT_TELL)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(command: Command) -> Result<()> {
    let sh = Shell::new()?;
    let repo = Repository::find()?;
    sh.change_dir(&repo.root);
    match command {
        Command::Setup(args) => args.run(&sh, &repo),
        Command::Build(args) => args.run(&sh, &repo),
        Command::Package(args) => args.run(&sh, &repo),
        Command::Audit(args) => args.run(&sh, &repo),
        Command::Qemu(args) => args.run(&sh, &repo),
        Command::Peers(args) => args.run(&sh, &repo),
        Command::LinuxTree(args) => args.run(&sh, &repo),
        Command::Fuzz(args) => args.run(&sh, &repo),
        Command::Fixture(args) => args.run(&sh, &repo),
        Command::Miri(args) => args.run(&sh, &repo),
        Command::Lint(args) => args.run(&sh, &repo),
        Command::Test(args) => args.run(&sh, &repo),
        Command::Ci(args) => args.run(&sh, &repo),
    }
}

//! `cargo xtask`: everything that is done to this repository, one file per command.

mod command; // running other programs
mod repository; // where things lie
mod setup; // bring what is missing
mod build; // the purgatory, and the loader with it inside
mod package; // what Debian installs
mod audit; // what must hold of the purgatory
mod qemu; // real kernels, real panics
mod peers; // the purgatories of others
mod fuzz; // inputs that nobody has thought of
mod fixture; // what a real kernel has written
mod miri; // tests of what is pure, interpreted
mod coverage; // how much of it tests run
mod bench; // how fast it is, beside others
mod storm; // memory that comes block after block, and who keeps the image true
mod panics; // the worst moments to panic
mod lint; // formatting and clippy
mod test; // all of it

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xshell::Shell;

use repository::Repository;

/// Set up, build, audit and prove kdump-purgatory
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
    Fuzz(fuzz::Args),
    Fixture(fixture::Args),
    Miri(miri::Args),
    Coverage(coverage::Args),
    Bench(bench::Args),
    Storm(storm::Args),
    Panics(panics::Args),
    Lint(lint::Args),
    Test(test::Args),
    Ci(test::Ci),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Outermost first. No backtrace, whatever RUST_BACKTRACE says: the chain says where, and these are not bugs.
            eprintln!("cargo xtask: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  because: {cause}"));
            if error.is::<qemu::CannotTell>() { ExitCode::from(qemu::CANNOT_TELL) } else { ExitCode::FAILURE }
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
        Command::Fuzz(args) => args.run(&sh, &repo),
        Command::Fixture(args) => args.run(&sh, &repo),
        Command::Miri(args) => args.run(&sh, &repo),
        Command::Coverage(args) => args.run(&sh, &repo),
        Command::Bench(args) => args.run(&sh, &repo),
        Command::Storm(args) => args.run(&sh, &repo),
        Command::Panics(args) => args.run(&sh, &repo),
        Command::Lint(args) => args.run(&sh, &repo),
        Command::Test(args) => args.run(&sh, &repo),
        Command::Ci(args) => args.run(&sh, &repo),
    }
}

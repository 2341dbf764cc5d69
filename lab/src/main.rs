//! `cargo lab`: series and measurements that take longer than the gate may.
//!
//! ```text
//! bench/      how long each purgatory takes to verify one image, by the code of the built binaries
//! storm/      memory comes block after block: which way keeps the crash image up to date
//! panics.rs   panics at drawn moments while memory and CPUs come and go; the cause of each miss
//! survival.rs the black box outlives resets: how often the next boot finds it
//! capture.rs  what the /init of `load --capture` saves, on every kind of machine
//! savers.rs   the same beside Debian's kdump-tools
//! long_life   many reloads in a row, and many devices that come and go
//! pages/      pages and pictures, checked in a browser
//! load_native what arming costs beside kexec-tools, on the bare CPU
//! free_pages/ free pages, pages, size and time of our dumps beside makedumpfile's
//! targets.rs  what `load --capture` is to reach: the three of them in one table
//! open_dump   crash and drgn open the dump of a machine that crashed after hotplug
//! makedumpfile  the one of Debian unstable, for free_pages and open_dump
//! plots/      the pictures in docs/, drawn from the records beside them
//! ```
//!
//! `cargo xtask test` runs `cargo lab check`, a part of `bench` and `load_native`.

mod bench;
mod capture;
mod free_pages;
mod load_native;
mod long_life;
mod machine;
mod makedumpfile;
mod open_dump;
mod pages;
mod panics;
mod plots;
mod range;
mod record;
mod repository;
mod savers;
mod storm;
mod survival;
mod targets;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use repository::Repository;

/// Run series and measurements of kdump-purgatory
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Storm(storm::Args),
    Panics(panics::Args),
    Survival(survival::Args),
    Capture(capture::Args),
    Savers(savers::Args),
    LongLife(long_life::Args),
    Bench(bench::Args),
    LoadNative(load_native::Args),
    FreePages(free_pages::Args),
    Targets(targets::Args),
    OpenDump(open_dump::Args),
    Pages(pages::Args),
    Plots(plots::Args),
    Check(bench::Check),
    #[command(hide = true)]
    Call(load_native::call::Call),
    #[command(hide = true)]
    Contestant(bench::Contestant),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("  because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let repo = Repository::find()?;
    match command {
        Command::Storm(args) => args.run(&repo),
        Command::Panics(args) => args.run(&repo),
        Command::Survival(args) => args.run(&repo),
        Command::Capture(args) => args.run(&repo),
        Command::Savers(args) => args.run(&repo),
        Command::LongLife(args) => args.run(&repo),
        Command::Bench(args) => args.run(&repo),
        Command::LoadNative(args) => args.run(&repo),
        Command::FreePages(args) => args.run(&repo),
        Command::Targets(args) => args.run(&repo),
        Command::OpenDump(args) => args.run(&repo),
        Command::Pages(args) => args.run(&repo),
        Command::Plots(args) => args.run(&repo),
        Command::Check(args) => args.run(&repo),
        Command::Call(call) => call.run(),
        Command::Contestant(args) => args.run(&repo),
    }
}

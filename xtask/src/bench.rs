//! `cargo xtask bench`: our purgatory beside the others', by running the code of the built binaries.
//!
//! On entry: nothing; what is missing is brought and built. On exit: a table on stdout, and with `--write` the same as JSON and as a picture
//! under `docs/bench/`, with the machine and the versions they are of. A flipped bit was shown to every contestant that verifies, and none
//! of them took it. Ratios come first: every figure is from this run, on this machine, contestants taking turns.

mod contestants; // who, and how each is started
mod images; // what they verify
mod measure; // turns, medians
mod table; // ratios and targets
mod plot; // a picture of both
mod instructions; // how many instructions ours takes, which no busy machine changes
pub mod machine; // whose figures these are
pub mod drop_ins; // ours in the places of the peers', run as the peers are

use anyhow::{Context, Result};
use xshell::Shell;

use crate::build::{self, hosted};
use crate::repository::Repository;

pub use instructions::gate;

/// Measure our purgatory beside kexec-tools', the kernel's, a library and memory itself
#[derive(clap::Args)]
pub struct Args {
    /// Turns that each contestant has with each image
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(7..))]
    turns: u32,
    /// Leave out the sweep to 4 GiB, which takes some ten minutes and 10 GiB of memory
    #[arg(long)]
    no_sweep: bool,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Write docs/bench/verify.json and verify.svg
    #[arg(long)]
    write: bool,
    /// Count instructions instead, and compare with docs/bench/instructions.json; with --write, replace it
    #[arg(long, conflicts_with_all = ["json", "no_sweep"])]
    instructions: bool,
}

impl Args {
    /// Measures, prints, and fails if somebody took a flipped bit.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        build::purgatory(sh, repo)?;
        contestant_program(sh, repo)?;
        if self.instructions {
            return instructions::run(repo, self.write);
        }
        let contestants = contestants::all(sh, repo)?;
        let images = images::all(repo, !self.no_sweep)?;
        for contestant in &contestants {
            contestants::refuses_a_flipped_bit(repo, contestant)?;
        }
        let results = measure::measure(repo, &contestants, &images, self.turns)?;
        let report = table::Report::new(machine::describe(sh)?, results);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print!("{report}");
        }
        if self.write {
            let directory = repo.root.join("docs/bench");
            std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
            let write = |name: &str, text: String| {
                let path = directory.join(name);
                std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
            };
            write("verify.json", serde_json::to_string_pretty(&report)? + "\n")?;
            write("verify.txt", report.to_string())?;
            write("verify.svg", plot::svg(&report)?)?;
        }
        Ok(())
    }
}

/// Builds the program that is each contestant.
fn contestant_program(sh: &Shell, repo: &Repository) -> Result<()> {
    hosted::program(sh, repo, "bench", "bench").map(drop)
}

/// Where it lies.
fn program(repo: &Repository) -> std::path::PathBuf {
    hosted::place(repo, "bench")
}

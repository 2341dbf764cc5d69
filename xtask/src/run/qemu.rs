//! `cargo xtask qemu`: real kernels, real panics, as scenarios.
//!
//! On exit: for each scenario its timeline, or what went otherwise than it must.

mod bare; // cases of the fault matrix, on our own kernel

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use qemu_runner::page::{self, Section};
use qemu_runner::{Context, Scenario, scenarios};
use xshell::Shell;

use crate::build;
use crate::repository::Repository;
use crate::setup;

/// The whole story: armed, memory and a CPU added, panicked, captured.
const DEFAULT: &str = "hotplug";

/// Panic a real kernel in QEMU and show what its capture kernel finds
///
/// Brings and builds what is needed first. Every run ends in a timeline of what happened and when; its console logs stay under
/// target/qemu/SCENARIO/.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    harness: Option<Harness>,
    /// Which scenarios, in this order
    #[arg(default_value = DEFAULT)]
    scenario: Vec<String>,
    /// List the scenarios and what each shows
    #[arg(long)]
    list: bool,
    /// Kernel of scenarios that do not ask for a certain one
    #[arg(long, value_name = "SERIES", value_parser = ["6.1", "6.12", "7"])]
    kernel: Option<String>,
    /// Keep the guests' memory and initial RAM disks too
    #[arg(long)]
    keep: bool,
    /// Write what came out as a page that stands alone: timeline, memory before and after, verdict, vmcore, crash region
    #[arg(long, value_name = "FILE.html", conflicts_with = "list")]
    report: Option<PathBuf>,
}

/// Where the kernel is not a distribution's.
#[derive(clap::Subcommand)]
enum Harness {
    Bare(bare::Args),
}

impl Args {
    /// Runs them all, and fails if one does.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        if let Some(Harness::Bare(bare)) = &self.harness {
            return bare.run(sh, repo);
        }
        if self.list {
            let width = scenarios().iter().map(|s| s.name.len()).max().unwrap_or(0);
            scenarios().iter().for_each(|s| println!("{:width$}  {}", s.name, s.summary));
            return Ok(());
        }
        // Names first: a typing error should not cost a build.
        let wanted = self.scenario.iter().map(|name| by_name(name)).collect::<Result<Vec<_>>>()?;
        if let Some(report) = &self.report {
            // So that nobody learns after minutes that it cannot be written. An earlier page stays until there is another.
            let opened = OpenOptions::new().create(true).append(true).open(report);
            opened.with_context(|| format!("cannot write {}", report.display()))?;
        }
        prepare(sh, repo, wanted.iter().any(|scenario| scenario.needs_debian_disk()))?;
        let context = Context::from_repo(&repo.root, self.kernel.as_deref(), self.keep)?;
        let (mut failed, mut sections) = (Vec::new(), Vec::new());
        for scenario in wanted {
            let result = match scenario.missing(&context) {
                Some(reason) => Err(format!("{}: cannot be run here: {reason}", scenario.name)),
                None => scenario.run(&context).map_err(|error| error.chain()),
            };
            match &result {
                Ok(outcome) => println!("{outcome}"),
                Err(why) => {
                    eprintln!("{why}");
                    failed.push(scenario.name);
                }
            }
            sections.push(Section::new(scenario, result));
        }
        if let Some(report) = &self.report {
            std::fs::write(report, page::html(&sections)).with_context(|| format!("cannot write {}", report.display()))?;
            println!("all of it as a page: {}", report.display());
        }
        if !failed.is_empty() {
            bail!("{} of {} scenarios failed: {}", failed.len(), self.scenario.len(), failed.join(", "));
        }
        Ok(())
    }
}

/// Brings and builds everything that scenarios need, with the disk that only some of them do.
pub fn prepare(sh: &Shell, repo: &Repository, debian_disk: bool) -> Result<()> {
    // Before downloads, since no download can make up for it.
    setup::linker(sh)?;
    setup::guests(sh, repo, debian_disk)?;
    build::build(sh, repo)?;
    build::hosted::guest_programs(sh, repo)
}

/// The scenario of this name.
pub fn by_name(name: &str) -> Result<&'static Scenario> {
    scenarios().iter().find(|s| s.name == name).with_context(|| {
        let names: Vec<&str> = scenarios().iter().map(|s| s.name).collect();
        format!("there is no scenario {name}; there are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use qemu_runner::bare::debugger::PORT;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(["qemu"].into_iter().chain(words.split_whitespace())).map(|line| line.args)
    }

    #[test]
    fn bare_is_the_first_word_and_has_options_of_its_own() {
        Line::command().debug_assert();
        assert!(parsed("bare").unwrap().harness.is_some());
        assert!(parsed("bare sound --gdb").unwrap().harness.is_some());
        assert!(matches!(parsed("bare --gdb=4321").unwrap().harness, Some(Harness::Bare(bare)) if bare.gdb == Some(4321)));
        assert!(matches!(parsed("bare --gdb").unwrap().harness, Some(Harness::Bare(bare)) if bare.gdb == Some(PORT)));
        assert!(parsed("bare --all").unwrap().harness.is_some());
        for mistaken in [
            "--list --report page.html",
            "hotplug --report",
            "bare --all sound",
            "bare --all --gdb",
            "bare --kernel 7",
            "--gdb",
            "bare --gdb=70000",
        ] {
            assert!(parsed(mistaken).is_err(), "{mistaken}");
        }
        let scenarios = parsed("capture hotplug --keep").unwrap();
        assert!(scenarios.harness.is_none() && scenarios.keep);
        assert_eq!(scenarios.scenario, ["capture", "hotplug"]);
    }

    #[test]
    fn the_default_scenario_exists() {
        by_name(DEFAULT).unwrap();
    }

    #[test]
    fn an_unknown_scenario_is_answered_with_the_known_ones() {
        let error = by_name("hotplugg").map(|s| s.name).unwrap_err().to_string();
        assert!(error.contains("hotplugg") && error.contains(DEFAULT), "{error}");
    }
}

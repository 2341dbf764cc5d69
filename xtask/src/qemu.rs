//! `cargo xtask qemu`: real kernels, real panics, as scenarios.
//!
//! On exit: for each scenario its timeline, or what went otherwise than it must.

pub mod bare; // the fault matrix, on a kernel of our own

use anyhow::{Context as _, Result, bail};
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
pub struct Args {
    /// Which scenarios, in this order; `bare` and then names, or beginnings of names, for cases of the bare-metal fault matrix
    #[arg(default_value = DEFAULT)]
    scenario: Vec<String>,
    /// List the scenarios and what each shows
    #[arg(long)]
    list: bool,
    /// Write the table of bare-metal cases into tests/README.md
    #[arg(long)]
    write_table: bool,
    /// Kernel of scenarios that do not ask for a certain one
    #[arg(long, value_name = "SERIES", value_parser = ["6.1", "6.12", "7"])]
    kernel: Option<String>,
    /// Keep the guests' memory and initial RAM disks too
    #[arg(long)]
    keep: bool,
}

impl Args {
    /// Runs them all, and fails if one does.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        if let Some((_, cases)) = self.scenario.split_first().filter(|(first, _)| *first == bare::NAME && !self.write_table) {
            if self.list {
                bare::list();
                return Ok(());
            }
            return bare::run(sh, repo, cases, self.keep);
        }
        if self.write_table {
            return bare::write_table(repo);
        }
        if self.list {
            let width = scenarios().iter().map(|s| s.name.len()).max().unwrap_or(0);
            scenarios().iter().for_each(|s| println!("{:width$}  {}", s.name, s.summary));
            return Ok(());
        }
        // Names first: a typing error should not cost a build.
        let wanted = self.scenario.iter().map(|name| by_name(name)).collect::<Result<Vec<_>>>()?;
        prepare(sh, repo)?;
        let context = Context::from_repo(&repo.root, self.kernel.as_deref(), self.keep)?;
        let mut failed = Vec::new();
        for scenario in wanted {
            if let Some(reason) = scenario.missing(&context) {
                eprintln!("{}: cannot be run here: {reason}", scenario.name);
                failed.push(scenario.name);
                continue;
            }
            match scenario.run(&context) {
                Ok(outcome) => println!("{outcome}"),
                Err(error) => {
                    eprintln!("{}", error.chain());
                    failed.push(scenario.name);
                }
            }
        }
        if !failed.is_empty() {
            bail!("{} of {} scenarios failed: {}", failed.len(), self.scenario.len(), failed.join(", "));
        }
        Ok(())
    }
}

/// Brings and builds everything that a scenario needs.
pub fn prepare(sh: &Shell, repo: &Repository) -> Result<()> {
    // Before downloads, since no download can make up for it.
    setup::linker(sh)?;
    setup::guests(sh, repo)?;
    build::build(sh, repo)?;
    build::sentinel(sh, repo)
}

fn by_name(name: &str) -> Result<&'static Scenario> {
    scenarios().iter().find(|s| s.name == name).with_context(|| {
        let names: Vec<&str> = scenarios().iter().map(|s| s.name).collect();
        format!("there is no scenario {name}; there are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! `cargo xtask test`: everything that can be shown, shown.
//!
//! On exit: all tests of the workspace, twenty seconds of each fuzz target, the pure parts under Miri, all bare-metal cases and all scenarios have run, whatever
//! the first ones said, and none has failed. Each runner's own closing lines are on stdout as it printed them; a summary follows.

mod summary; // the last lines

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::audit;
use crate::build;
use crate::command;
use crate::fuzz;
use crate::lint;
use crate::miri;
use crate::qemu;
use crate::repository::Repository;
use summary::{Summary, tally};

/// Set up, build, audit, then run every test, every case and every scenario
///
/// With CI set in the environment, `cargo xtask lint` comes first. Only scenarios on the newest kernel series may be ignored, where
/// the archive does not have it; any other missing part is a failure.
#[derive(clap::Args)]
pub struct Args {
    /// Only names that contain this
    filter: Option<String>,
}

impl Args {
    /// Runs them all, and fails if one does.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        if std::env::var_os("CI").is_some() {
            lint::Args {}.run(sh, repo)?;
        }
        self.without_lint(sh, repo)
    }

    fn without_lint(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        qemu::prepare(sh, repo)?;
        build::bare::build(sh, repo)?;
        let measured = audit::audit(repo)?;
        let purgatory = repo.purgatory_elf();
        let filter = &self.filter;
        let host = cmd!(sh, "cargo test --workspace --exclude tests --no-fail-fast -- {filter...}");
        // The workspace again, so that nothing is built anew with fewer features; without colour, because the summary is read from
        // what this prints.
        let scenarios = cmd!(sh, "cargo test --workspace --test scenarios -- --color=never {filter...}");
        let cases = cmd!(sh, "cargo test --workspace --test bare -- --color=never {filter...}");
        let [host, cases, scenarios] = [host, cases, scenarios].map(|tests| tests.env("KDUMP_PURGATORY_ELF", &purgatory));
        // All, so that one run tells everything that is wrong.
        let host = command::show(host);
        // A filter names tests, and targets are none.
        let fuzzed = if filter.is_none() { fuzz::briefly(sh, repo) } else { Ok(Vec::new()) };
        let interpreted = if filter.is_none() { miri::interpret(sh, repo).map(Some) } else { Ok(None) };
        let (said_of_cases, cases) = command::show_and_read(cases, std::io::stdout().lock())?;
        let (said, scenarios) = command::show_and_read(scenarios, std::io::stdout().lock())?;
        let mut failures: Vec<String> =
            [host, cases, scenarios].into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
        let fuzzed = fuzzed.unwrap_or_else(|error| {
            failures.push(format!("fuzz: {error:#}"));
            Vec::new()
        });
        let interpreted = interpreted.unwrap_or_else(|error| {
            failures.push(format!("miri: {error:#}"));
            None
        });
        let outcome = |scenario: &str| std::fs::read_to_string(repo.outcome(scenario)).ok();
        let summary = Summary::new(&said, &measured, outcome);
        let matrix = tally(&said_of_cases);
        if (summary.passed == 0 || matrix.passed.is_empty()) && filter.is_none() {
            failures.push("not one scenario was fulfilled, or not one case: nothing is proven".into());
        }
        fuzzed.iter().for_each(|line| println!("{line}"));
        interpreted.iter().for_each(|outcome| println!("{outcome}"));
        print!("{matrix}{summary}");
        if !failures.is_empty() {
            bail!("{}", failures.join("\n"));
        }
        Ok(())
    }
}

/// Lint, then test: what CI runs
#[derive(clap::Args)]
pub struct Ci {}

impl Ci {
    /// Runs both.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        lint::Args {}.run(sh, repo)?;
        Args { filter: None }.without_lint(sh, repo)
    }
}

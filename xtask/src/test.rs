//! `cargo xtask test`: everything that can be shown, shown.
//!
//! On exit: all tests of the workspace, pages and pictures in a browser, twenty seconds of each fuzz target, the pure parts under Miri,
//! the peers' purgatories, all bare-metal cases and all scenarios have run, whatever the first ones said, and none has failed; what could
//! not be run is named as skipped, with the reason. Each runner's own closing lines are on stdout as it printed them; a summary follows.

mod summary; // the last lines

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::audit;
use crate::bench;
use crate::build;
use crate::command;
use crate::fuzz;
use crate::lint;
use crate::miri;
use crate::peers;
use crate::qemu;
use crate::repository::Repository;
use crate::setup;
use summary::{Summary, tally};

/// Set up, build, audit, then run every test, fuzz target, bare-metal case and scenario, and Miri
///
/// With CI set in the environment, `cargo xtask lint` comes first. What cannot be run here is skipped and named with the reason:
/// fuzzing without a C++ compiler, Miri without its toolchain, pages without a browser, scenarios on the newest kernel series where the archive has none.
/// Any other missing part is a failure.
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
        qemu::prepare(sh, repo, true)?;
        setup::browser(sh, repo)?;
        build::bare::build(sh, repo)?;
        let measured = audit::audit(sh, repo)?;
        let purgatory = repo.purgatory_elf();
        let filter = &self.filter;
        let host = cmd!(sh, "cargo test --workspace --exclude tests --no-fail-fast -- {filter...}");
        // The workspace again, so that nothing is built anew with fewer features; without colour, because the summary is read from
        // what this prints.
        let scenarios = cmd!(sh, "cargo test --workspace --test scenarios -- --color=never {filter...}");
        let cases = cmd!(sh, "cargo test --workspace --test bare -- --color=never {filter...}");
        let pages = cmd!(sh, "cargo test --workspace --test page -- --color=never {filter...}");
        let [host, cases, scenarios] = [host, cases, scenarios].map(|tests| tests.env("KDUMP_PURGATORY_ELF", &purgatory));
        // All, so that one run tells everything that is wrong.
        let host = command::show(host);
        let pages = command::show(pages);
        // A filter names tests, and targets are none.
        let fuzzed = if filter.is_none() { fuzz::briefly(sh, repo) } else { Ok(Vec::new()) };
        let interpreted = if filter.is_none() { miri::interpret(sh, repo).map(Some) } else { Ok(None) };
        let (said_of_cases, cases) = command::show_and_read(cases, std::io::stdout().lock())?;
        let (said, scenarios) = command::show_and_read(scenarios, std::io::stdout().lock())?;
        let mut failures: Vec<String> =
            [host, pages, cases, scenarios].into_iter().filter_map(Result::err).map(|e| e.to_string()).collect();
        let fuzzed = fuzzed.unwrap_or_else(|error| {
            failures.push(format!("fuzz: {error:#}"));
            Vec::new()
        });
        let interpreted = interpreted.unwrap_or_else(|error| {
            failures.push(format!("miri: {error:#}"));
            None
        });
        let bound = peers::prove(sh, repo).unwrap_or_else(|error| {
            failures.push(format!("peers: {error:#}"));
            Vec::new()
        });
        let ours = bench::drop_ins::prove(sh, repo).unwrap_or_else(|error| {
            failures.push(format!("drop-ins: {error:#}"));
            Vec::new()
        });
        let reproduced = audit::reproducible::prove(sh, repo, audit::reproducible::What::Purgatories);
        let reproduced = reproduced.unwrap_or_else(|error| {
            failures.push(format!("reproducible: {error:#}"));
            "reproducible: no".into()
        });
        let outcome = |scenario: &str| std::fs::read_to_string(repo.outcome(scenario)).ok();
        let counted = if filter.is_none() { bench::gate(sh, repo) } else { Ok(Vec::new()) };
        let counted = counted.unwrap_or_else(|error| {
            failures.push(format!("instructions: {error:#}"));
            Vec::new()
        });
        let summary = Summary::new(&said, &measured, outcome);
        let matrix = tally(&said_of_cases);
        if (summary.passed == 0 || matrix.passed.is_empty()) && filter.is_none() {
            failures.push("not one scenario was fulfilled, or not one case: nothing is proven".into());
        }
        counted.iter().chain(&fuzzed).for_each(|line| println!("{line}"));
        interpreted.iter().for_each(|outcome| println!("{outcome}"));
        ours.iter().for_each(|line| println!("{line}"));
        println!("{reproduced}");
        bound.iter().for_each(|(peer, said)| println!("peers: {}: {said}", peer.name));
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

//! `cargo xtask test`: everything that can be shown, shown.
//!
//! On exit: all tests of the workspace, pages and pictures in a browser, ten seconds of each fuzz target, the pure parts under Miri, the
//! peers' purgatories, all bare-metal cases and all scenarios have run, and what is handed out has been built a second time, whatever the
//! first ones said, and none has failed; what could not be run is named as skipped, with the reason. Each runner's own closing lines are
//! on stdout as it printed them; a summary follows.

pub mod lint; // formatting, clippy, rustdoc
pub mod fuzz; // every parser against arbitrary input
pub mod miri; // the pure parts, interpreted
mod phases; // how long it took
mod summary; // the last lines

use anyhow::{Result, anyhow, bail};
use xshell::{Shell, cmd};

use crate::audit;
use crate::bench;
use crate::build;
use crate::command;
use crate::repository::Repository;
use crate::run::peers;
use crate::setup;
use phases::Phases;
use summary::{Summary, tally};

/// Set up, build, audit, then run every test, fuzz target, bare-metal case and scenario, and Miri
///
/// With CI set in the environment, `cargo xtask lint` runs beside the building. What cannot be run here is skipped and named with the reason:
/// fuzzing without a C++ compiler, Miri without its toolchain, pages without a browser, scenarios on the newest kernel series where the
/// archive has none. Any other missing part is a failure.
#[derive(clap::Args)]
pub struct Args {
    /// Only names that contain this
    filter: Option<String>,
}

impl Args {
    /// Runs them all, and fails if one does.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        self.run_all(sh, repo, std::env::var_os("CI").is_some())
    }

    fn run_all(&self, sh: &Shell, repo: &Repository, linted: bool) -> Result<()> {
        let mut phases = Phases::default();
        if linted {
            phases.time("lint, downloads and build", || lint_while_building(sh, repo))?;
        } else {
            phases.time("set-up and build", || bring_and_build(sh, repo))?;
        }
        let measured = phases.time("audit", || audit::audit(sh, repo))?;
        let purgatory = repo.purgatory_elf();
        let filter = &self.filter;
        let host = cmd!(sh, "cargo test --locked --workspace --exclude tests --no-fail-fast -- {filter...}");
        // The workspace again, so that nothing is built anew with fewer features; without colour, because the summary is read from
        // what this prints.
        let scenarios = cmd!(sh, "cargo test --locked --workspace --test scenarios -- --color=never {filter...}");
        let cases = cmd!(sh, "cargo test --locked --workspace --test bare -- --color=never {filter...}");
        let pages = cmd!(sh, "cargo test --locked --workspace --test page -- --color=never {filter...}");
        let [host, cases, scenarios, pages] =
            [host, cases, scenarios, pages].map(|tests| tests.env("KDUMP_PURGATORY_ELF", &purgatory));
        // All, so that one run tells everything that is wrong.
        let host = phases.time("host tests", || command::show(host));
        let pages = phases.time("pages", || command::show(pages));
        // A filter names tests, and neither targets nor Miri's parts are any.
        let whole = filter.is_none();
        let fuzzed = phases.time("fuzz", || if whole { fuzz::briefly(sh, repo) } else { Ok(Vec::new()) });
        let interpret = |sh: &Shell| if whole { miri::interpret(sh, repo).map(Some) } else { Ok(None) };
        let build_again = || audit::reproducible::prove(sh, repo, audit::reproducible::What::All);
        let (interpreted, reproduced) = phases.time("miri beside second build", || side_by_side(repo, interpret, build_again));
        let (said_of_cases, cases) =
            phases.time("bare-metal cases", || command::show_and_read(cases, std::io::stdout().lock()))?;
        let (said, scenarios) = phases.time("scenarios", || command::show_and_read(scenarios, std::io::stdout().lock()))?;
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
        let bound = phases.time("peers", || peers::prove(sh, repo)).unwrap_or_else(|error| {
            failures.push(format!("peers: {error:#}"));
            Vec::new()
        });
        let ours = phases.time("drop-ins", || bench::drop_ins::prove(sh, repo)).unwrap_or_else(|error| {
            failures.push(format!("drop-ins: {error:#}"));
            Vec::new()
        });
        let reproduced = reproduced.unwrap_or_else(|error| {
            failures.push(format!("reproducible: {error:#}"));
            "reproducible: no".into()
        });
        let outcome = |scenario: &str| std::fs::read_to_string(repo.outcome(scenario)).ok();
        let counted = phases.time("instructions", || if whole { bench::gate(sh, repo) } else { Ok(Vec::new()) });
        let counted = counted.unwrap_or_else(|error| {
            failures.push(format!("instructions: {error:#}"));
            Vec::new()
        });
        let summary = Summary::new(&said, &measured, outcome);
        let matrix = tally(&said_of_cases);
        if (summary.passed == 0 || matrix.passed.is_empty()) && whole {
            failures.push("not one scenario was fulfilled, or not one case: nothing is proven".into());
        }
        counted.iter().chain(&fuzzed).for_each(|line| println!("{line}"));
        interpreted.iter().for_each(|outcome| println!("{outcome}"));
        ours.iter().for_each(|line| println!("{line}"));
        println!("{reproduced}");
        bound.iter().for_each(|(peer, said)| println!("peers: {}: {said}", peer.name));
        println!("{phases}");
        print!("{matrix}{summary}");
        if !failures.is_empty() {
            bail!("{}", failures.join("\n"));
        }
        Ok(())
    }
}

/// Brings and builds all that tests need, side by side: downloads and the making of a disk leave one processor idle.
fn bring_and_build(sh: &Shell, repo: &Repository) -> Result<()> {
    // What building asks for must be there before, so that nothing is brought twice at a time.
    setup::linker(sh)?;
    setup::rust_src(sh, repo)?;
    setup::llvm_tools(sh, repo)?;
    let bring = |sh: &Shell| {
        setup::guests(sh, repo, true)?;
        setup::browser(sh, repo)
    };
    let build = || {
        build::build(sh, repo)?;
        build::hosted::guest_programs(sh, repo)?;
        build::bare::build(sh, repo)
    };
    let (brought, built) = side_by_side(repo, bring, build);
    brought.and(built)
}

/// Lints meanwhile: compilers that look at one crate after the other, and the network, leave one processor idle for a good part of their time.
fn lint_while_building(sh: &Shell, repo: &Repository) -> Result<()> {
    // As for building; linting asks for the same.
    setup::linker(sh)?;
    setup::rust_src(sh, repo)?;
    setup::llvm_tools(sh, repo)?;
    let bring_and_build = |sh: &Shell| {
        bring_and_build(sh, repo)?;
        // Where it cannot be had, its own phase says so.
        let _ = miri::bring(sh, repo);
        Ok(())
    };
    let (built, linted) = side_by_side(repo, bring_and_build, || lint::Args {}.run(sh, repo));
    linted.and(built)
}

/// Does one on a thread of its own, with a shell of its own, and the other on this one.
fn side_by_side<T: Send, U>(
    repo: &Repository,
    aside: impl FnOnce(&Shell) -> Result<T> + Send,
    here: impl FnOnce() -> U,
) -> (Result<T>, U) {
    std::thread::scope(|scope| {
        let aside = scope.spawn(|| {
            let sh = Shell::new()?;
            sh.change_dir(&repo.root);
            aside(&sh)
        });
        let here = here();
        (aside.join().unwrap_or_else(|_| Err(anyhow!("what was done beside other things has panicked"))), here)
    })
}

/// Lint, then test: what CI runs
#[derive(clap::Args)]
pub struct Ci {}

impl Ci {
    /// Runs both.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        Args { filter: None }.run_all(sh, repo, true)
    }
}

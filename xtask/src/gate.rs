//! `cargo xtask test`: the gate, everything that a change must pass.
//!
//! * On exit: set-up, build and audit succeeded; and every further part has run, whatever the
//!   earlier ones found. What cannot run on this machine is skipped, with the reason. The closing
//!   lines of each test runner are on stdout as printed. A summary and a table of durations follow.

pub mod lint; // formatting, clippy, rustdoc, packaging, licenses
pub mod fuzz; // every parser against arbitrary input
pub mod miri; // the pure parts, interpreted
mod report; // durations and failures
mod summary; // results and figures of cases and scenarios

use std::io::stdout;

use anyhow::{Result, anyhow};
use xshell::{Cmd, Shell, cmd};

use crate::audit;
use crate::audit::reproducible::{self, What};
use crate::build;
use crate::command;
use crate::package;
use crate::repository::Repository;
use crate::run::peers;
use crate::setup;
use report::{Report, Timed, timed};
use summary::Results;

/// Set up, build and audit, then run every test, fuzz target, bare-metal case and scenario, and
/// Miri
///
/// With CI set in the environment, `cargo xtask lint` runs at the same time as the build. Parts
/// that this machine cannot run are skipped, with the reason: fuzzing without a C++ compiler, Miri
/// without its toolchain, scenarios on the newest kernel series if the archive has none. Any other
/// missing part is a failure.
#[derive(clap::Args)]
pub struct Args {
    /// Run only tests whose names contain this
    filter: Option<String>,
}

/// Lint, then test: what CI runs
#[derive(clap::Args)]
pub struct Ci {}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        self.run_all(sh, repo, std::env::var_os("CI").is_some())
    }

    fn run_all(&self, sh: &Shell, repo: &Repository, linted: bool) -> Result<()> {
        let mut report = Report::start();
        build(sh, repo, linted, &mut report);
        let loaded = report.run("audit", || audit::audit(sh, repo));
        report.conclude()?;

        let filter = &self.filter;
        // A filter names tests. Fuzz targets, Miri's parts and builds are none.
        let whole = filter.is_none();
        // `--workspace`, here and below: with fewer packages cargo would unify features differently
        // and compile the same crates again.
        let host = cmd!(
            sh,
            "cargo test --locked --workspace --exclude tests --no-fail-fast -- {filter...}"
        );
        let host = host.env("KDUMP_PURGATORY_ELF", repo.purgatory_elf());
        let host_tests = || timed(|| command::show(host));
        let mut lines = Vec::new();
        if whole {
            // Half of the time, the host tests leave a processor idle.
            let (fuzzed, tested) = side_by_side(repo, |sh| fuzz::briefly(sh, repo), host_tests);
            report.add("host tests", tested);
            lines.extend(report.add("+ fuzz", fuzzed).unwrap_or_default());
            let again = || {
                timed(|| {
                    package::build(sh, repo)?;
                    reproducible::prove(sh, repo, What::Purgatories)
                })
            };
            let (interpreted, again) =
                side_by_side(repo, |sh| miri::interpret_if_fetched(sh, repo), again);
            lines.extend(report.add("Miri", interpreted).unwrap_or_default());
            lines.extend(report.add("+ second build", again));
        } else {
            report.add("host tests", host_tests());
        }
        let cases = results_of(&mut report, "bare-metal cases", harness(sh, repo, "bare", filter));
        let scenarios =
            results_of(&mut report, "scenarios", harness(sh, repo, "scenarios", filter));
        if whole && (cases.passed.is_empty() || scenarios.passed.is_empty()) {
            report.fail("no case or no scenario has passed: nothing is proven".into());
        }
        let peers = report.run("peers", || peers::prove(sh, repo)).unwrap_or_default();
        lines.extend(
            peers.into_iter().map(|(peer, proof)| format!("peers: {}: {proof}", peer.name)),
        );

        lines.iter().for_each(|line| println!("{line}"));
        let outcome = |scenario: &str| std::fs::read_to_string(repo.outcome(scenario)).ok();
        print!("{}{}", summary::of_cases(&cases), summary::of_scenarios(&scenarios, outcome));
        loaded.iter().for_each(|loaded| println!("{loaded}"));
        print!("\n{report}(+: at the same time as the part before)\n");
        report.conclude()
    }
}

impl Ci {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        Args { filter: None }.run_all(sh, repo, true)
    }
}

/// The tests of package `tests` whose target is `name`, without colors, because their output is
/// read.
pub fn harness<'a>(
    sh: &'a Shell,
    repo: &Repository,
    name: &str,
    filter: &Option<String>,
) -> Cmd<'a> {
    let tests =
        cmd!(sh, "cargo test --locked --workspace --test {name} -- --color=never {filter...}");
    tests.env("KDUMP_PURGATORY_ELF", repo.purgatory_elf())
}

/// Runs a test runner with its output shown, and reads its results.
fn results_of(report: &mut Report, part: &'static str, runner: Cmd<'_>) -> Results {
    let mut output = String::new();
    report.run(part, || {
        let (said, success) = command::show_and_read(runner, stdout().lock())?;
        output = said;
        success
    });
    Results::read(&output)
}

/// Fetches and builds everything that tests need, and lints meanwhile if that is wanted: downloads,
/// and compilers that are busy with one crate, leave a processor idle.
fn build(sh: &Shell, repo: &Repository, linted: bool, report: &mut Report) {
    // Every build needs these. Fetched first, they are not fetched twice at the same time.
    let tools = timed(|| {
        setup::linker(sh)?;
        setup::rust_src(sh, repo)
    });
    if report.add("tools", tools).is_none() {
        return;
    }
    let lint = || linted.then(|| timed(|| lint::Args {}.run(sh, repo)));
    let (built, linted) = side_by_side(repo, |sh| fetch_and_build(sh, repo), lint);
    report.add("set-up and build", built);
    if let Some(linted) = linted {
        report.add("+ lint", linted);
    }
}

fn fetch_and_build(sh: &Shell, repo: &Repository) -> Result<()> {
    let fetch = |sh: &Shell| {
        setup::guests(sh, repo, setup::Large { kernels: true, debian_disk: true })?;
        // If the toolchain cannot be fetched, Miri's own part says so.
        let _ = miri::fetch(sh, repo);
        Ok(())
    };
    let build = || {
        build::build(sh, repo)?;
        build::hosted::guest_programs(sh, repo)?;
        build::bare::build(sh, repo)
    };
    let (fetched, built) = side_by_side(repo, fetch, build);
    fetched.1.and(built)
}

/// Runs `aside` on another thread with its own shell, and `here` on this one.
fn side_by_side<T: Send, U>(
    repo: &Repository,
    aside: impl FnOnce(&Shell) -> Result<T> + Send,
    here: impl FnOnce() -> U,
) -> (Timed<T>, U) {
    std::thread::scope(|scope| {
        let aside = scope.spawn(|| {
            timed(|| {
                let sh = Shell::new()?;
                sh.change_dir(&repo.root);
                aside(&sh)
            })
        });
        let here = here();
        (aside.join().unwrap_or_else(|_| timed(|| Err(anyhow!("it panicked")))), here)
    })
}

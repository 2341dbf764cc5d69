//! `cargo xtask miri`: the pure parts, interpreted. Miri finds undefined behavior that does no harm
//! yet.
//!
//! * On entry: rustup; and a network, unless an earlier run fetched the toolchain. Miri is part of
//!   nightly toolchains only.
//! * On exit: no test showed undefined behavior; or Miri's report; or why nothing was interpreted.
//!   The toolchain and everything built with it are under `target/`.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// One fixed nightly, because Miri's options and checks change from one to the next.
const TOOLCHAIN: &str = "nightly-2026-05-20";
/// The interpreter, and the source of the standard library, which Miri also interprets.
const COMPONENTS: &str = "miri,rust-src";
/// The instructions of the engine `sha-ni`. Miri has no CPUID, but interprets them if the code is
/// compiled for them.
const FLAGS: &str = "-Ctarget-feature=+sha,+ssse3,+sse4.1";
/// rustup's directory for this one toolchain, and the standard library built for Miri, relative to
/// the repository's root.
const HOME: &str = "target/rustup";
const SYSROOT: &str = "target/miri-sysroot";

/// Tests to interpret.
struct Part {
    package: &'static str,
    targets: &'static [&'static str],
    /// Arguments of the test runner.
    filters: &'static [&'static str],
}

/// What runs without an operating system.
const PARTS: [Part; 4] = [
    Part { package: "kdump-handoff", targets: &["--lib"], filters: &[] },
    // Without NIST's vectors: Miri takes a second for twenty blocks.
    Part { package: "leaf-digest", targets: &["--lib", "--test", "vectors"], filters: &[] },
    // In two processes, because Miri interprets one test at a time.
    Part { package: "purgatory", targets: &["--lib"], filters: &[RECEIVED] },
    Part { package: "purgatory", targets: &["--lib"], filters: &["--skip", RECEIVED] },
];
const RECEIVED: &str = "received::";

/// Run the tests of the contract, the digest and the purgatory's pure parts under Miri
///
/// Fetches a nightly toolchain into target/ if it is missing. Tests too slow for Miri count as
/// ignored.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Fails if Miri cannot be fetched.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        fetch(sh, repo)?;
        interpret(sh, repo)?.iter().for_each(|line| println!("{line}"));
        Ok(())
    }
}

/// Fetches the toolchain if it is missing.
pub fn fetch(sh: &Shell, repo: &Repository) -> Result<()> {
    if command::read(cargo(sh, repo, "--version")).is_err() {
        eprintln!("miri: missing, asking rustup for {TOOLCHAIN}");
        let options = ["--no-self-update", "--profile", "minimal", "--component", COMPONENTS];
        let install = cmd!(sh, "rustup toolchain install {TOOLCHAIN} {options...}");
        command::read(install.env("RUSTUP_HOME", repo.root.join(HOME)).env("RUST_BACKTRACE", "0"))?;
    }
    command::read(cargo(sh, repo, "setup")).map(drop)
}

/// Interprets every part, for the gate. Returns a line per part, or a line that says why Miri
/// cannot be fetched here.
pub fn interpret_if_fetched(sh: &Shell, repo: &Repository) -> Result<Vec<String>> {
    match fetch(sh, repo) {
        Ok(()) => interpret(sh, repo),
        Err(error) => Ok(vec![format!("miri: skipped: {TOOLCHAIN} cannot be fetched: {error:#}")]),
    }
}

/// Interprets every part, and returns a line about each; fails if a test does.
fn interpret(sh: &Shell, repo: &Repository) -> Result<Vec<String>> {
    // At the same time: cargo's lock makes the builds take turns, but the tests run in parallel.
    let outputs = std::thread::scope(|scope| {
        let running = PARTS.map(|part| {
            let mut test = Command::from(test(sh, repo, &part));
            (part.package, scope.spawn(move || test.output()))
        });
        running.map(|(package, running)| (package, running.join().expect("waiting does not panic")))
    });
    let lines = outputs.map(|(package, output)| {
        judge(package, &output.with_context(|| format!("cannot start Miri for {package}"))?)
    });
    lines.into_iter().collect()
}

/// Shows the output of a package's tests, and their stderr if they failed.
fn judge(package: &str, output: &Output) -> Result<String> {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    print!("{stdout}");
    if !output.status.success() {
        eprint!("{stderr}");
        bail!("miri: tests of {package} failed ({})", output.status);
    }
    // `test result: ok. 14 passed; 0 failed; 2 ignored; …`, once per target.
    let results = stdout.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    let passed = results.filter_map(|line| line.split_once(" passed")?.0.parse::<usize>().ok());
    let passed: usize = passed.sum();
    ensure!(passed > 0, "not one test of {package} was interpreted");
    Ok(format!("miri: {package}: {passed} tests passed"))
}

/// `cargo miri` of this toolchain, whatever the caller's is.
fn cargo<'a>(sh: &'a Shell, repo: &Repository, subcommand: &str) -> Cmd<'a> {
    let cargo = cmd!(sh, "rustup run {TOOLCHAIN} cargo miri {subcommand}");
    cargo
        .env("RUSTUP_HOME", repo.root.join(HOME))
        .env("MIRI_SYSROOT", repo.root.join(SYSROOT))
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("MIRIFLAGS")
        .env_remove("RUSTC_BOOTSTRAP")
}

fn test<'a>(sh: &'a Shell, repo: &Repository, part: &Part) -> Cmd<'a> {
    let Part { package, targets, filters } = *part;
    let options = ["--quiet", "--locked", "--package", package];
    cargo(sh, repo, "test").args(options).args(targets).arg("--").args(filters)
}

//! `cargo xtask miri`: the pure parts, interpreted. Miri finds undefined behavior that does no harm
//! yet.
//!
//! * On entry: rustup; and a network, unless an earlier run fetched the toolchain. Miri is part of
//!   nightly toolchains only.
//! * On exit: no test showed undefined behavior; or Miri's report; or why nothing was interpreted.
//!   The toolchain and everything built with it are under `target/`.

use std::fmt;
use std::path::PathBuf;
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
/// Lets tests use the machine's files and its clock.
const WITH_FILES: &str = "-Zmiri-disable-isolation";

/// Tests to interpret.
struct Part {
    package: &'static str,
    targets: &'static [&'static str],
    /// Arguments of the test runner.
    filters: &'static [&'static str],
    /// Whether the tests use the machine's files.
    files: bool,
}

const PARTS: [Part; 4] = [
    Part { package: "kdump-handoff", targets: &["--lib"], filters: &[], files: false },
    // Without NIST's vectors: Miri takes a second for twenty blocks.
    Part {
        package: "leaf-digest",
        targets: &["--lib", "--test", "vectors"],
        filters: &[],
        files: false,
    },
    Part { package: "purgatory", targets: &["--lib"], filters: &[], files: false },
    // The parsers that reinterpret bytes with the crate `object`, without tests that would take
    // longer than all others together.
    Part { package: "kdump-image", targets: &["--lib"], filters: &LOADER, files: true },
];
const LOADER: [&str; 13] = [
    "describe::elfcorehdr::tests",
    "kernel::bzimage::tests",
    "purgatory::parse::tests",
    "--skip=properties",
    "--skip=loads_are_exactly_the_ram",
    "--skip=more_program_headers_than_can_be_counted",
    "--skip=changed_header_is_read_consistently",
    "--skip=image_cut_anywhere",
    "--skip=flipped_bits_in_the_headers",
    "--skip=truncated_purgatory",
    "--skip=addresses_that_wrap_are_refused",
    "--skip=purgatory_of_another_layout",
    "--skip=foreign_elf_files",
];

/// Run the tests of the contract, the digest, the purgatory's pure parts and the loader's parsers
/// under Miri
///
/// Fetches a nightly toolchain into target/ if it is missing. Tests too slow for Miri count as
/// ignored.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Fails if Miri cannot be fetched.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        match interpret(sh, repo)? {
            Outcome::Skipped(reason) => bail!("{reason}"),
            passed => println!("{passed}"),
        }
        Ok(())
    }
}

/// The result, if no test failed.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// How many tests of each package passed and were ignored.
    Passed(Vec<(&'static str, Counts)>),
    /// Why Miri cannot be fetched here.
    Skipped(String),
}

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    passed: usize,
    ignored: usize,
}

/// Fetches the toolchain if it is missing.
pub fn fetch(sh: &Shell, repo: &Repository) -> Result<()> {
    Miri::new(sh, repo).fetch()
}

/// Interprets every part; fails if a test does.
pub fn interpret(sh: &Shell, repo: &Repository) -> Result<Outcome> {
    let miri = Miri::new(sh, repo);
    if let Err(error) = miri.fetch() {
        let reason = format!("{error:#}");
        let reason: Vec<&str> = reason.lines().map(str::trim).collect();
        return Ok(Outcome::Skipped(format!(
            "{TOOLCHAIN} cannot be fetched: {}",
            reason.join("; ")
        )));
    }
    // At the same time: cargo's lock makes the builds take turns, but the tests run in parallel.
    let outputs = std::thread::scope(|scope| {
        let running = PARTS.map(|part| {
            let mut test = Command::from(miri.test(&part));
            (part.package, scope.spawn(move || test.output()))
        });
        running.map(|(package, running)| (package, running.join().expect("waiting does not panic")))
    });
    let counts = outputs.map(|(package, output)| {
        let output = output.with_context(|| format!("cannot start Miri for {package}"))?;
        Ok((package, judge(package, &output)?))
    });
    Ok(Outcome::Passed(counts.into_iter().collect::<Result<_>>()?))
}

/// Shows the output of a package's tests, and their stderr if they failed.
fn judge(package: &str, output: &Output) -> Result<Counts> {
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    print!("{stdout}");
    if !output.status.success() {
        eprint!("{stderr}");
        bail!("miri: tests of {package} failed ({})", output.status);
    }
    let counts = Counts::read(&stdout)
        .with_context(|| format!("the tests of {package} printed no result"))?;
    ensure!(counts.passed > 0, "not one test of {package} was interpreted");
    Ok(counts)
}

struct Miri<'a> {
    sh: &'a Shell,
    /// rustup's directory, which holds this one toolchain.
    home: PathBuf,
    /// The standard library, built for Miri.
    sysroot: PathBuf,
}

impl<'a> Miri<'a> {
    fn new(sh: &'a Shell, repo: &Repository) -> Self {
        Self {
            sh,
            home: repo.root.join("target/rustup"),
            sysroot: repo.root.join("target/miri-sysroot"),
        }
    }

    fn fetch(&self) -> Result<()> {
        if command::read(self.cargo("--version")).is_err() {
            eprintln!("miri: missing, asking rustup for {TOOLCHAIN}");
            let install = cmd!(
                self.sh,
                "rustup toolchain install {TOOLCHAIN} --no-self-update --profile minimal --component {COMPONENTS}"
            );
            command::read(install.env("RUSTUP_HOME", &self.home).env("RUST_BACKTRACE", "0"))?;
        }
        command::read(self.cargo("setup")).map(drop)
    }

    /// `cargo miri` of this toolchain, whatever the caller's is.
    fn cargo(&self, subcommand: &str) -> Cmd<'a> {
        let cargo = cmd!(self.sh, "rustup run {TOOLCHAIN} cargo miri {subcommand}");
        let cargo = cargo
            .env("RUSTUP_HOME", &self.home)
            .env("MIRI_SYSROOT", &self.sysroot)
            .env("RUSTFLAGS", FLAGS);
        cargo
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("MIRIFLAGS")
            .env_remove("RUSTC_BOOTSTRAP")
    }

    fn test(&self, Part { package, targets, filters, files }: &Part) -> Cmd<'a> {
        let test = self
            .cargo("test")
            .args(["--quiet", "--locked", "--package", package])
            .args(*targets)
            .arg("--")
            .args(*filters);
        if *files { test.env("MIRIFLAGS", WITH_FILES) } else { test }
    }
}

impl Counts {
    /// The sum over libtest's result lines.
    fn read(output: &str) -> Option<Self> {
        let mut sum = Self::default();
        let mut lines =
            output.lines().filter_map(|line| line.strip_prefix("test result: ok. ")).peekable();
        lines.peek()?;
        for line in lines {
            let number = |what: &str| {
                line.split("; ")
                    .find_map(|part| part.strip_suffix(what)?.trim().parse::<usize>().ok())
            };
            sum.passed += number("passed")?;
            sum.ignored += number("ignored")?;
        }
        Some(sum)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(reason) => write!(out, "miri: skipped: {reason}"),
            Self::Passed(parts) => {
                let ignored: usize = parts.iter().map(|(_, counts)| counts.ignored).sum();
                let passed: usize = parts.iter().map(|(_, counts)| counts.passed).sum();
                let each: Vec<String> = parts
                    .iter()
                    .map(|(name, counts)| format!("{name} {}", counts.passed))
                    .collect();
                write!(out, "miri: {passed} tests passed ({}), {ignored} ignored", each.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed() {
        let line = "test result: ok. 14 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 2.40s";
        let counts = Counts::read(&format!("running 3 tests\n...\n{line}\n\n{line}\n")).unwrap();
        assert_eq!(counts, Counts { passed: 28, ignored: 4 });
        assert_eq!(Counts::read("running 3 tests\n"), None);
        assert_eq!(Counts::read("test result: FAILED. 1 passed; 1 failed; 0 ignored\n"), None);
    }

    #[test]
    fn outcome_is_one_line() {
        let counts = |passed, ignored| Counts { passed, ignored };
        let passed =
            Outcome::Passed(vec![("handoff", counts(14, 0)), ("purgatory", counts(31, 2))]);
        assert_eq!(
            passed.to_string(),
            "miri: 45 tests passed (handoff 14, purgatory 31), 2 ignored"
        );
        assert_eq!(Outcome::Skipped("no network".into()).to_string(), "miri: skipped: no network");
    }
}

//! `cargo xtask fuzz`: every parser against arbitrary input. fuzz/README.md says what each target
//! shows.
//!
//! * On entry: a C++ compiler, for libFuzzer.
//! * On exit: how much each target tried; or the input that one found, and how to try it again. The
//!   corpus stays under `target/fuzz/corpus/`, where the next run continues.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::build::FLAG_SEPARATOR;
use crate::command;
use crate::repository::Repository;

/// The flags that cargo-fuzz 0.13 sets without a sanitizer. cargo-fuzz itself would take a minute
/// to build. LLVM's documentation of SanitizerCoverage explains them: inline counters with the
/// table of their places, comparisons, stack depth, and branches as written. One codegen unit per
/// crate lets functions be inlined.
const COVERAGE: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];
/// How to install a C++ compiler on Debian.
const COMPILER_COMMAND: &str = "as root, run `apt-get install g++`";
/// Seconds per target without `--seconds` and `--runs`.
const DEFAULT_SECONDS: u64 = 10;
/// Seconds per target in the gate, whose corpus persists. Campaigns run longer (fuzz/README.md).
const GATE_SECONDS: u64 = 2;
/// Targets that run at the same time: one per CPU of the smallest machine that campaigns are for.
const AT_A_TIME: usize = 2;
/// The longest time for one input of a few kilobytes, in seconds: far more than a busy machine
/// needs.
const INPUT_SECONDS: u64 = 60;

/// Run every parser on arbitrary input
///
/// Builds the targets of fuzz/ with the pinned toolchain and without a sanitizer: the code under
/// test has no `unsafe`, and overflow checks are on. Each target starts from its seeds and from the
/// corpus of earlier runs.
#[derive(clap::Args)]
pub struct Args {
    /// Which targets [default: all]
    target: Vec<String>,
    /// List the targets
    #[arg(long)]
    list: bool,
    /// Stop each target after N seconds [default: 10, without --runs]
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Stop each target after N executions
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
}

impl Args {
    /// Fails if a target finds a failing input.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        let all = targets(repo)?;
        if self.list {
            all.iter().for_each(|name| println!("{name}"));
            return Ok(());
        }
        if let Some(unknown) = self.target.iter().find(|name| !all.contains(name)) {
            bail!("there is no target {unknown}; there are: {}", all.join(", "));
        }
        if let Some(reason) = missing_compiler(sh) {
            bail!("{reason}");
        }
        let wanted = if self.target.is_empty() { all } else { self.target.clone() };
        let seconds = self.seconds.or(self.runs.is_none().then_some(DEFAULT_SECONDS));
        build(sh, repo)?;
        run(repo, wanted, Limit { seconds, runs: self.runs }).map(drop)
    }
}

/// Runs every target on its seeds, whole and cut anywhere, then for [`GATE_SECONDS`] each. Returns
/// a line per target, or a line that says why nothing ran.
pub fn briefly(sh: &Shell, repo: &Repository) -> Result<Vec<String>> {
    if let Some(reason) = missing_compiler(sh) {
        return Ok(vec![format!("fuzz: skipped: {reason}")]);
    }
    command::show(cargo(sh, repo, "test"))?;
    build(sh, repo)?;
    run(repo, targets(repo)?, Limit { seconds: Some(GATE_SECONDS), runs: None })
}

/// Checks formatting of the targets, a workspace of their own; and runs clippy if libFuzzer can be
/// built.
pub fn lint(sh: &Shell, repo: &Repository) -> Result<()> {
    command::show(cmd!(sh, "cargo fmt --manifest-path fuzz/Cargo.toml --check"))?;
    if let Some(reason) = missing_compiler(sh) {
        eprintln!("skipped: clippy of fuzz/: {reason}");
        return Ok(());
    }
    command::show(cargo(sh, repo, "clippy").args(["--all-targets", "--", "--deny", "warnings"]))
}

/// Holds everything built, learned and found.
fn directory(repo: &Repository) -> PathBuf {
    repo.root.join("target/fuzz")
}

/// The targets' names, from their files.
fn targets(repo: &Repository) -> Result<Vec<String>> {
    let dir = repo.root.join("fuzz/targets");
    let listing = fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let files = listing.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let name = |file: &PathBuf| Some(file.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = files.iter().filter_map(name).collect();
    ensure!(!names.is_empty(), "there is no target in {}", dir.display());
    names.sort_unstable();
    Ok(names)
}

/// Why libFuzzer cannot be built here, or `None`.
fn missing_compiler(sh: &Shell) -> Option<String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    (!command::is_installed(sh, &compiler)).then(|| {
        format!("no C++ compiler for libFuzzer: `{compiler}` cannot be started; {COMPILER_COMMAND}")
    })
}

/// `cargo SUBCOMMAND` for the targets, always with the same flags, so that all share their builds.
fn cargo<'a>(sh: &'a Shell, repo: &Repository, subcommand: &str) -> Cmd<'a> {
    let (triple, target_dir) = (crate::build::LINUX_TARGET, directory(repo));
    // With --target, the flags do not reach build scripts.
    let options = ["--release", "--locked", "--manifest-path", "fuzz/Cargo.toml"];
    cmd!(sh, "cargo {subcommand} {options...} --target {triple} --target-dir {target_dir}")
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join(FLAG_SEPARATOR))
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_BOOTSTRAP")
}

/// Builds all targets and writes their seeds.
fn build(sh: &Shell, repo: &Repository) -> Result<()> {
    command::show(cargo(sh, repo, "build").arg("--bins"))?;
    let (seeds, directory) = (program(repo, "seeds"), directory(repo).join("seeds"));
    sh.remove_path(&directory)?;
    command::read(cmd!(sh, "{seeds} {directory}")).map(drop)
}

fn program(repo: &Repository, name: &str) -> PathBuf {
    directory(repo).join(crate::build::LINUX_TARGET).join("release").join(name)
}

/// When a target stops.
#[derive(Clone, Copy)]
struct Limit {
    seconds: Option<u64>,
    runs: Option<u64>,
}

/// Runs the targets, prints a line about each as it ends, and returns those lines if all passed.
fn run(repo: &Repository, targets: Vec<String>, limit: Limit) -> Result<Vec<String>> {
    let (waiting, ended) = (Mutex::new(targets.into_iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().expect("no thread panics with this lock").next();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let line = run_one(repo, &target, limit);
                    line.iter().for_each(|line| println!("{line}"));
                    ended.lock().expect("no thread panics with this lock").push(line);
                }
            });
        }
    });
    let ended = ended.into_inner().expect("no thread panics with this lock");
    let (passed, failed): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    let failed: Vec<String> =
        failed.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    let mut lines: Vec<String> = passed.into_iter().flatten().collect();
    lines.sort_unstable();
    Ok(lines)
}

/// Runs one target and returns a line about it.
fn run_one(repo: &Repository, target: &str, limit: Limit) -> Result<String> {
    let directory = directory(repo);
    let place = |kind: &str| directory.join(kind).join(target);
    let (corpus, artefacts, seeds) = (place("corpus"), place("artefacts"), place("seeds"));
    for dir in [&corpus, &artefacts] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let log = place("corpus").with_extension("log");
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;

    let program = program(repo, target);
    let mut fuzzer = Command::new(&program);
    fuzzer
        .arg(format!("-artifact_prefix={}/", artefacts.display()))
        .arg(format!("-timeout={INPUT_SECONDS}"));
    fuzzer.args(limit.seconds.map(|seconds| format!("-max_total_time={seconds}")));
    fuzzer.args(limit.runs.map(|runs| format!("-runs={runs}")));
    let dictionary = repo.root.join("fuzz/dictionaries").join(target).with_extension("dict");
    fuzzer.args(dictionary.is_file().then(|| format!("-dict={}", dictionary.display())));
    // libFuzzer writes new inputs to the first directory.
    fuzzer.args([&corpus, &seeds]);
    let starting = || format!("cannot start {}", program.display());
    fuzzer.stdout(output.try_clone().with_context(starting)?).stderr(output);
    let status = fuzzer.status().with_context(starting)?;

    let output = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let output = String::from_utf8_lossy(&output);
    if !status.success() {
        let (why, program) = (found(&output), program.display());
        bail!("fuzz: {target} failed ({status}):\n{why}\n  again: {program} and the input's file");
    }
    // `#2186462 DONE cov: 749 ft: 880 corp: 55/36Kb …`: executions, edges covered, inputs kept.
    let is_last = |line: &&str| line.starts_with('#') && line.contains("DONE");
    let done = output.lines().rfind(is_last);
    let done = done.with_context(|| format!("{target} printed no result: {}", log.display()))?;
    let figures: Vec<&str> = done.split_whitespace().take(8).collect();
    Ok(format!("fuzz: {target:<16} {}", figures.join(" ")))
}

/// libFuzzer's lines about a failing input: the panic, if it was one, its summary, and the file.
fn found(output: &str) -> String {
    // A panic's message follows its place. A timeout or out-of-memory has only the summary.
    let panic = output.lines().skip_while(|line| !line.contains("panicked at")).take(3);
    let is_said =
        |line: &&str| line.starts_with("SUMMARY") || line.contains("Test unit written to");
    let lines: Vec<&str> = panic.chain(output.lines().filter(is_said)).collect();
    if lines.is_empty() { command::tail(output.as_bytes()) } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_a_row_of_figures() {
        let repo = Repository::find().unwrap();
        let read = |file: &str| fs::read_to_string(repo.root.join("fuzz").join(file)).unwrap();
        let (manifest, figures) = (read("Cargo.toml"), read("README.md"));
        for target in targets(&repo).unwrap() {
            assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target}");
            let row = format!("| `{target}` |");
            assert!(figures.lines().any(|line| line.starts_with(&row)), "{target}");
        }
    }
}

//! `cargo xtask coverage`: how many lines of each crate its host tests run. A report; nothing depends on it.
//!
//! On entry: rustup's llvm-tools, of the toolchain that compiles: profiles have no stable format.
//! On exit: a table, crate by crate. Lines of tests count nowhere. What of the purgatory is compiled for bare metal alone no host
//! test can reach: it is named below the table, and not counted.

mod lcov; // what llvm-cov says
mod test_code; // which lines are tests

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use crate::build::LINUX_TARGET;
use crate::command;
use crate::repository::Repository;
use crate::setup::{self, LlvmTools};
use lcov::Lines;
use test_code::TestCode;

/// The packages, and the directories they lie in.
const PACKAGES: [(&str, &str); 5] = [
    ("handoff", "handoff"),
    ("leaf-digest", "digest"),
    ("purgatory", "purgatory"),
    ("kdump-image", "loader"),
    ("kdump-loader", "kdump-loader"),
];
/// Instrumentation.
const FLAGS: &str = "-Cinstrument-coverage";

/// Report how many lines of purgatory, handoff, digest and loader the host's tests run
///
/// Lines of the tests themselves do not count. What is compiled for bare metal alone is listed, for no host test can reach it.
#[derive(clap::Args)]
pub struct Args {
    /// A line for each file, too
    #[arg(long)]
    files: bool,
}

impl Args {
    /// Builds with instrumentation, runs the tests, prints the table.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        let coverage = measure(sh, repo)?;
        if self.files {
            coverage.files().for_each(|file| println!("{file}"));
        }
        print!("{coverage}");
        Ok(())
    }
}

/// What was run of each package.
pub struct Coverage {
    packages: Vec<Package>,
}

struct Package {
    name: &'static str,
    files: Vec<File>,
    /// Files with functions that no host test compiles.
    elsewhere: Vec<String>,
}

struct File {
    path: String,
    lines: usize,
    run: usize,
}

/// Runs the host's tests of the packages with every branch counted.
pub fn measure(sh: &Shell, repo: &Repository) -> Result<Coverage> {
    let tools = Tools::find(sh, repo)?;
    let directory = repo.root.join("target/coverage");
    let profiles = directory.join("profiles");
    sh.remove_path(&profiles)?;
    sh.create_dir(&profiles)?;
    let built = command::read(cargo_test(sh, &directory).args(["--no-run", "--message-format", "json"]))?;
    let programs = programs(&built)?;
    // Eight files, which processes of the same program add to in turns.
    command::read(cargo_test(sh, &directory).env("LLVM_PROFILE_FILE", profiles.join("%8m.profraw")))?;
    let said = tools.export(sh, &profiles, &directory.join("merged.profdata"), &programs)?;

    let lines = Lines::read(&said)?;
    let packages = PACKAGES.iter().map(|(name, directory)| Package::new(repo, name, directory, &lines));
    let packages: Vec<Package> = packages.collect::<Result<_>>()?;
    for Package { name, files, .. } in &packages {
        ensure!(files.iter().any(|file| file.run > 0), "not one line of {name} was run: the instrumentation does not work");
    }
    Ok(Coverage { packages })
}

fn cargo_test<'a>(sh: &'a Shell, directory: &Path) -> Cmd<'a> {
    let packages = PACKAGES.iter().flat_map(|(name, _)| ["--package", name]);
    // With a target, the flags reach no build script and no macro.
    let cargo = cmd!(sh, "cargo test --locked --quiet --tests --target {LINUX_TARGET} --target-dir {directory}").args(packages);
    cargo.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS")
}

/// The programs that cargo says it has built.
fn programs(messages: &str) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line).with_context(|| format!("cargo said {line:?}"))?;
        programs.extend(message["executable"].as_str().map(PathBuf::from));
    }
    ensure!(!programs.is_empty(), "cargo has built no test");
    Ok(programs)
}

struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    fn find(sh: &Shell, repo: &Repository) -> Result<Self> {
        const BRING: &str = "rustup component add llvm-tools";
        let LlvmTools::Toolchain(bin) = setup::llvm_tools(sh, repo)? else {
            bail!("coverage needs the toolchain's own llvm-profdata and llvm-cov: `{BRING}`");
        };
        let tools = Self { profdata: bin.join("llvm-profdata"), cov: bin.join("llvm-cov") };
        for tool in [&tools.profdata, &tools.cov] {
            ensure!(tool.is_file(), "there is no {}: `{BRING}`", tool.display());
        }
        Ok(tools)
    }

    /// Every line that can be run, and how often it was, as lcov writes it.
    fn export(&self, sh: &Shell, profiles: &Path, merged: &Path, programs: &[PathBuf]) -> Result<String> {
        let Self { profdata, cov } = self;
        command::read(cmd!(sh, "{profdata} merge --sparse {profiles} --output {merged}"))?;
        let objects = programs.iter().flat_map(|program| [Path::new("--object"), program]);
        command::read(cmd!(sh, "{cov} export --format=lcov --instr-profile {merged}").args(objects))
    }
}

impl Package {
    fn new(repo: &Repository, name: &'static str, directory: &str, lines: &Lines) -> Result<Self> {
        let src = repo.root.join(directory).join("src");
        let code = TestCode::find(&src)?;
        let mut package = Self { name, files: Vec::new(), elsewhere: Vec::new() };
        for (path, text) in code.files() {
            let shown = path.strip_prefix(&repo.root).unwrap_or(path).display().to_string();
            match lines.of(path) {
                Some(lines) => {
                    let counted: Vec<_> = lines.iter().filter(|(line, _)| !code.is_test(path, *line)).collect();
                    let run = counted.iter().filter(|(_, count)| *count > 0).count();
                    if !counted.is_empty() {
                        package.files.push(File { path: shown, lines: counted.len(), run });
                    }
                }
                None if text.contains("fn ") => package.elsewhere.push(shown),
                None => {}
            }
        }
        Ok(package)
    }

    fn lines(&self) -> usize {
        self.files.iter().map(|file| file.lines).sum()
    }

    fn run(&self) -> usize {
        self.files.iter().map(|file| file.run).sum()
    }
}

impl Coverage {
    /// A line for each file.
    fn files(&self) -> impl Iterator<Item = String> {
        let files = self.packages.iter().flat_map(|package| &package.files);
        files.map(|File { path, lines, run }| row(path, *lines, *run))
    }
}

fn row(name: &str, lines: usize, run: usize) -> String {
    let share = if lines == 0 { 100.0 } else { run as f64 * 100.0 / lines as f64 };
    format!("{name:<44} {lines:>6} {run:>6} {share:>7.1} %")
}

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<44} {:>6} {:>6} {:>9}", "lines run by host tests", "lines", "run", "share")?;
        for package in &self.packages {
            writeln!(out, "{}", row(package.name, package.lines(), package.run()))?;
        }
        for Package { name, elsewhere, .. } in self.packages.iter().filter(|package| !package.elsewhere.is_empty()) {
            writeln!(out, "{name}: in no host test, and not counted: {}", elsewhere.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_what_cargo_says() {
        let said = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n{\"executable\":\"/t/a\"}\n{\"reason\":\"build-finished\"}\n";
        assert_eq!(programs(said).unwrap(), [PathBuf::from("/t/a")]);
        assert!(programs("{\"executable\":null}\n").is_err());
    }

    #[test]
    fn packages_and_what_no_host_test_reaches_are_in_the_table() {
        let file = |path: &str, lines, run| File { path: path.into(), lines, run };
        let files = vec![file("purgatory/src/span.rs", 30, 30), file("purgatory/src/verify.rs", 70, 60)];
        let elsewhere = vec!["purgatory/src/story.rs".into(), "purgatory/src/stop.rs".into()];
        let table = Coverage { packages: vec![Package { name: "purgatory", files, elsewhere }] }.to_string();
        assert!(table.contains("   100     90    90.0 %\n"), "{table}");
        assert!(table.ends_with("not counted: purgatory/src/story.rs, purgatory/src/stop.rs\n"), "{table}");
    }
}

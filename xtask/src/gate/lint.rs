//! `cargo xtask lint`: what can be checked without running the code.
//!
//! * Formatting, clippy and rustdoc of the workspace, of the freestanding programs and of fuzz/.
//! * The crates that others may use can be packaged.
//! * Licenses, sources and banned crates of every dependency, if cargo-deny is installed.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::build;
use crate::command;
use crate::gate::fuzz;
use crate::repository::Repository;

/// Crates that others may use: each must stay one that `cargo package` accepts.
const PUBLISHED: [&str; 3] = ["kdump-handoff", "leaf-digest", "kdump-image"];
/// The checks of deny.toml that need no network. `advisories` needs the database of advisories.
const DENY_OFFLINE: [&str; 3] = ["licenses", "bans", "sources"];

/// Check formatting, lints, documentation, packaging and licenses; every warning is an error
///
/// Covers the workspace, the freestanding programs and fuzz/. The licenses are checked if
/// cargo-deny is installed.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Stops at the first tool that reports a fault.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        command::show(cmd!(sh, "cargo fmt --all --check"))?;
        let deny_warnings = ["--", "--deny", "warnings"];
        command::show(
            cmd!(sh, "cargo clippy --locked --workspace --all-targets").args(deny_warnings),
        )?;
        command::show(build::purgatory_cargo(sh, repo, "clippy")?.args(deny_warnings))?;
        build::bare::lint(sh, repo)?;
        fuzz::lint(sh, repo)?;
        let docs =
            cmd!(sh, "cargo doc --locked --quiet --workspace --no-deps --document-private-items");
        command::show(docs.env("RUSTDOCFLAGS", "--deny warnings"))?;
        packages(sh)?;
        dependencies(sh)
    }
}

/// Packages the published crates, without compiling them again out of their packages.
///
/// Cargo can compile them too, but it does not see that a package of an unchanged version has
/// changed: it keeps the sources and the build of the first run. Only a new target directory is
/// honest, and takes a minute: before a release, run this command without --no-verify and with
/// `--target-dir $(mktemp -d)`.
fn packages(sh: &Shell) -> Result<()> {
    let published = PUBLISHED.iter().flat_map(|name| ["--package", name]);
    // --allow-dirty: a change is linted before it is committed.
    command::show(
        cmd!(sh, "cargo package --quiet --no-verify --offline --allow-dirty").args(published),
    )
}

fn dependencies(sh: &Shell) -> Result<()> {
    if !command::is_installed(sh, "cargo-deny") {
        eprintln!("skipped: licenses of dependencies: cargo-deny is not installed");
        return Ok(());
    }
    command::show(
        cmd!(sh, "cargo deny --log-level error --locked --offline check").args(DENY_OFFLINE),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every dependency with its version and features, when these packages are built.
    fn features(sh: &Shell, selected: &[&str]) -> BTreeSet<String> {
        let tree = cmd!(sh, "cargo tree --locked --offline --prefix none --format")
            .arg("{p} [{f}]")
            .args(selected);
        let lines = command::read(tree.args(["--target", build::LINUX_TARGET])).unwrap();
        lines
            .lines()
            .map(|line| line.trim_end_matches(" (*)").replace(" (proc-macro)", ""))
            .collect()
    }

    #[test]
    fn xtask_and_the_tests_share_one_build_of_every_dependency() {
        let sh = Shell::new().unwrap();
        sh.change_dir(Repository::find().unwrap().root);
        let xtask = features(&sh, &["--package", "xtask", "--edges", "normal,build"]);
        for tests in [&["--workspace"][..], &["--workspace", "--exclude", "tests"]] {
            let others = features(&sh, &[tests, &["--edges", "normal,build,dev"]].concat());
            let alone: Vec<_> = xtask.difference(&others).collect();
            assert_eq!(alone, [""; 0], "add the features that {tests:?} has to xtask/Cargo.toml");
        }
    }
}

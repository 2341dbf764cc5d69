//! The part of `lab/` that the gate runs. It is a workspace of its own, so cargo runs inside it.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::command;
use crate::repository::Repository;

/// Runs the laboratory's own tests, then `cargo lab check`; returns what that prints.
pub fn test_and_check(sh: &Shell, repo: &Repository) -> Result<String> {
    let _inside = sh.push_dir(repo.root.join("lab"));
    command::show(cmd!(sh, "cargo test --quiet --locked"))?;
    check(sh, repo, &[])
}

/// Runs `cargo lab check` with these options, and returns what it prints: each line is a check.
///
/// *On entry*: target/dist is as `cargo xtask build` leaves it.
pub fn check(sh: &Shell, repo: &Repository, options: &[&str]) -> Result<String> {
    let _inside = sh.push_dir(repo.root.join("lab"));
    command::read(cmd!(sh, "cargo lab check {options...}"))
}

/// Checks its formatting, and runs clippy with every warning an error.
pub fn lint(sh: &Shell, repo: &Repository) -> Result<()> {
    let _inside = sh.push_dir(repo.root.join("lab"));
    command::show(cmd!(sh, "cargo fmt --check"))?;
    command::show(cmd!(sh, "cargo clippy --quiet --locked --all-targets -- --deny warnings"))
}

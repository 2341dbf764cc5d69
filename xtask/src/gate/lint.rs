//! `cargo xtask lint`: formatting and clippy, for both worlds.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::build;
use crate::command;
use crate::gate::fuzz;
use crate::repository::Repository;

/// Check formatting, and run clippy with every warning an error
///
/// On the host for the workspace, and for the targets of what runs without an operating system.
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    /// Stops at the first tool that is not content.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        command::show(cmd!(sh, "cargo fmt --all --check"))?;
        command::show(cmd!(sh, "cargo clippy --locked --workspace --all-targets -- --deny warnings"))?;
        command::show(build::purgatory_cargo(sh, repo, "clippy")?.args(["--", "--deny", "warnings"]))?;
        build::bare::lint(sh, repo)?;
        fuzz::lint(sh, repo)
    }
}

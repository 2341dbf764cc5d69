//! `cargo xtask test`: everything that can be shown, shown.
//!
//! On exit: all tests of the workspace and all scenarios have run, whatever the first ones said, and none has failed.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::audit;
use crate::command;
use crate::lint;
use crate::qemu;
use crate::repository::Repository;

/// Set up, build, audit, then run every test and every scenario
///
/// With CI set in the environment, `cargo xtask lint` comes first. Scenarios whose parts could not be brought are reported as
/// ignored, with the reason.
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
        qemu::prepare(sh, repo)?;
        audit::audit(repo)?;
        let purgatory = repo.purgatory_elf();
        let filter = &self.filter;
        let host = cmd!(sh, "cargo test --workspace --exclude tests --no-fail-fast -- {filter...}");
        let scenarios = cmd!(sh, "cargo test --package tests --test scenarios -- {filter...}");
        // Both, so that one run tells everything that is wrong.
        let mut failures = Vec::new();
        for tests in [host, scenarios] {
            if let Err(error) = command::show(tests.env("KDUMP_PURGATORY_ELF", &purgatory)) {
                failures.push(error.to_string());
            }
        }
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

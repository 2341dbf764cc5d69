//! `cargo xtask fixture`: makes anew what tests under `tests/fixtures/` were given by a real kernel.

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use qemu_runner::context::DEFAULT_SERIES;
use qemu_runner::{Context, fixture};
use xshell::Shell;

use crate::qemu;
use crate::repository::Repository;

/// Make a fixture anew that a real kernel has written
///
/// The kernel is booted in QEMU as scenarios do. What it writes is another each time, since KASLR moves it; tests must not depend
/// on that.
#[derive(clap::Args)]
pub struct Args {
    /// Which
    fixture: Name,
    /// The kernel's series
    #[arg(long, value_name = "SERIES", default_value = DEFAULT_SERIES, value_parser = ["6.12", "7"])]
    kernel: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The elfcorehdr that a kernel writes on hotplug, and a snapshot of the machine: tests/fixtures/elfcorehdr-SERIES
    Elfcorehdr,
}

impl Args {
    /// Makes it in place of the one that is there.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        qemu::prepare(sh, repo, false)?;
        let context = Context::from_repo(&repo.root, Some(&self.kernel), false)?;
        let outcome = match self.fixture {
            Name::Elfcorehdr => {
                fixture::elfcorehdr(&context, &repo.root.join(format!("tests/fixtures/elfcorehdr-{}", self.kernel)))
            }
        };
        println!("{}", outcome.map_err(|error| anyhow!("{}", error.chain()))?);
        Ok(())
    }
}

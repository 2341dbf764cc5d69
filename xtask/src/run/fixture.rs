//! `cargo xtask fixture`: regenerates committed files from a real kernel, or from the loader's
//! tables.

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use kdump_loader::picture;
use qemu_runner::context::DEFAULT_SERIES;
use qemu_runner::page::{self, Section};
use qemu_runner::{Context, Error, Outcome, fixture};
use xshell::Shell;

use crate::repository::Repository;
use crate::run::qemu;
use crate::setup::Large;

/// Regenerate a committed file that a real kernel or a table of the loader has written
///
/// Kernels boot in QEMU as in scenarios. Their output differs from run to run because of KASLR, so
/// tests must not depend on addresses.
#[derive(clap::Args)]
pub struct Args {
    fixture: Name,
    /// The kernel's series
    #[arg(long, value_name = "SERIES", default_value = DEFAULT_SERIES,
          value_parser = ["6.12", "7"])]
    kernel: String,
}

/// The scenario whose outcome is a fixture, the fixture, and the files drawn from it.
const SCENARIO: &str = "hotplug";
const OUTCOME: &str = "tests/fixtures/outcome-hotplug/outcome.json";
const PAGE: &str = "docs/hotplug.html";
const PICTURE: &str = "docs/crash-region.svg";

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    /// The elfcorehdr that a kernel writes on hotplug, and a snapshot of the machine:
    /// tests/fixtures/elfcorehdr-SERIES
    Elfcorehdr,
    /// The outcome of the scenario `hotplug`: tests/fixtures/outcome-hotplug, docs/hotplug.html and
    /// docs/crash-region.svg
    Outcome,
    /// docs/hotplug.html and docs/crash-region.svg, drawn from the committed outcome
    Page,
    /// docs/kexec-options.md, from the loader's table of options
    KexecOptions,
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        match self.fixture {
            Name::Elfcorehdr => {
                let directory =
                    repo.root.join(format!("tests/fixtures/elfcorehdr-{}", self.kernel));
                self.run_with(sh, repo, |context| fixture::elfcorehdr(context, &directory))
                    .map(drop)
            }
            Name::Outcome => {
                let scenario = qemu::by_name(SCENARIO)?;
                let outcome = self.run_with(sh, repo, |context| scenario.run(context))?;
                show(repo, outcome.dated(qemu::today()?))
            }
            Name::KexecOptions => {
                let file = repo.root.join("docs/kexec-options.md");
                std::fs::write(&file, kdump_loader::kexec_options())
                    .with_context(|| format!("cannot write {}", file.display()))
            }
            Name::Page => {
                let file = repo.root.join(OUTCOME);
                let text = std::fs::read(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                show(
                    repo,
                    serde_json::from_slice(&text)
                        .with_context(|| format!("{} is no outcome", file.display()))?,
                )
            }
        }
    }

    /// Sets up what a machine needs, and runs it.
    fn run_with(
        &self,
        sh: &Shell,
        repo: &Repository,
        run: impl FnOnce(&Context) -> Result<Outcome, Error>,
    ) -> Result<Outcome> {
        qemu::prepare(sh, repo, Large { kernels: true, debian_disk: false })?;
        let context = Context::from_repo(&repo.root, Some(&self.kernel), false)?;
        let outcome = run(&context).map_err(|error| anyhow!("{}", error.chain()))?;
        println!("{outcome}");
        Ok(outcome)
    }
}

/// Writes an outcome for tests, and draws the page and the picture.
fn show(repo: &Repository, outcome: Outcome) -> Result<()> {
    let write = |path: &str, text: &str| {
        let file = repo.root.join(path);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    let image = outcome.evidence.image.as_ref().context("no image was armed")?;
    write(PICTURE, &picture::svg(image, "plan"))?;
    write(OUTCOME, &(serde_json::to_string_pretty(&outcome)? + "\n"))?;
    write(PAGE, &page::html(&[Section::new(qemu::by_name(SCENARIO)?, Ok(outcome))]))
}

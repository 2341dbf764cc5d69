//! `cargo xtask qemu`: real kernels, real panics, as scenarios.
//!
//! *On exit*: for each scenario its timeline, what failed, or why it was not run; as text or as
//! TAP.

mod bare; // cases of the fault matrix, on our own kernel
mod tell; // what came of each, on stdout

use std::fmt;
use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use qemu_runner::context::KernelUnderTest;
use qemu_runner::page::{self, Section};
use qemu_runner::{Context, Lab, Outcome, Scenario, scenarios};
use xshell::{Shell, cmd};

use crate::command;
use crate::gate;
use crate::repository::Repository;
use crate::setup::{self, Large};
use crate::{build, package};
use tell::{End, Teller};

/// The whole story: armed, memory and a CPU added, panicked, captured.
const DEFAULT: &str = "hotplug";
/// The exit status that makes `git bisect run` skip a commit.
pub const CANNOT_TELL: u8 = 125;
/// What the test runner of whole sets does not know.
const NOT_FOR_SETS: [&str; 8] =
    ["scenario", "list", "kernel", "bzimage", "tap", "keep", "keep_dump", "report"];
/// The exit codes, for `--help`.
const EXIT_CODES: &str = "\
Exit status, as `git bisect run` reads it:
  0    every scenario passed, or was skipped because it is not about this kernel
  1    a scenario failed
  125  no scenario failed, but it is unknown whether they would pass: a kernel did not boot to
       user space or lacks what a scenario needs, no scenario fits, or the build, a download,
       QEMU or this machine failed
  2    the command line is wrong

With kernels of your own: docs/kernel-developers.md.";

/// Nothing failed, but it is not known either that all is well.
#[derive(Debug)]
pub struct CannotTell(String);

impl fmt::Display for CannotTell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for CannotTell {}

/// Panic a real kernel in QEMU and show what its capture kernel finds
///
/// Downloads and builds what is missing first. Every run ends in a timeline of what happened and
/// when. Its console logs stay under target/qemu/SCENARIO/.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    harness: Option<Harness>,
    /// Which scenarios, in this order; defaults to `hotplug`, with --bzimage to all that fit the
    /// kernel
    scenario: Vec<String>,
    /// List the scenarios, the set that each is in, and what each shows; with --bzimage which of
    /// them fit the kernel
    #[arg(long)]
    list: bool,
    /// Run every scenario, those of the gate and those of the laboratory, two at a time
    #[arg(long, conflicts_with_all = NOT_FOR_SETS)]
    all: bool,
    /// Run every scenario that the gate leaves to the laboratory, two at a time
    #[arg(long, conflicts_with = "all", conflicts_with_all = NOT_FOR_SETS)]
    lab: bool,
    /// Debian's kernel for scenarios that do not ask for a certain one
    #[arg(long, value_name = "SERIES", value_parser = ["6.1", "6.12", "7"])]
    kernel: Option<String>,
    /// Test this kernel in place of Debian's, as the first kernel and as the capture kernel
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    bzimage: Option<PathBuf>,
    /// Where its modules are: DIR of `make INSTALL_MOD_PATH=DIR modules_install`, or
    /// /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", requires = "bzimage")]
    modules: Option<PathBuf>,
    /// Print TAP version 14 on stdout, which KTAP parsers read as well
    #[arg(long, conflicts_with = "list")]
    tap: bool,
    /// Keep the guests' memory and initial RAM disks too
    #[arg(long)]
    keep: bool,
    /// Keep the dump, as target/qemu/SCENARIO/vmcore; as large as the crashed machine's memory
    #[arg(long)]
    keep_dump: bool,
    /// Write a page that stands alone: timeline, memory before and after, verdict, vmcore, crash
    /// region
    #[arg(long, value_name = "FILE.html", conflicts_with = "list")]
    report: Option<PathBuf>,
}

/// Where the kernel is not a distribution's.
#[derive(clap::Subcommand)]
enum Harness {
    Bare(bare::Args),
}

impl Args {
    /// Runs them all. Fails if one fails; any other error means that nothing can be told.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        if let Some(Harness::Bare(bare)) = &self.harness {
            return bare.run(sh, repo);
        }
        if self.all || self.lab {
            prepare(sh, repo, Large { kernels: true, debian_disk: true })?;
            let set = if self.all { "--include-ignored" } else { "--ignored" };
            return command::show(gate::harness(sh, repo, "scenarios", &None).arg(set));
        }
        let mut teller = Teller::new(self.tap);
        let kernel = self
            .bzimage
            .as_deref()
            .map(|file| KernelUnderTest::open(file, self.modules.as_deref()));
        let kernel = kernel.transpose().map_err(|error| teller.bail_out(error.chain()))?;
        if self.list {
            return list(repo, kernel);
        }
        let run = self
            .prepare(sh, repo, kernel)
            .and_then(|(context, wanted)| self.play(&mut teller, &context, &wanted));
        run.map_err(|error| teller.bail_out(format!("{error:#}")))?;
        teller.finish()
    }

    /// What to run, and what to run it with.
    fn prepare(
        &self,
        sh: &Shell,
        repo: &Repository,
        kernel: Option<KernelUnderTest>,
    ) -> Result<(Context, Vec<&'static Scenario>)> {
        // Names first: a typing error should not cost a build.
        let named = self.scenario.iter().map(|name| by_name(name)).collect::<Result<Vec<_>>>()?;
        let wanted = match (&kernel, named.is_empty()) {
            (_, false) => named,
            (None, true) => vec![by_name(DEFAULT)?],
            (Some(_), true) => {
                scenarios().iter().filter(|it| !matches!(it.lab, Some(Lab::NotOurs(_)))).collect()
            }
        };
        if let Some(report) = &self.report {
            // It must be possible to write it, or minutes are lost. An earlier page stays until
            // there is another.
            let opened = OpenOptions::new().create(true).append(true).open(report);
            opened.with_context(|| format!("cannot write {}", report.display()))?;
        }
        let debian_disk =
            kernel.is_none() && wanted.iter().any(|scenario| scenario.needs_debian_disk());
        prepare(sh, repo, Large { kernels: kernel.is_none(), debian_disk })?;
        let mut context = Context::from_repo(&repo.root, self.kernel.as_deref(), self.keep)?;
        if let Some(kernel) = kernel {
            context = context.with_kernel(kernel);
        }
        if self.keep_dump {
            context = context.with_dumps_kept();
        }
        Ok((if wanted.len() > 1 { context.with_checkpoints()? } else { context }, wanted))
    }

    /// Runs them one after the other and tells what came of each.
    fn play(
        &self,
        teller: &mut Teller,
        context: &Context,
        wanted: &[&'static Scenario],
    ) -> Result<()> {
        teller.plan(wanted.len());
        let today = today()?;
        let mut sections = Vec::new();
        for scenario in wanted {
            let (end, outcome) = play(scenario, context, self.scenario.is_empty());
            teller.tell(scenario.name, &end);
            let outcome = outcome.map(|outcome| outcome.dated(today.clone()));
            sections.push(Section::new(scenario, outcome.ok_or_else(|| end.text().to_owned())));
        }
        if let Some(report) = &self.report {
            std::fs::write(report, page::html(&sections))
                .with_context(|| format!("cannot write {}", report.display()))?;
            teller.remark(&format!("report: {}", report.display()));
        }
        Ok(())
    }
}

/// The day, as in ISO 8601.
pub fn today() -> Result<String> {
    let sh = Shell::new()?;
    Ok(command::read(cmd!(sh, "date --utc +%Y-%m-%d"))?.trim().to_owned())
}

/// Runs a scenario. If all were asked for, one that does not fit the kernel is skipped.
fn play(scenario: &Scenario, context: &Context, all: bool) -> (End, Option<Outcome>) {
    if let Some(reason) = scenario.unfit(context) {
        return (if all { End::Skipped(reason) } else { End::CannotTell(reason) }, None);
    }
    if let Some(reason) = scenario.missing(context) {
        return (End::CannotTell(reason), None);
    }
    let result = scenario.run(context);
    if let Some(reason) = result.as_ref().err().and_then(|error| error.unfit()).filter(|_| all) {
        return (End::Skipped(reason.to_owned()), None);
    }
    let outcome = result.as_ref().ok().cloned();
    (End::of(result.map(|outcome| outcome.to_string())), outcome)
}

/// Prints the scenarios, and which of them fit the kernel.
fn list(repo: &Repository, kernel: Option<KernelUnderTest>) -> Result<()> {
    let width = scenarios().iter().map(|s| s.name.len()).max().unwrap_or(0);
    let Some(kernel) = kernel else {
        for Scenario { name, summary, lab, .. } in scenarios() {
            match lab {
                None => println!("gate  {name:width$}  {summary}"),
                Some(why) => println!("lab   {name:width$}  {summary} ({why})"),
            }
        }
        return Ok(());
    };
    let config = kernel
        .config
        .as_ref()
        .map_or("unknown: the running kernel is asked", |config| &config.source);
    println!("kernel         {}\nconfiguration  {config}", kernel.kernel.release);
    println!("fits: runs; named: runs if it is named, because it shows nothing of ours\n");
    let context = Context::from_repo(&repo.root, None, false)?.with_kernel(kernel);
    for scenario in scenarios() {
        match scenario.unfit(&context) {
            None if matches!(scenario.lab, Some(Lab::NotOurs(_))) => {
                println!("named  {:width$}  {}", scenario.name, scenario.summary)
            }
            None => println!("fits   {:width$}  {}", scenario.name, scenario.summary),
            Some(reason) => println!("skip   {:width$}  {reason}", scenario.name),
        }
    }
    Ok(())
}

/// Downloads and builds everything that scenarios need.
pub fn prepare(sh: &Shell, repo: &Repository, large: Large) -> Result<()> {
    // Before downloads, which would be in vain without it.
    setup::linker(sh)?;
    setup::guests(sh, repo, large)?;
    // The scenario of a first dump installs the package.
    if large.debian_disk {
        package::build(sh, repo)?
    } else {
        build::build(sh, repo)?
    }
    build::hosted::guest_programs(sh, repo)
}

pub fn by_name(name: &str) -> Result<&'static Scenario> {
    scenarios().iter().find(|s| s.name == name).with_context(|| {
        let names: Vec<&str> = scenarios().iter().map(|s| s.name).collect();
        format!("there is no scenario {name}; the scenarios are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use qemu_runner::bare::debugger::PORT;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(["qemu"].into_iter().chain(words.split_whitespace()))
            .map(|line| line.args)
    }

    #[test]
    fn bare_is_the_first_word_and_has_options_of_its_own() {
        Line::command().debug_assert();
        let port = |words| match parsed(words).unwrap().harness {
            Some(Harness::Bare(bare)) => bare.gdb,
            None => panic!("{words} names no case"),
        };
        assert_eq!(port("bare --gdb=4321"), Some(4321));
        assert_eq!(port("bare sound --gdb"), Some(PORT));
        assert_eq!(port("bare --all"), None);
        let of_sets = ["--all capture", "--lab --all", "--lab --tap"];
        let others = ["--list --tap", "bare --all sound", "bare --all --gdb", "bare --kernel 7"];
        for mistaken in of_sets.into_iter().chain(others) {
            assert!(parsed(mistaken).is_err(), "{mistaken}");
        }
        let scenarios = parsed("capture hotplug --keep").unwrap();
        assert!(scenarios.harness.is_none() && scenarios.keep);
        assert_eq!(scenarios.scenario, ["capture", "hotplug"]);
    }

    #[test]
    fn the_default_scenario_exists_and_an_unknown_one_is_answered_with_the_known_ones() {
        by_name(DEFAULT).unwrap();
        let error = by_name("hotplugg").map(|s| s.name).unwrap_err().to_string();
        assert!(error.contains("hotplugg") && error.contains(DEFAULT), "{error}");
    }
}

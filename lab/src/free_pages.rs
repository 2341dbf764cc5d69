//! `cargo lab free-pages`: our filter beside makedumpfile, on dumps of several kernels: the free
//! pages that each finds, the pages of both dumps, their sizes, and the time that each takes.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: a table on stdout; with `--write` also in docs/, with its record. A page that only one of the dumps
//! has is an error. So is a dump that is too large, or a filter that is too slow.

mod report; // the table

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use qemu_runner::free_pages::{self, Crash, KINDS, Kind};
use serde::{Deserialize, Serialize};
use vmcore_filter::{DumpFile, Level, PAGE_LEN, PageState, Summary, Vmcore};

use crate::machine::Figures;
use crate::makedumpfile::Makedumpfile;
use crate::range::Range;
use crate::record;
use crate::repository::{Repository, explain};
pub use report::{LARGEST, Report, Row};

const RECORD: &str = "docs/free-pages.jsonl";
pub const TABLE: &str = "docs/free-pages.md";
/// Free pages and zeroes are left out.
const LEVEL: Level = Level::NoFreeOrZeroes;
/// The profile of the capture kernel's /init, and the program that filters a file.
const BUILD: &str = "build --quiet --locked --profile capture -p vmcore-filter --example filter";
const FILTER: &str = "target/capture/examples/filter";

/// Filter dumps of several kernels, and compare pages, size and time with makedumpfile's
#[derive(clap::Args)]
pub struct Args {
    /// Timed runs of either program on each dump, by turns
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    #[command(flatten)]
    pub recorded: record::Options,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let report = self.measure(repo)?;
        record::print(repo, TABLE, self.recorded.write, &report)?;
        report.rows.iter().try_for_each(Row::judge)
    }

    /// The comparisons, and those that the record had.
    pub fn measure(&self, repo: &Repository) -> Result<Report> {
        Makedumpfile::fetch(repo)?;
        let context = repo.prepare_guests(None)?;
        let theirs = Makedumpfile::find(&context)?;
        let mut cargo = Command::new("cargo");
        cargo.args(BUILD.split(' ')).current_dir(&repo.root);
        ensure!(cargo.status()?.success(), "`cargo {BUILD}` failed");
        let ours = repo.root.join(FILTER);
        let is_of =
            |row: &Row, kind: &Kind| (&*row.series, row.levels) == (kind.series, kind.levels);
        let measure = |kind: Kind| {
            let crash = free_pages::crash(&context, kind).map_err(explain)?;
            let row = compare(kind, &crash, &ours, &theirs, self.runs)
                .with_context(|| format!("{kind}: {}", crash.vmcore.display()))?;
            // It is as large as the machine's memory.
            fs::remove_file(&crash.vmcore)?;
            let line = row.to_string();
            Ok((row, line))
        };
        let record = (RECORD, Figures::Times);
        let (machine, rows) = self.recorded.series(repo, record, KINDS, is_of, measure)?;
        Ok(Report { machine, rows })
    }
}

/// Filters a dump both ways.
fn compare(
    kind: Kind,
    crash: &Crash,
    ours: &Path,
    theirs: &Makedumpfile,
    runs: u32,
) -> Result<Row> {
    let Crash { vmcore, release } = crash;
    let [our_dump, their_dump] = ["ours", "theirs"].map(|name| vmcore.with_file_name(name));
    let summary = filter(vmcore, &our_dump)?;
    let their_free = theirs.filter(LEVEL.number(), vmcore, &their_dump)?;
    let sizes = [fs::metadata(&our_dump)?.len(), fs::metadata(&their_dump)?.len()];
    let differences = differences(&our_dump, &their_dump)?;
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let mut line = Command::new(ours);
        line.arg(vmcore).args(["--discard", &LEVEL.number().to_string()]);
        our_times.push(Times::of(line)?);
        their_times.push(Times::of(theirs.without_writing(LEVEL.number(), vmcore, &their_dump))?);
    }
    for dump in [our_dump, their_dump] {
        fs::remove_file(dump)?;
    }
    Ok(Row {
        series: kind.series.to_owned(),
        levels: kind.levels,
        makedumpfile: theirs.version.clone(),
        runs,
        release: release.clone(),
        pages: summary.pages,
        free: [summary.left_out.free, their_free],
        differences,
        sizes,
        times: [our_times, their_times].map(Times::medians),
    })
}

/// Writes our dump. Free pages must have been found.
fn filter(vmcore: &Path, to: &PathBuf) -> Result<Summary> {
    let core = Vmcore::open(vmcore)?;
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(to)?;
    let summary = vmcore_filter::dump(&core, LEVEL, &mut file, &mut |_| ControlFlow::Continue(()))?;
    file.set_len(summary.bytes)?;
    match summary.unfiltered {
        None => Ok(summary),
        Some(reason) => Err(anyhow::Error::new(reason).context("free pages were kept")),
    }
}

/// How many pages only one of two dumps has, or both with different bytes.
fn differences(ours: &Path, theirs: &Path) -> Result<u64> {
    let (ours, theirs) =
        (DumpFile::open(File::open(ours)?, 0)?, DumpFile::open(File::open(theirs)?, 0)?);
    let (mut our_reader, mut their_reader) = (ours.reader()?, theirs.reader()?);
    let [mut our_page, mut their_page] = [[0; PAGE_LEN as usize]; 2];
    let mut found = 0;
    for pfn in 0..ours.max_mapnr().max(theirs.max_mapnr()) {
        let states =
            [our_reader.page(pfn, &mut our_page)?, their_reader.page(pfn, &mut their_page)?];
        found += u64::from(match states {
            [PageState::Saved, PageState::Saved] => our_page != their_page,
            [PageState::LeftOut, PageState::LeftOut] => false,
            _ => true,
        });
    }
    Ok(found)
}

/// What a program took, in seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Times {
    /// From its start to its end.
    wall: f64,
    /// CPU time in user space and in the kernel. Other work on the machine hardly changes it.
    processor: f64,
}

impl Times {
    /// Runs a program to its end.
    fn of(mut line: Command) -> Result<Self> {
        let before = processor_seconds()?;
        let began = Instant::now();
        let output = line.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot start {line:?}"))?;
        let wall = began.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{line:?} failed ({}): {said}", output.status);
        Ok(Self { wall, processor: processor_seconds()? - before })
    }

    fn medians(all: Vec<Self>) -> Self {
        let median = |of: fn(&Self) -> f64| Range::of(all.iter().map(of)).median;
        Self { wall: median(|it| it.wall), processor: median(|it| it.processor) }
    }
}

/// Of all children that have ended.
fn processor_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

//! `cargo lab targets`: what `load --capture` is to reach, and what it reaches, in one table.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: the tables of `savers` and `free-pages`, and one that sums them up with the dumps of
//! five machines, on stdout; with `--write` also in docs/, with their records. A target that is
//! missed, or not measured often enough, is an error at the end.

use std::fmt;

use anyhow::{Result, ensure};
use qemu_runner::SavedDump;
use qemu_runner::savers::{MEMORY_MIB, Saved, Saver};

use crate::free_pages::{LARGEST, Row};
use crate::machine::Machine;
use crate::range::Range;
use crate::record;
use crate::repository::Repository;
use crate::{capture, free_pages, savers};

const TABLE: &str = "docs/capture-targets.md";
/// Machines of different size, and the crash memory in MiB in which each must leave a dump.
const MACHINES: [(&str, u64); 5] = [
    ("capture-raw", 80),
    ("capture-raw-4g", 80),
    ("capture-raw-64g", 80),
    ("new-kernel-capture-raw", 96),
    ("new-kernel-capture-raw-64g", 96),
];
/// Seconds from the panic to the dump of a machine of 1 GiB.
const LONGEST_S: f64 = 10.0;
/// Our speed, as a multiple of makedumpfile's.
const SLOWEST: f64 = 1.0;

/// How to read the table.
const NOTES: &str = "\
The dumps are those of [capture-matrix.md](capture-matrix.md). The command also runs `cargo lab
savers` and `cargo lab free-pages`, whose tables say when and where they were measured:
[savers.md](savers.md), [free-pages.md](free-pages.md).

* **speed**: by CPU time, the least of all kernels: the median of our runs beside the median of
  makedumpfile's, taken in turns.
* **from the panic to the dump**: by the clock of the host, which emulates the guest. On a slower
  host it was 12 s, more than the target ([figures.md](figures.md#from-the-panic-to-the-dump)).
* **so far**: nothing was missed, but fewer panics were made than the target asks for.
";

/// Measure everything that `load --capture` is to reach: memory, time, size, free pages, speed
#[derive(clap::Args)]
pub struct Args {
    /// Dumps of each machine
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    dumps: u32,
    /// Runs of each saver
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    savers: u32,
    /// Timed runs of either filter on each vmcore, by turns
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    #[command(flatten)]
    recorded: record::Options,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let Self { dumps, savers, runs, recorded } = self;
        let only = MACHINES.map(|(name, _)| name.to_owned()).into();
        let dumps_of = capture::Args { count: *dumps, only, recorded: recorded.clone() };
        let capture = dumps_of.measure(repo)?;
        let savers = savers::Args { count: *savers, recorded: recorded.clone() }.measure(repo)?;
        record::print(repo, savers::TABLE, recorded.write, &savers)?;
        let free_pages =
            free_pages::Args { runs: *runs, recorded: recorded.clone() }.measure(repo)?;
        record::print(repo, free_pages::TABLE, recorded.write, &free_pages)?;
        let report = Report {
            machine: capture.machine,
            targets: MACHINES
                .iter()
                .map(|&machine| memory(machine, &capture.runs, *dumps))
                .chain([time(&savers.runs)])
                .chain(pages(&free_pages.rows))
                .collect(),
        };
        record::print(repo, TABLE, recorded.write, &report)?;
        let missed: Vec<&str> =
            report.targets.iter().filter(|it| it.met != Met::Yes).map(|it| &*it.what).collect();
        ensure!(missed.is_empty(), "not met: {}", missed.join("; "));
        Ok(())
    }
}

/// A row: what is to be reached, and what was.
struct Target {
    what: String,
    wanted: String,
    measured: String,
    /// The same of kdump-tools or makedumpfile.
    theirs: String,
    met: Met,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Yes,
    No,
    /// Nothing was missed, and too little was measured.
    NotYet,
}

impl From<bool> for Met {
    fn from(is_met: bool) -> Self {
        if is_met { Self::Yes } else { Self::No }
    }
}

struct Report {
    /// Where panics were counted.
    machine: Machine,
    targets: Vec<Target>,
}

/// Whether each panic of a machine left a dump in this much crash memory.
fn memory((name, most_mib): (&str, u64), runs: &[capture::Run], wanted: u32) -> Target {
    let of: Vec<&capture::Run> = runs.iter().filter(|run| run.scenario == name).collect();
    let saved: Vec<&SavedDump> = of.iter().filter_map(|run| run.result.as_ref().ok()).collect();
    let in_memory = |one: &&&SavedDump| {
        let mib = one.crashkernel.strip_suffix('M').and_then(|mib| mib.parse::<u64>().ok());
        mib.is_some_and(|mib| mib <= most_mib)
    };
    let fit = saved.iter().filter(in_memory).count();
    let what = match saved.first() {
        Some(SavedDump { release, memory_mib, cpus, .. }) => {
            let release = release.split(['+', '-']).next().unwrap_or_default();
            let cpus = format!("{cpus} CPU{}", capture::plural(*cpus));
            format!("dumps of {} GiB, {cpus}, Linux {release} (`{name}`)", memory_mib >> 10)
        }
        None => format!("dumps of `{name}`"),
    };
    Target {
        what,
        wanted: format!("{wanted} of {wanted} in {most_mib} MiB"),
        measured: format!("{fit} of {}", of.len()),
        theirs: format!("kdump-tools asks for {}", Saver::KdumpTools.crashkernel()),
        met: match fit == of.len() && fit > 0 {
            true if fit < wanted as usize => Met::NotYet,
            all => all.into(),
        },
    }
}

/// How long a dump takes.
fn time(runs: &[Saved]) -> Target {
    let median = |saver| {
        let of = runs.iter().filter(|one| one.saver == saver);
        Range::of(of.map(|one| one.saved_after.as_secs_f64())).median
    };
    let ours = median(Saver::Capture);
    Target {
        what: format!("from the panic to the dump, {} GiB, ext4", MEMORY_MIB >> 10),
        wanted: format!("at most {LONGEST_S:.0} s"),
        measured: format!("{ours:.1} s"),
        theirs: format!("{:.1} s", median(Saver::KdumpTools)),
        met: (ours <= LONGEST_S).into(),
    }
}

/// What is in a dump, how large it is, and what it costs to make, beside makedumpfile.
fn pages(rows: &[Row]) -> [Target; 3] {
    let same = rows.iter().filter(|row| row.free[0] == row.free[1] && row.differences == 0).count();
    let largest = rows.iter().map(Row::size).fold(0.0, f64::max);
    let slowest = rows.iter().map(Row::speed).fold(f64::INFINITY, f64::min);
    let theirs = rows.first().map_or("", |row| &row.makedumpfile).to_owned();
    [
        Target {
            what: "kernels with the same free pages".into(),
            wanted: format!("{0} of {0}", rows.len()),
            measured: format!("{same} of {}", rows.len()),
            theirs: theirs.clone(),
            met: (same == rows.len()).into(),
        },
        Target {
            what: "size of the dump".into(),
            wanted: format!("at most {LARGEST} ×"),
            measured: format!("{largest:.2} ×"),
            theirs: theirs.clone(),
            met: (largest <= LARGEST).into(),
        },
        Target {
            what: "speed of the filter".into(),
            wanted: format!("at least {SLOWEST} ×"),
            measured: format!("{slowest:.2} ×"),
            theirs,
            met: (slowest >= SLOWEST).into(),
        },
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, targets } = self;
        writeln!(out, "# What `--capture` is to reach\n")?;
        writeln!(out, "Written by `cargo lab targets --write` on {machine}.\n")?;
        write!(out, "{}", machine.took_part())?;
        writeln!(out, "{NOTES}")?;
        writeln!(out, "| what | target | measured | beside | |\n| --- | --- | --- | --- | --- |")?;
        for Target { what, wanted, measured, theirs, met } in targets {
            let met = match met {
                Met::Yes => "met",
                Met::No => "**missed**",
                Met::NotYet => "so far",
            };
            writeln!(out, "| {what} | {wanted} | {measured} | {theirs} | {met} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::tests::run;

    #[test]
    fn machine_with_a_lost_dump_misses_its_target_and_too_few_runs_leave_it_open() {
        let machine = ("capture-ext4-nvme", 80);
        let complete = [run(1, Some(5)), run(2, Some(5))];
        let met = |machine, runs: &[_], wanted| memory(machine, runs, wanted).met;
        assert_eq!(met(machine, &complete, 2), Met::Yes);
        assert_eq!(met(machine, &complete, 3), Met::NotYet);
        let lost = [run(1, Some(5)), run(2, None)];
        assert_eq!(met(machine, &lost, 2), Met::No);
        assert_eq!(met((machine.0, 79), &complete, 2), Met::No, "too much memory");
        assert_eq!(met(("capture-raw", 80), &complete, 2), Met::No, "no run of this machine");
    }

    #[test]
    fn missed_target_stands_out_in_the_table() {
        let target = |what: &str, met| Target {
            what: what.into(),
            wanted: "at most 10 s".into(),
            measured: "9.0 s".into(),
            theirs: "27.0 s".into(),
            met,
        };
        let machine = crate::machine::tests::machine();
        let text =
            Report { machine, targets: vec![target("time", Met::Yes), target("more", Met::No)] }
                .to_string();
        assert!(text.contains("| time | at most 10 s | 9.0 s | 27.0 s | met |\n"), "{text}");
        assert!(
            text.ends_with("| more | at most 10 s | 9.0 s | 27.0 s | **missed** |\n"),
            "{text}"
        );
    }
}

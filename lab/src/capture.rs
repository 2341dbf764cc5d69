//! `cargo lab capture`: machines of every kind panic, and the /init of `load --capture` saves the
//! dump. Every scenario of `cargo xtask qemu` that is like `capture-raw` or `capture-ext4`.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: a table on stdout; with `--write` also in docs/, with its record. A run without a
//! complete dump is an error at the end.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Result, ensure};
use qemu_runner::{Lab, SavedDump, Scenario, scenarios};
use serde::{Deserialize, Serialize};

use crate::machine::{Figures, Machine};
use crate::range::Range;
use crate::record;
use crate::repository::{Repository, explain};

/// How many panics left a dump. Dumps and memory do not depend on the host, nor on its other work.
const RECORD: (&str, Figures) = ("docs/capture-matrix.jsonl", Figures::Counts);
const TABLE: &str = "docs/capture-matrix.md";
/// The scenarios of the gate; the others are like one of them.
const IN_GATE: [&str; 2] = ["capture-raw", "capture-ext4"];

/// How to read the table.
const NOTES: &str = "\
Each run boots a machine under QEMU (TCG) with Debian's kernel for cloud machines (`full-kernel-*`:
the one for every machine, whose drivers are modules), arms it with `load --capture`, adds a DIMM of
1 GiB and a CPU, frees memory with known content, and panics it. A dump counts if everything in it
was checked: each page can be read, a page written to the DIMM is there, freed pages are not, each
CPU has its notes, and the log has the panic. In `*-makedumpfile`, makedumpfile saves a dump of
level 31, which must not have that page: it is a program's.

* **memory**: of the machine before the DIMM, and its CPUs.
* **free**: the least available memory of the capture kernel that /init has seen, of all runs.
* **dump**: the median.

[savers.md](savers.md) has the time from a panic to its dump.
";

/// Panic machines of every kind whose dumps the /init of `load --capture` saves
#[derive(clap::Args)]
pub struct Args {
    /// Runs of each scenario
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// Only these scenarios
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    #[command(flatten)]
    pub recorded: record::Options,
}

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    pub scenario: String,
    /// Counts the runs of this scenario, from 1.
    pub number: u32,
    /// The dump; otherwise the error.
    pub result: Result<SavedDump, String>,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let report = self.measure(repo)?;
        record::print(repo, TABLE, self.recorded.write, &report)?;
        let failed = report.runs.iter().filter(|run| run.result.is_err()).count();
        ensure!(failed == 0, "{failed} of {} runs have no complete dump", report.runs.len());
        Ok(())
    }

    /// The runs, and those that the record had.
    pub fn measure(&self, repo: &Repository) -> Result<Report> {
        let rows: Vec<&Scenario> = scenarios().iter().filter(|row| self.wants(row)).collect();
        ensure!(!rows.is_empty(), "no scenario of the matrix has one of these names");
        let parts: BTreeSet<&str> = rows.iter().flat_map(|row| row.laboratory_parts()).collect();
        for part in parts {
            repo.xtask(&["setup", "--only", part])?;
        }
        let context = repo.prepare_guests(None)?;
        let all = (1..=self.count).flat_map(|number| rows.iter().map(move |row| (*row, number)));
        let is_of = |run: &Run, &(row, number): &(&Scenario, u32)| {
            run.scenario == row.name && run.number == number
        };
        let measure = |(row, number): (&Scenario, u32)| {
            let outcome = row.run(&context).map_err(explain);
            let result = outcome.map_err(|error| error.to_string()).and_then(|outcome| {
                outcome.evidence.saved.ok_or_else(|| "it is not of the matrix".to_owned())
            });
            let run = Run { scenario: row.name.to_owned(), number, result };
            let line = run.sentence();
            Ok((run, line))
        };
        let (machine, runs) = self.recorded.series(repo, RECORD, all, is_of, measure)?;
        Ok(Report { machine, runs })
    }

    fn wants(&self, row: &Scenario) -> bool {
        let like = match row.lab {
            Some(Lab::Like(name)) => name,
            Some(Lab::Case(_) | Lab::NotOurs(_)) => return false,
            None => row.name,
        };
        IN_GATE.contains(&like)
            && (self.only.is_empty() || self.only.iter().any(|name| name == row.name))
    }
}

impl Run {
    fn sentence(&self) -> String {
        let name = format!("{} {}", self.scenario, self.number);
        match &self.result {
            Ok(_) => format!("{name}: a complete dump"),
            Err(error) => format!("{name}: no complete dump\n{error}"),
        }
    }
}

pub struct Report {
    pub machine: Machine,
    pub runs: Vec<Run>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, runs } = self;
        writeln!(out, "# Dumps by `--capture`, on every kind of machine\n")?;
        writeln!(out, "Written by `cargo lab capture --write` on {machine}.\n")?;
        writeln!(out, "{}{NOTES}", machine.took_part())?;
        writeln!(
            out,
            "| scenario | Linux | target | bus | memory | crashkernel= | dumps | free, MiB \
             | dump, MiB |\n\
             | --- | --- | --- | --- | --- | --- | --- | ---: | ---: |"
        )?;
        let mut names: Vec<&str> = Vec::new();
        for run in runs {
            if !names.contains(&run.scenario.as_str()) {
                names.push(&run.scenario);
            }
        }
        for name in names {
            let of: Vec<&Run> = runs.iter().filter(|run| run.scenario == name).collect();
            row(out, name, &of)?;
        }
        let failed: Vec<&Run> = runs.iter().filter(|run| run.result.is_err()).collect();
        if !failed.is_empty() {
            writeln!(out, "\n## Without a complete dump\n")?;
        }
        for run in failed {
            let error = run.result.as_ref().err().map_or("", |error| error);
            let last = error.lines().last().unwrap_or_default();
            writeln!(out, "* {} {}: {last}", run.scenario, run.number)?;
        }
        Ok(())
    }
}

fn row(out: &mut fmt::Formatter<'_>, name: &str, runs: &[&Run]) -> fmt::Result {
    let saved: Vec<&SavedDump> = runs.iter().filter_map(|run| run.result.as_ref().ok()).collect();
    let dumps = format!("{} of {}", saved.len(), runs.len());
    let Some(one) = saved.first() else {
        return writeln!(out, "| `{name}` | | | | | | {dumps} | | |");
    };
    let SavedDump { target, bus, release, crashkernel, memory_mib, cpus, .. } = one;
    // Only the number.
    let release = release.split(['+', '-']).next().unwrap_or_default();
    let machine = format!("{} GiB, {cpus} CPU{}", memory_mib >> 10, plural(*cpus));
    let free = saved.iter().map(|one| one.record.memory.lowest_available_kib).min().unwrap_or(0);
    let bytes = |one: &&SavedDump| one.record.dump.map_or(0, |dump| dump.bytes) as f64;
    let bytes = Range::of(saved.iter().map(bytes));
    writeln!(
        out,
        "| `{name}` | {release} | {target} | {bus} | {machine} | {crashkernel} | {dumps} \
         | {:.1} | {:.1} |",
        free as f64 / 1024.0,
        bytes.median / f64::from(1 << 20),
    )
}

pub fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::machine::tests::machine;

    /// A run of `capture-ext4-nvme` in 80 MiB; `None` leaves no dump.
    pub fn run(number: u32, seconds: Option<u64>) -> Run {
        let result = seconds.map(|seconds| {
            // As qemu-runner writes it.
            let json = serde_json::json!({
                "target": "ext4", "bus": "NVMe", "release": "6.12.118+deb13-cloud-amd64",
                "crashkernel": "80M", "memory_mib": 1024, "cpus": 2,
                "saved_after": { "secs": seconds, "nanos": 0 },
                "record": {
                    "version": 1, "state": "complete", "began": 1, "kernel": null,
                    "log_bytes": null, "troubles": [],
                    "dump": { "format": "kdump-compressed", "bytes": 3 << 20, "pages": null },
                    "times": { "init_ms": 1, "target_ms": 2, "dump_ms": 3, "saved_ms": 4 },
                    "memory": { "total_kib": 20_000, "lowest_available_kib": 1024 * (9 - number) },
                },
            });
            serde_json::from_value(json).unwrap()
        });
        let result = result.ok_or_else(|| "a story\nit ended".to_owned());
        Run { scenario: "capture-ext4-nvme".into(), number, result }
    }

    #[test]
    fn row_has_the_least_memory_and_failures_are_named() {
        let runs = vec![run(1, Some(5)), run(2, Some(7)), run(3, None), run(4, Some(6))];
        let text = Report { machine: machine(), runs }.to_string();
        let row = "| `capture-ext4-nvme` | 6.12.118 | ext4 | NVMe | 1 GiB, 2 CPUs | 80M | 3 of 4 \
                   | 5.0 | 3.0 |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.ends_with("* capture-ext4-nvme 3: it ended\n"), "{text}");
    }

    #[test]
    fn matrix_has_every_bus_and_filesystem_and_no_measurement_or_trouble() {
        let all = Args { count: 1, only: vec![], recorded: record::Options::default() };
        let names: Vec<_> =
            scenarios().iter().filter(|row| all.wants(row)).map(|row| row.name).collect();
        for name in ["capture-raw", "capture-xfs-virtio-scsi", "new-kernel-capture-ext4"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("least") || name.ends_with("full")));
    }
}

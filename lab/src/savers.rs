//! `cargo lab savers`: the /init of `load --capture` and Debian's kdump-tools, on the same Debian.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: a table of medians on stdout; with `--write` also in docs/, with its record.

use std::fmt;

use anyhow::Result;
use qemu_runner::savers::{self, MEMORY_MIB, Saved, Saver};

use crate::machine::{Figures, Machine};
use crate::range::Range;
use crate::record;
use crate::repository::{Repository, explain};

const RECORD: &str = "docs/savers.jsonl";
pub const TABLE: &str = "docs/savers.md";

/// How to read the table.
const NOTES: &str = "\
Each run boots the same installed Debian 13 with Linux 6.12 for cloud machines from a disk, under
QEMU (TCG), and panics it. The savers take turns. Each machine is new, and has the `crashkernel=`
that its saver asks for.

* `load --capture`: dump level 17, zstd. It leaves out free pages.
* **kdump-tools**: its default initrd and reservation, makedumpfile 1.7.6 at dump level 31 with LZO,
  its fastest compression. This makedumpfile finds no free page of Linux 6.12.
* **saved after**: from the console's line about the panic to the saver's line about the dump, as
  the host saw them.
* **reset after**: to the reset of the machine, after which it boots again.
";

/// Save dumps by `load --capture` and by Debian's kdump-tools, in turn, and compare
#[derive(clap::Args)]
pub struct Args {
    /// Runs of each
    #[arg(long, default_value_t = 5)]
    pub count: u32,
    #[command(flatten)]
    pub recorded: record::Options,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        record::print(repo, TABLE, self.recorded.write, &self.measure(repo)?)
    }

    /// The runs, and those that the record had.
    pub fn measure(&self, repo: &Repository) -> Result<Report> {
        let context = repo.prepare_guests(None)?;
        let all = (1..=self.count).flat_map(|number| Saver::ALL.map(|saver| (saver, number)));
        let is_of = |one: &Saved, request: &_| (one.saver, one.number) == *request;
        let measure = |(saver, number): (Saver, _)| {
            let saved = savers::run(&context, saver, number).map_err(explain)?;
            let seconds = saved.saved_after.as_secs_f64();
            Ok((saved, format!("{} {number}: saved after {seconds:.1} s", saver.name())))
        };
        let record = (RECORD, Figures::Times);
        let (machine, runs) = self.recorded.series(repo, record, all, is_of, measure)?;
        Ok(Report { machine, runs })
    }
}

pub struct Report {
    pub machine: Machine,
    pub runs: Vec<Saved>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, runs } = self;
        writeln!(out, "# From the panic to the dump, beside kdump-tools\n")?;
        writeln!(out, "Written by `cargo lab savers --write` on {machine}.\n")?;
        writeln!(out, "{NOTES}")?;
        writeln!(
            out,
            "| saver | memory, MiB | crashkernel= | runs | saved after, s | reset after, s | dump, \
             MiB |\n| --- | ---: | --- | ---: | ---: | ---: | ---: |"
        )?;
        for saver in Saver::ALL {
            let of: Vec<&Saved> = runs.iter().filter(|one| one.saver == saver).collect();
            if of.is_empty() {
                continue;
            }
            let median =
                |value: fn(&Saved) -> f64| Range::of(of.iter().map(|one| value(one))).median;
            writeln!(
                out,
                "| {} | {MEMORY_MIB} | {} | {} | {:.1} | {:.1} | {:.1} |",
                saver.name(),
                saver.crashkernel(),
                of.len(),
                median(|one| one.saved_after.as_secs_f64()),
                median(|one| one.reset_after.as_secs_f64()),
                median(|one| one.dump_len as f64) / f64::from(1 << 20),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::tests::machine;

    #[test]
    fn row_has_the_medians_of_its_saver_alone() {
        let run = |saver, number, seconds| Saved {
            saver,
            number,
            saved_after: Duration::from_secs(seconds),
            reset_after: Duration::from_secs(seconds + 1),
            dump_len: 3 << 20,
        };
        let runs = [(1, 5), (2, 9), (3, 6)]
            .map(|(number, seconds)| run(Saver::Capture, number, seconds))
            .into_iter()
            .chain([run(Saver::KdumpTools, 1, 22)]);
        let text = Report { machine: machine(), runs: runs.collect() }.to_string();
        for row in [
            "| `load --capture` | 1024 | 80M | 3 | 6.0 | 7.0 | 3.0 |\n",
            "| kdump-tools | 1024 | 192M | 1 | 22.0 | 23.0 | 3.0 |\n",
        ] {
            assert!(text.contains(row), "{text}");
        }
    }
}

//! `cargo lab panics`: guests panic at drawn moments while memory and CPUs come and go. One guest
//! is armed by kdump-loader, one by kexec-tools' service, at the same moments.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: how many dumps there were, how many described exactly the memory that was there, and
//! the cause of each that did not; with `--write` also in docs/storm/. A miss without a cause is an
//! error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use qemu_runner::panics::{self, Cause, Draw, Ended, Panicked, draws};
use qemu_runner::storm::Contestant;

use crate::machine::{Figures, Machine};
use crate::record;
use crate::repository::{Repository, explain};

/// The two that are compared.
const CONTESTANTS: [Contestant; 2] = [Contestant::InKernel, Contestant::KexecPerEvent];

pub const RECORD: &str = "docs/storm/panics.jsonl";

/// How to read the report.
const NOTES: &str = "\
The guests run Linux 6.12 under TCG. From the first block of memory on, DIMMs and CPUs come and go,
one after another. Each moment is drawn beforehand, counts from that block, and is the same for both
contestants.

Each panic is judged by the headers of /proc/vmcore and by the dead kernel's memory: its memory map
just before, `kexec_crash_image` and `__kexec_lock`.
";

/// Panic guests at drawn moments while memory and CPUs come and go; name the cause of every miss
#[derive(clap::Args)]
pub struct Args {
    /// Number of moments; each is tried with kdump-loader and with kexec-tools
    #[arg(long, default_value_t = 40)]
    count: u32,
    /// The seed that moments and operations are drawn from
    #[arg(long, default_value_t = 6)]
    seed: u64,
    /// Boot this kernel instead, which must update the elfcorehdr itself (6.6 or newer)
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    bzimage: Option<PathBuf>,
    #[command(flatten)]
    recorded: record::Options,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let Self { count, seed, .. } = *self;
        let context = repo.prepare_guests(self.bzimage.as_deref())?;
        let draws = draws(seed, count);
        let all = draws.iter().flat_map(|draw| CONTESTANTS.map(|contestant| (draw, contestant)));
        let is_of = |one: &Panicked, &(draw, contestant): &(&Draw, _)| {
            one.draw == *draw && one.contestant == contestant
        };
        let measure = |(draw, contestant): (&Draw, _)| {
            let one = panics::run(&context, contestant, draw).map_err(explain)?;
            let line = format!("{:>3} {contestant}: {}", draw.number, one.sentence());
            Ok((one, line))
        };
        let record = (RECORD, Figures::Counts);
        let (machine, panicked) = self.recorded.series(repo, record, all, is_of, measure)?;
        let report = Report { machine, panicked };
        record::print(repo, "docs/storm/panics.md", self.recorded.write, &report)?;
        let unexplained = report.panicked.iter().filter(|one| one.cause == Cause::Unexplained);
        let (unexplained, all) = (unexplained.count(), report.panicked.len());
        ensure!(unexplained == 0, "{unexplained} of {all} panics ended without a known cause");
        Ok(())
    }
}

pub struct Report {
    pub machine: Machine,
    pub panicked: Vec<Panicked>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, panicked } = self;
        let count = panicked.len() / CONTESTANTS.len();
        writeln!(out, "# Panics at drawn moments\n")?;
        writeln!(out, "Written by `cargo lab panics --count {count} --write` on {machine}.\n")?;
        write!(out, "{}", machine.took_part())?;
        writeln!(out, "{NOTES}")?;
        let head = "| | panics | dumps | of exactly the memory that was there | seconds each |";
        writeln!(out, "{head}\n| --- | ---: | ---: | ---: | ---: |")?;
        let of = |contestant| panicked.iter().filter(move |one| one.contestant == contestant);
        for contestant in CONTESTANTS {
            let all = of(contestant).count();
            let dumps = of(contestant).filter(|one| one.ended == Ended::Dump).count();
            let complete = of(contestant).filter(|one| one.cause == Cause::Complete).count();
            let each = of(contestant).map(|one| one.took_s).sum::<u64>() / all.max(1) as u64;
            writeln!(out, "| {} | {all} | {dumps} | {complete} | {each} |", contestant.words())?;
        }
        for contestant in CONTESTANTS {
            let mut causes: BTreeMap<Cause, usize> = BTreeMap::new();
            of(contestant).for_each(|one| *causes.entry(one.cause).or_default() += 1);
            writeln!(out, "\n**{}**\n", contestant.words())?;
            for (cause, count) in causes {
                writeln!(out, "* {count} × {}", cause.words())?;
            }
        }
        let head =
            "| panic | µs after the block | contestant | devices before | in flight | result |";
        writeln!(out, "\n{head}\n| ---: | ---: | --- | ---: | --- | --- |")?;
        for one in panicked {
            let Panicked { contestant, draw, operations, in_flight, .. } = one;
            let (number, delay, sentence) = (draw.number, draw.delay_us, one.sentence());
            let flight = in_flight.as_deref().unwrap_or("-");
            writeln!(
                out,
                "| {number} | {delay} | {contestant} | {operations} | {flight} | {sentence} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::machine;

    #[test]
    fn the_report_counts_dumps_complete_ones_and_causes() {
        let record = include_str!("../../docs/storm/panics.jsonl");
        let panicked: Vec<Panicked> =
            record.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let text = Report { machine: machine(), panicked }.to_string();
        assert!(
            text.contains("| kdump-loader, the kernel updates the elfcorehdr | 40 | 37 | 18 |")
        );
        assert!(text.contains("* 36 × no dump: nothing was armed"), "{text}");
    }
}

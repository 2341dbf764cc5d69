//! `cargo lab panics`: guests panic at drawn moments while memory and CPUs come and go. One guest
//! is armed by kdump-loader, one by kexec-tools' service, at the same moments. With `--record
//! panics-virtio-mem`, kdump-loader alone meets two kernels, and virtio-mem is among the devices;
//! with `--record panics-capture`, `load --capture` saves the dumps of that series.
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
use clap::builder::PossibleValuesParser;
use qemu_runner::panics::{self, Cause, Ended, Panicked, Request, SERIES, draws};
use qemu_runner::storm::Contestant;

use crate::machine::{Figures, Machine};
use crate::record;
use crate::repository::{Repository, explain};

/// The contestants of all series, in the order of tables.
const CONTESTANTS: [Contestant; 3] =
    [Contestant::InKernel, Contestant::KexecPerEvent, Contestant::Capture];

/// Records: docs/storm/NAME.jsonl, with NAME.md beside it.
pub const RECORDS: [&str; 3] = ["panics", WITH_VIRTIO_MEM, WITH_CAPTURE];
const WITH_VIRTIO_MEM: &str = "panics-virtio-mem";
const WITH_CAPTURE: &str = "panics-capture";

/// How long a dump's list of memory may have been out of date.
const MOST_OUTDATED_MS: u64 = 500;

/// How to read the report.
const NOTES: &str = "\
The guests run under TCG. From the first block of memory on, DIMMs and CPUs come and go, one after
another; in the other records than panics.md, blocks of a device for virtio-mem do as well. Each
moment is drawn beforehand, counts from that block, and is the same for each contestant and kernel.

Each panic is judged by the dead kernel's memory (its memory map just before, `kexec_crash_image` and
`__kexec_lock`) and by the headers of /proc/vmcore; in panics-capture.md by the elfcorehdr in memory
and the dump on the disk, each page of which is read. Memory that was gone counts if the dump has a
page of it; memory that was there must be in the list, and the filter must not have left it out as
removed.
";

/// Panic guests at drawn moments while memory and CPUs come and go; name the cause of every miss
#[derive(clap::Args)]
pub struct Args {
    /// Number of moments; each is tried with each contestant on each kernel
    #[arg(long, default_value_t = 40)]
    count: u32,
    /// The seed that moments and operations are drawn from
    #[arg(long, default_value_t = 6)]
    seed: u64,
    /// Which record: `panics` has both loaders on 6.12; `panics-virtio-mem` has kdump-loader on
    /// 6.12 and 7, and `panics-capture` the same with `--capture`
    #[arg(long, default_value = RECORDS[0], value_parser = PossibleValuesParser::new(RECORDS))]
    record: String,
    /// Only this kernel series
    #[arg(long, value_parser = PossibleValuesParser::new(SERIES))]
    kernel: Option<String>,
    /// Only these contestants
    #[arg(long, value_delimiter = ',',
          value_parser = PossibleValuesParser::new(CONTESTANTS.map(Contestant::name)))]
    contestants: Vec<String>,
    /// Boot this kernel instead, which must update the elfcorehdr itself (6.6 or newer)
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    bzimage: Option<PathBuf>,
    #[command(flatten)]
    recorded: record::Options,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let context = repo.prepare_guests(self.bzimage.as_deref())?;
        let is_of = |one: &Panicked, request: &Request| request.is_of(one);
        let measure = |request: Request| {
            let one = panics::run(&context, &request).map_err(explain)?;
            let Request { contestant, series, draw, .. } = request;
            let line = format!("{:>3} {series} {contestant}: {}", draw.number, one.sentence());
            Ok((one, line))
        };
        let (path, table) = paths(&self.record);
        let record = (path.as_str(), Figures::Counts);
        let all = self.requests()?;
        let (machine, panicked) = self.recorded.series(repo, record, all, is_of, measure)?;
        let report = Report { name: self.record.clone(), machine, panicked };
        record::print(repo, &table, self.recorded.write, &report)?;
        let unexplained = report.panicked.iter().filter(|one| one.cause == Cause::Unexplained);
        let (unexplained, all) = (unexplained.count(), report.panicked.len());
        ensure!(unexplained == 0, "{unexplained} of {all} panics ended without a known cause");
        Ok(())
    }

    /// Every panic of the record, moment by moment.
    fn requests(&self) -> Result<Vec<Request>> {
        // In the first record, the series is that of its first rows.
        let (virtio_mem, series, contestants) = match self.record.as_str() {
            WITH_VIRTIO_MEM => (true, &SERIES[..], &[Contestant::InKernel][..]),
            WITH_CAPTURE => (true, &SERIES[..], &[Contestant::Capture][..]),
            _ => (false, &SERIES[..1], &[Contestant::InKernel, Contestant::KexecPerEvent][..]),
        };
        let of_series = |series: &&&str| self.kernel.as_ref().is_none_or(|only| only == **series);
        let named = |one: &&Contestant| {
            let is_named = self.contestants.iter().any(|name| name == one.name());
            is_named || self.contestants.is_empty()
        };
        let mut requests = Vec::new();
        for draw in draws(self.seed, self.count) {
            for &series in series.iter().filter(of_series) {
                let contestants = contestants.iter().filter(named).copied();
                requests.extend(contestants.map(|contestant| Request {
                    contestant,
                    series,
                    virtio_mem,
                    draw,
                }));
            }
        }
        ensure!(
            !requests.is_empty(),
            "{} has no panics of that kernel and contestant",
            self.record
        );
        Ok(requests)
    }
}

/// A record, and the table beside it.
pub fn paths(name: &str) -> (String, String) {
    (format!("docs/storm/{name}.jsonl"), format!("docs/storm/{name}.md"))
}

/// How long the oldest change that a dump misses had been done. A change that was still going on does
/// not count.
fn outdated_ms(panicked: &[&Panicked]) -> u64 {
    let late = panicked.iter().filter(|one| one.cause != Cause::InFlight);
    late.filter_map(|one| one.outdated_ms).max().unwrap_or(0)
}

/// What kdump-loader is to reach, and whether it does.
fn targets(panicked: &[&Panicked]) -> Vec<(&'static str, bool)> {
    let none = |causes: &[Cause]| !panicked.iter().any(|one| causes.contains(&one.cause));
    let mut targets = vec![
        ("every miss has a known cause", none(&[Cause::Unexplained])),
        ("no panic met an unloaded image, or one that was being loaded", {
            none(&[Cause::Unarmed, Cause::Loading])
        }),
        ("no dump's memory was out of date for more than 0.5 s", {
            outdated_ms(panicked) <= MOST_OUTDATED_MS
        }),
    ];
    // In the other series, no dump is saved.
    if panicked.iter().any(|one| one.contestant == Contestant::Capture) {
        targets.push(("every capture kernel saved the whole dump", none(&[Cause::Unsaved])));
    }
    targets
}

pub struct Report {
    pub name: String,
    pub machine: Machine,
    pub panicked: Vec<Panicked>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, machine, panicked } = self;
        let all = SERIES.iter().flat_map(|series| CONTESTANTS.map(|one| (*series, one)));
        let tried = |(series, contestant): &(&str, Contestant)| {
            panicked.iter().any(|one| one.series == *series && one.contestant == *contestant)
        };
        let kinds: Vec<_> = all.filter(tried).collect();
        let count = panicked.iter().map(|one| one.draw.number).max().unwrap_or(0);
        let record = if name == RECORDS[0] { "" } else { &format!("--record {name} ") };
        writeln!(out, "# Panics at drawn moments\n")?;
        writeln!(
            out,
            "Written by `cargo lab panics {record}--count {count} --write` on {machine}.\n"
        )?;
        write!(out, "{}", machine.took_part())?;
        writeln!(out, "{NOTES}")?;
        writeln!(
            out,
            "| | Linux | panics | dumps | of exactly the memory that was there | out of date by at \
             most | seconds each |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |"
        )?;
        let of = |(series, contestant): (&str, Contestant)| {
            let is_of = move |one: &&Panicked| one.series == series && one.contestant == contestant;
            panicked.iter().filter(is_of).collect::<Vec<_>>()
        };
        for &kind in &kinds {
            let all = of(kind);
            let dumps = all.iter().filter(|one| one.ended == Ended::Dump).count();
            let complete = all.iter().filter(|one| one.cause == Cause::Complete).count();
            let each = all.iter().map(|one| one.took_s).sum::<u64>() / all.len() as u64;
            let late_ms = outdated_ms(&all);
            let (series, words, panics) = (kind.0, kind.1.words(), all.len());
            writeln!(
                out,
                "| {words} | {series} | {panics} | {dumps} | {complete} | {late_ms} ms | {each} |"
            )?;
        }
        for &kind in &kinds {
            let mut causes: BTreeMap<Cause, usize> = BTreeMap::new();
            of(kind).iter().for_each(|one| *causes.entry(one.cause).or_default() += 1);
            writeln!(out, "\n**{}, Linux {}**\n", kind.1.words(), kind.0)?;
            for (cause, count) in causes {
                writeln!(out, "* {count} × {}", cause.words())?;
            }
            if kind.1 != Contestant::KexecPerEvent {
                writeln!(out)?;
                for (what, reached) in targets(&of(kind)) {
                    writeln!(out, "* {}: {what}", if reached { "met" } else { "MISSED" })?;
                }
            }
        }
        writeln!(
            out,
            "\n| panic | µs after the block | Linux | contestant | operations before | in flight | \
             result |\n| ---: | ---: | --- | --- | ---: | --- | --- |"
        )?;
        for one in panicked {
            let Panicked { contestant, series, draw, operations, in_flight, .. } = one;
            let (number, delay, sentence) = (draw.number, draw.delay_us, one.sentence());
            let flight = in_flight.as_deref().unwrap_or("-");
            writeln!(
                out,
                "| {number} | {delay} | {series} | {contestant} | {operations} | {flight} | \
                 {sentence} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::machine::tests::machine;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_report_counts_dumps_complete_ones_and_causes() {
        let record = include_str!("../../docs/storm/panics.jsonl");
        let panicked: Vec<Panicked> =
            record.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        let name = RECORDS[0].to_owned();
        let text = Report { name, machine: machine(), panicked }.to_string();
        let ours =
            "| kdump-loader, the kernel updates the elfcorehdr | 6.12 | 40 | 37 | 18 | 359 ms";
        assert!(text.contains(ours), "{text}");
        assert!(text.contains("* 36 × no dump: nothing was armed"), "{text}");
        assert_eq!(text.matches("* met: ").count(), 3, "{text}");
        let lost = |cause| {
            let line = record.lines().nth(1).unwrap();
            let one: Panicked = serde_json::from_str(line).unwrap();
            Panicked { contestant: Contestant::Capture, cause, outdated_ms: Some(501), ..one }
        };
        let met = |cause| {
            let lost = lost(cause);
            targets(&[&lost]).into_iter().map(|(_, met)| met).collect::<Vec<_>>()
        };
        assert_eq!(met(Cause::Stale), [true, true, false, true]);
        assert_eq!(met(Cause::InFlight), [true, true, true, true]);
        assert_eq!(met(Cause::Unarmed), [true, false, false, true]);
        assert_eq!(met(Cause::Unsaved), [true, true, false, false]);
    }

    #[test]
    fn virtio_mem_meets_both_kernels_and_the_first_record_stays_what_it_was() {
        let requests = |words: &str| {
            let line = ["panics"].into_iter().chain(words.split_whitespace());
            Line::try_parse_from(line).unwrap().args.requests().unwrap()
        };
        let record = include_str!("../../docs/storm/panics.jsonl");
        let recorded = record.lines().skip(1).map(|line| serde_json::from_str(line).unwrap());
        let first = requests("");
        assert_eq!(first.len(), 80);
        assert!(recorded.zip(&first).all(|(one, request): (Panicked, _)| request.is_of(&one)));
        let both = requests("--record panics-virtio-mem --count 200");
        assert_eq!(both.len(), 2 * 200);
        let by = |contestant: Contestant| {
            move |one: &Request| one.virtio_mem && one.contestant == contestant
        };
        assert!(both.iter().all(by(Contestant::InKernel)));
        let saved = requests("--record panics-capture --count 3");
        assert!(saved.len() == 2 * 3 && saved.iter().all(by(Contestant::Capture)));
        assert_eq!(requests("--record panics-virtio-mem --kernel 7 --count 2").len(), 2);
    }
}

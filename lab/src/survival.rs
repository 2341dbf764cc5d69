//! `cargo lab survival`: machines panic and are reset from outside, with the kernel at a random
//! place each time. How often does the next boot find the record, and the kernel log?
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: a table on stdout; with `--write` also in docs/, with its record. A share below the
//! target is an error.

use std::fmt;

use anyhow::{Result, ensure};
use qemu_runner::survival::{self, KINDS, Survived, resets};

use crate::machine::{Figures, Machine};
use crate::record;
use crate::repository::{Repository, explain};

const RECORD: &str = "docs/survival.jsonl";
const TABLE: &str = "docs/survival.md";
/// The share of resets after which the record shall be found.
const TARGET: f64 = 0.95;
/// The bound holds unless the series was one of the luckiest in so many.
const CONFIDENCE: f64 = 0.95;

/// How to read the table.
const NOTES: &str = "\
A machine panics, is reset by QMP `system_reset`, and boots again with the kernel at another random
place. Half of the panics end with a refused image, half in a capture kernel that saves nothing. The
first load of the next boot looks for what is left. The guests run Linux 6.12 under TCG with
`crashkernel=256M`. QEMU puts the kernel into memory, through an option ROM of SeaBIOS or by OVMF's
loader, without TPM. No boot loader and no firmware of a real machine was tested.

* **record**: `last` tells the purgatory's stage and verdict. Of up to four copies one must be
  intact.
* **kernel log**: all of it up to the panic, no record damaged. Of up to two copies one must be
  intact.
* **capture kernel's log**: it has no copy, and is lost where the next kernel lands on it.
";

/// Panic and reset guests whose kernel is at a random place; count the records that the next boot
/// finds
#[derive(clap::Args)]
pub struct Args {
    /// Number of resets, shared by four machines: SeaBIOS and OVMF, with 1 GiB and 4 GiB
    #[arg(long, default_value_t = 40)]
    count: u32,
    #[command(flatten)]
    recorded: record::Options,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let context = repo.prepare_guests(None)?;
        let is_of = |one: &Survived, reset: &_| one.reset == *reset;
        let measure = |reset| {
            let one = survival::run(&context, &reset).map_err(explain)?;
            let line = format!("{:>3} {}", reset.number, one.sentence());
            Ok((one, line))
        };
        let record = (RECORD, Figures::Counts);
        let (machine, survived) =
            self.recorded.series(repo, record, resets(self.count), is_of, measure)?;
        let report = Report { machine, survived };
        record::print(repo, TABLE, self.recorded.write, &report)?;
        let (found, all) = report.count(|one| one.record);
        ensure!(
            found as f64 >= TARGET * all as f64,
            "the record was found after {found} of {all} resets; the target is {TARGET}"
        );
        Ok(())
    }
}

struct Report {
    machine: Machine,
    survived: Vec<Survived>,
}

impl Report {
    fn count(&self, found: impl Fn(&Survived) -> bool) -> (usize, usize) {
        (self.survived.iter().filter(|one| found(one)).count(), self.survived.len())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, survived } = self;
        writeln!(out, "# What survives a reset\n")?;
        let count = survived.len();
        writeln!(out, "Written by `cargo lab survival --count {count} --write` on {machine}.\n")?;
        write!(out, "{}", machine.took_part())?;
        writeln!(out, "{NOTES}")?;
        writeln!(
            out,
            "| machine | resets | region moved | record | kernel log | capture kernel's log |\n\
             | --- | ---: | ---: | ---: | ---: | ---: |"
        )?;
        let row = |out: &mut fmt::Formatter<'_>, name: &str, of: Vec<&Survived>| {
            let count = |found: fn(&Survived) -> bool| of.iter().filter(|one| found(one)).count();
            let (moved, record) = (count(Survived::moved), count(|one| one.record));
            let (log, ran) = (count(|one| one.log), count(|one| one.capture_log.is_some()));
            let capture = count(|one| one.capture_log == Some(true));
            let all = of.len();
            writeln!(out, "| {name} | {all} | {moved} | {record} | {log} | {capture} of {ran} |")
        };
        for kind in KINDS {
            let of = survived.iter().filter(|one| one.reset.kind == kind).collect();
            row(out, &kind.to_string(), of)?;
        }
        row(out, "all", survived.iter().collect())?;
        writeln!(out)?;
        for (what, found) in
            [("record", self.count(|one| one.record)), ("kernel log", self.count(|one| one.log))]
        {
            let (found, all) = found;
            let share = 100.0 * found as f64 / all.max(1) as f64;
            let bound = 100.0 * lower_bound(found, all);
            let confidence = 100.0 * CONFIDENCE;
            writeln!(
                out,
                "The {what} was found after {found} of {all} resets, {share:.1} %. The true share \
                 is above {bound:.1} % ({confidence:.0} % confidence, Clopper-Pearson, one side)."
            )?;
        }
        let (intact, copies) = survived
            .iter()
            .fold((0, 0), |(intact, copies), one| (intact + one.intact, copies + one.copies));
        writeln!(out, "Of the record's {copies} copies, {intact} were intact.")?;
        let lost: Vec<_> = survived.iter().filter(|one| !one.record || !one.log).collect();
        if !lost.is_empty() {
            writeln!(out, "\n## Losses\n")?;
        }
        for one in lost {
            writeln!(out, "* {}: {}", one.reset.number, one.sentence())?;
        }
        Ok(())
    }
}

/// The smallest share with which `found` or more of `all` would be seen in 5 % of all series
/// (Clopper and Pearson 1934).
fn lower_bound(found: usize, all: usize) -> f64 {
    if found == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    // Each step halves the interval: enough for a double's precision.
    for _ in 0..f64::MANTISSA_DIGITS {
        let share = f64::midpoint(low, high);
        if at_least(found, all, share) < 1.0 - CONFIDENCE { low = share } else { high = share }
    }
    low
}

/// How likely `found` or more of `all` are, if each is found with this probability.
fn at_least(found: usize, all: usize, share: f64) -> f64 {
    let mut sum = 0.0;
    for lost in 0..=all - found {
        // C(all, lost), factor by factor.
        let ways: f64 =
            (0..lost).map(|index| (all - index) as f64 / (lost - index) as f64).product();
        sum += ways * share.powi((all - lost) as i32) * (1.0 - share).powi(lost as i32);
    }
    sum
}

#[cfg(test)]
mod tests {
    use qemu_runner::survival::Reset;

    use super::*;
    use crate::machine::tests::machine;

    fn survived(reset: Reset, record: bool) -> Survived {
        let regions = [0x2f00_0000, 0x2e00_0000];
        Survived {
            reset,
            regions,
            copies: 4,
            intact: if record { 3 } else { 0 },
            record,
            log: record,
            capture_log: None,
            took_s: 30,
        }
    }

    /// 0.05^(1/n) for a series without a loss.
    #[test]
    fn bound_is_the_one_of_clopper_and_pearson() {
        let near = |found, all, bound: f64| (lower_bound(found, all) - bound).abs() < 1e-6;
        assert!(near(40, 40, 0.05_f64.powf(1.0 / 40.0)) && near(1, 1, 0.05) && near(0, 9, 0.0));
        assert!((at_least(20, 21, lower_bound(20, 21)) - 0.05).abs() < 1e-9);
        assert!((at_least(2, 3, 0.5) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn report_counts_by_machine_and_names_every_loss() {
        let all = resets(8).into_iter().map(|reset| survived(reset, reset.number != 6));
        let report = Report { machine: machine(), survived: all.collect() };
        let text = report.to_string();
        assert!(text.contains("| OVMF, 1 GiB | 2 | 2 | 1 | 1 | 0 of 0 |"), "{text}");
        assert!(text.contains("| all | 8 | 8 | 7 | 7 | 0 of 0 |"), "{text}");
        assert!(text.contains("after 7 of 8 resets, 87.5 %"), "{text}");
        assert!(text.contains("32 copies, 21 were intact"), "{text}");
        assert!(text.contains("* 6: OVMF, 1 GiB: record lost (0 of 4 copies)"), "{text}");
    }
}

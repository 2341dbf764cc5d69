//! The table of storms.

use std::fmt;

use qemu_runner::storm::{Contestant, Measured, Pace, SAME_BURST_S};

use super::SERIES;
use crate::machine::Machine;

pub struct Table {
    /// The record's name.
    pub name: String,
    pub machine: Machine,
    pub measured: Vec<Measured>,
}

/// How to read the table, and figures of another measurement to compare it with.
const NOTES: &str = include_str!("notes.md");
const HEAD: &str = "\
| kernel | contestant | blocks | storm, s | bursts | reloads | copied, MiB | nothing armed, s \
| gaps | up to date after, s | quiet after, s | CPU, s | kernel's updates |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, machine, measured } = self;
        // A series that went on later is not in the order of its sizes.
        let mut measured: Vec<&Measured> = measured.iter().collect();
        measured.sort_by_key(|storm| storm.size.blocks);
        writeln!(out, "# Storms of memory\n")?;
        writeln!(out, "Written by `cargo lab storm --record {name} --write` on {machine}.\n")?;
        write!(out, "{HEAD}")?;
        for series in SERIES {
            for contestant in Contestant::OF_STORMS {
                let row = |one: &&&Measured| one.series == series && one.contestant == contestant;
                measured.iter().filter(row).try_for_each(|storm| write_row(out, storm))?;
            }
        }
        write_paces(out, &measured)?;
        for contestant in Contestant::OF_STORMS {
            writeln!(out, "\n`{contestant}`: {}.", contestant.words())?;
            for series in SERIES {
                if let Some(why) = contestant.impossible_on(series) {
                    writeln!(out, "Not on {series}: {why}.")?;
                }
            }
        }
        writeln!(out, "\nA pause of more than {SAME_BURST_S} s between two blocks ends a burst.")?;
        write!(out, "\n{NOTES}")
    }
}

fn write_row(out: &mut fmt::Formatter<'_>, storm: &Measured) -> fmt::Result {
    let Measured { release, contestant, size, reloads, gaps, .. } = storm;
    let up_to_date = storm.true_after_s.map_or("never".into(), |seconds| format!("{seconds:.2}"));
    let bursts = if storm.bursts == 0 { "-".into() } else { storm.bursts.to_string() };
    let updates = match storm.kernel_updates {
        0 => "-".into(),
        count => format!("{count} in {:.1} ms", storm.kernel_updates_s * 1e3),
    };
    writeln!(
        out,
        "| {release} | {contestant} | {} | {:.1} | {bursts} | {reloads} | {:.0} | {:.6} | {gaps} \
         | {up_to_date} | {:.1} | {:.1} | {updates} |",
        size.blocks,
        storm.storm_s,
        storm.copied_bytes as f64 / f64::from(1 << 20),
        storm.unprotected_s,
        storm.quiet_after_s,
        storm.cpu_s,
    )
}

const PACES: &str = "
## What a block costs as the machine grows

Mean of the last 64 blocks before each number, in ms for each block. One look is a \
                     `kdump-loader reload` that finds the image up to date.

| kernel | contestant | blocks | blocks/s | QEMU, ACPI, waiting | adding | bringing online | \
         elfcorehdr | one look, ms |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// The paces of the largest storm of each contestant and kernel, and every look.
fn write_paces(out: &mut fmt::Formatter<'_>, measured: &[&Measured]) -> fmt::Result {
    let alike = |one: &Measured, other: &Measured| {
        one.series == other.series && one.contestant == other.contestant
    };
    let is_largest = |one: &&&Measured| {
        !measured.iter().any(|other| alike(one, other) && other.size.blocks > one.size.blocks)
    };
    if measured.iter().all(|one| one.paces.is_empty()) {
        return Ok(());
    }
    out.write_str(PACES)?;
    for storm in measured.iter().filter(is_largest) {
        for pace in &storm.paces {
            let look = measured.iter().find(|one| {
                alike(one, storm) && usize::try_from(one.size.blocks) == Ok(pace.blocks)
            });
            let look_s = look.and_then(|one| one.look_s);
            let look = look_s.map_or("-".into(), |look_s| format!("{:.0}", look_s * 1e3));
            let Pace { blocks, block_s, add_s, online_s, update_s } = *pace;
            writeln!(
                out,
                "| {} | {} | {blocks} | {:.1} | {:.2} | {:.2} | {:.2} | {:.2} | {look} |",
                storm.release,
                storm.contestant,
                1.0 / block_s,
                (block_s - add_s) * 1e3,
                (add_s - online_s) * 1e3,
                (online_s - update_s) * 1e3,
                update_s * 1e3 + 0.0, // an empty sum is -0
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tests::machine;

    #[test]
    fn an_image_that_is_never_up_to_date_has_no_number() {
        let record = include_str!("../../../docs/storm/storm.jsonl");
        let first: Measured = serde_json::from_str(record.lines().nth(1).unwrap()).unwrap();
        let never = Measured { true_after_s: None, series: "6.1".into(), ..first };
        let text =
            Table { name: "storm".into(), machine: machine(), measured: vec![never] }.to_string();
        assert!(text.contains("| never |"), "{text}");
        assert!(text.contains("Not on 6.1: kernels before 6.6"), "{text}");
    }
}

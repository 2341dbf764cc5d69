//! `cargo lab long-life`: an image that stays armed for long.
//!
//! *On entry*: nothing; what is missing is brought and built.
//!
//! *On exit*: a guest has reloaded its image many times in a row, while its clock jumped and its
//! disk was full; another has seen many devices come and go. An event is one device that comes, or
//! one that goes. Both were armed all the time, and left a complete dump. With `--write` the
//! figures are in docs/storm/.

use std::fmt;

use anyhow::{Result, ensure};
use qemu_runner::long_life::{self, Came, Look};

use crate::machine::Machine;
use crate::record;
use crate::repository::{Repository, explain};

const RELOADS: &str = "docs/storm/long-life-reloads.md";
const DEVICES: &str = "docs/storm/long-life-devices.md";
/// How far memory may differ from the look after the first tenth, in KiB. A leak of a page per
/// reload would be as much after a thousand.
const MEMORY_DRIFT_KIB: u64 = 4096;
/// How far open files may differ.
const OPEN_FILES_DRIFT: u64 = 32;

/// Reload an image many times in a row, and let many devices come and go
#[derive(clap::Args)]
pub struct Args {
    /// Reloads in a row; 0 leaves them out
    #[arg(long, default_value_t = 1000)]
    reloads: u32,
    /// Events of devices, each of which comes or goes; 0 leaves them out
    #[arg(long, default_value_t = 10_000)]
    events: u32,
    /// The seed that devices are drawn from
    #[arg(long, default_value_t = long_life::SEED)]
    seed: u64,
    /// Write docs/storm/long-life-reloads.md and long-life-devices.md
    #[arg(long)]
    write: bool,
}

impl Args {
    pub fn run(&self, repo: &Repository) -> Result<()> {
        let Self { reloads, events, seed, write, .. } = *self;
        let context = repo.prepare_guests(None)?;
        let machine = Machine::here(repo)?;
        if reloads > 0 {
            let looks = long_life::reloads(&context, reloads).map_err(explain)?;
            let report = Reloads { machine: &machine, looks: &looks };
            record::print(repo, RELOADS, write, &report)?;
            steady(&looks)?;
        }
        if events > 0 {
            let mut say = |came: &Came| eprintln!("{} events, {} s", came.events(), came.took_s);
            let came = long_life::devices(&context, events, seed, &mut say).map_err(explain)?;
            record::print(repo, DEVICES, write, &Devices { machine: &machine, seed, came })?;
        }
        Ok(())
    }
}

/// Nothing grows with the reloads.
fn steady(looks: &[Look]) -> Result<()> {
    // The first tenth fills caches.
    let [_, settled, .., last] = looks else { return Ok(()) };
    let lost = settled.available_kib.saturating_sub(last.available_kib);
    ensure!(lost <= MEMORY_DRIFT_KIB, "{lost} KiB less memory is available after the reloads");
    let slab = last.slab_kib.saturating_sub(settled.slab_kib);
    ensure!(slab <= MEMORY_DRIFT_KIB, "the kernel's slab has grown by {slab} KiB");
    let open = last.open_files.abs_diff(settled.open_files);
    ensure!(open <= OPEN_FILES_DRIFT, "open files: {settled:?}, then {last:?}");
    ensure!(settled.files == last.files, "files of the loader: {settled:?}, then {last:?}");
    Ok(())
}

struct Reloads<'a> {
    machine: &'a Machine,
    looks: &'a [Look],
}

impl fmt::Display for Reloads<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, looks } = self;
        let count = looks.last().map_or(0, |last| last.reloads);
        writeln!(out, "# Reloads in a row\n")?;
        writeln!(
            out,
            "Written by `cargo lab long-life --reloads {count} --events 0 --write` on {machine}.\n"
        )?;
        writeln!(
            out,
            "`kdump-loader reload --force`, again and again, in one guest with Linux 6.12. After a \
             third the clock\njumps a year ahead, after two thirds back. After the last row, \
             /var/lib/kdump-loader is full, and ten\nmore reloads succeed. Then the kernel panics, \
             and its dump is complete.\n"
        )?;
        writeln!(
            out,
            "| reloads | memory available, KiB | slab, KiB | open files | files of the loader | KiB \
             of them |\n| ---: | ---: | ---: | ---: | ---: | ---: |"
        )?;
        for look in *looks {
            let Look { reloads, available_kib, slab_kib, open_files, files, files_kib } = look;
            writeln!(
                out,
                "| {reloads} | {available_kib} | {slab_kib} | {open_files} | {files} | \
                 {files_kib} |"
            )?;
        }
        Ok(())
    }
}

struct Devices<'a> {
    machine: &'a Machine,
    seed: u64,
    came: Came,
}

impl fmt::Display for Devices<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, seed, came } = self;
        let Came { dimms_came, dimms_went, cpus, toggled, refused, silent, .. } = came;
        let (events, minutes) = (came.events(), came.took_s / 60);
        writeln!(out, "# Devices that come and go\n")?;
        writeln!(
            out,
            "Written by `cargo lab long-life --reloads 0 --events {events} --seed {seed} --write` \
             on\n{machine}.\n"
        )?;
        writeln!(
            out,
            "One guest with Linux 6.12, {minutes} minutes. An event is one device that comes or \
             goes, drawn from the seed:\n"
        )?;
        writeln!(
            out,
            "| what | how often |\n| --- | ---: |\n| a DIMM of 128 MiB came | {dimms_came} |\n| a \
             DIMM went | {dimms_went} |\n| a CPU came or went; under TCG, QEMU does not let it \
             come again | {cpus} |\n| **events** | **{events}** |\n| between them, a CPU that \
             stays went offline or online | {toggled} |\n| rejected by the guest, or not answered \
             within a minute ({silent} of these) | {refused} |\n"
        )?;
        writeln!(
            out,
            "At each of {} looks, when all events were answered, an image was armed, and its \
             elfcorehdr listed exactly the\nmemory that was there. At the end it was, byte for \
             byte, what a fresh image gets. Then the kernel panicked, and its\ndump was complete.",
            came.compared
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(reloads: u32) -> Look {
        Look {
            reloads,
            available_kib: 500_000,
            slab_kib: 20_000,
            open_files: 64,
            files: 4,
            files_kib: 40,
        }
    }

    #[test]
    fn what_grows_with_the_reloads_is_an_error() {
        let same = [look(0), look(100), look(1000)];
        assert!(steady(&same).is_ok());
        let grows: [fn(&mut Look); 4] = [
            |look| look.available_kib -= 5000,
            |look| look.slab_kib += 5000,
            |look| look.open_files += 100,
            |look| look.files += 1,
        ];
        for grow in grows {
            let mut looks = same.clone();
            grow(&mut looks[2]);
            assert!(steady(&looks).is_err());
        }
    }
}

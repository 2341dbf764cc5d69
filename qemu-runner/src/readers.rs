//! A dump for its readers, crash and drgn, and what they must find in it.
//!
//! Memory and a CPU are hot-added after arming. A page with a known pattern lies in the new memory,
//! and a process that never leaves user space runs on the new CPU.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, check};
use crate::guest::setup::Content;
use crate::machine::deadline::Deadline;
use crate::machine::disk::{Bus, part_uuid};
use crate::scenario::LIMIT;
use crate::scenarios::saving::case::{self, Case};
use crate::stage::saved::Saved;
use crate::stage::{Crashed, First, Setup, Stage, number};

/// The kernel, whose debug symbols `cargo xtask setup --only readers` fetches.
const SERIES: &str = "6.12";
/// The CPU that comes.
const CPU: u32 = 2;
/// Marks the page.
const SEED: u64 = 1;

/// Which dump the readers get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// /proc/vmcore as it is.
    Vmcore,
    /// What the /init of `load --capture` has saved to a partition: kdump-compressed, without free
    /// pages.
    Saved,
}

/// A dump, and what is known of the crashed machine.
#[derive(Debug, Serialize)]
pub struct Crash {
    /// The dump.
    pub dump: PathBuf,
    /// CPUs that were online.
    pub cpus: usize,
    /// Physical address of the page in hot-added memory.
    pub sentinel: u64,
    /// Seed of that page's pattern.
    pub seed: u64,
    /// The hot-added CPU.
    pub cpu: u32,
    /// The process that runs on it.
    pub spinner: u32,
    /// Where that process's code is: the first virtual address, and one past the last.
    pub text: [u64; 2],
}

/// Crashes a machine and keeps the dump.
pub fn crash(context: &Context, kind: Kind) -> Result<Crash, Error> {
    let play = |stage: &mut Stage<'_>| {
        let mut first = match kind {
            Kind::Vmcore => {
                let series = Some(SERIES);
                let mut first =
                    stage.boot(&Setup { series, dimms: 1, spare_cpus: 1, ..Setup::default() })?;
                first.arm("")?;
                first
            }
            Kind::Saved => armed_to_save(stage)?,
        };
        first.grow()?;
        let (spinner, text) = spin(&mut first)?;
        let image = first.disk(0);
        let crashed = first.panic(Some(0))?;
        let (dump, crashed) = match kind {
            Kind::Vmcore => {
                let mut capture = crashed.capture()?;
                let core = capture.expect_dump()?;
                (capture.crashed.keep_vmcore(&core)?, capture.crashed)
            }
            Kind::Saved => saved(crashed, &image)?,
        };
        let victim = &crashed.victim;
        let sentinel = victim.sentinels.iter().find(|sentinel| sentinel.seed == SEED);
        let sentinel = sentinel.ok_or_else(|| Error::Failed("no sentinel was placed".into()))?;
        Ok(Crash {
            dump,
            cpus: victim.online_cpus,
            sentinel: sentinel.address,
            seed: SEED,
            cpu: CPU,
            spinner,
            text,
        })
    };
    Stage::play(context, "open-dump", Deadline::after(LIMIT), &[], play).map(|(crash, _)| crash)
}

/// Boots a machine with a disk, and arms it to save to the disk's partition.
fn armed_to_save<'s, 'c>(stage: &'s mut Stage<'c>) -> Result<First<'s, 'c>, Error> {
    let case = Case { series: Some(SERIES), ..Case::of(Bus::Nvme, Content::Nothing) };
    let mut first = stage.boot(&case.setup())?;
    first.load_drivers()?;
    let target = format!("PARTUUID={}", part_uuid(0));
    case::arm(&mut first, &target, &format!("the dump goes to {target}"))?;
    Ok(first)
}

/// Waits until the dump is saved, and copies it.
fn saved<'s, 'c>(
    mut crashed: Crashed<'s, 'c>,
    image: &Path,
) -> Result<(PathBuf, Crashed<'s, 'c>), Error> {
    crashed.await_saved()?;
    crashed.orderly_reset()?;
    Saved::in_partition(image)?.expect_complete(&crashed.victim)?;
    Ok((crashed.keep_saved(image)?, crashed))
}

/// Starts a shell that counts for nothing on the new CPU; its process ID, and its code's addresses.
fn spin(first: &mut First<'_, '_>) -> Result<(u32, [u64; 2]), Error> {
    let mask = 1 << CPU;
    let spin = format!("taskset {mask:x} sh -c 'while :; do :; done' & echo $!");
    let pid: u32 = number(&first.vm.run_ok(&spin)?)?;
    let maps = format!("grep -m 1 r-xp /proc/{pid}/maps");
    let line = first.vm.run_ok(&maps)?;
    let unclear = || Error::unreadable("the spinner's memory map", &line);
    let (from, to) =
        line.split(' ').next().and_then(|it| it.split_once('-')).ok_or_else(unclear)?;
    let hex = |text| u64::from_str_radix(text, 16).map_err(|_| unclear());
    let text = [hex(from)?, hex(to)?];
    check!(text[0] < text[1], "the spinner's code: expected a range, found {line}")?;
    first.note(format!("process {pid} spins on CPU {CPU}"));
    Ok((pid, text))
}

//! Does the black box outlive a reset? A machine panics, is reset from outside, and boots again
//! with its kernel at another random place (KASLR). `kdump-loader last` tells what it found.
//!
//! Machines differ in firmware and memory, which decide what a boot overwrites. The panic ends in
//! one of two ways: the purgatory refuses the image, or the capture kernel runs and saves nothing.

use std::fmt;
use std::time::{Duration, Instant};

use handoff::{RegionKind, Verdict};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, check_eq};
use crate::evidence::console::Said;
use crate::machine::deadline::Deadline;
use crate::stage::last::Told;
use crate::stage::{CAPTURE_APPEND, First, PANIC, Setup, Stage};

/// Time that one reset may take on a busy host.
const LIMIT: Duration = Duration::from_secs(600);

/// What runs before the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// BIOS.
    #[serde(rename = "seabios")]
    SeaBios,
    /// UEFI.
    Ovmf,
}

impl Firmware {
    const fn name(self) -> &'static str {
        match self {
            Self::SeaBios => "SeaBIOS",
            Self::Ovmf => "OVMF",
        }
    }
}

/// What decides how much of memory a boot overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// What runs first after a reset.
    pub firmware: Firmware,
    /// Memory at boot.
    pub memory_mib: u64,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {} GiB", self.firmware.name(), self.memory_mib >> 10)
    }
}

/// The machines of a series, in the order in which they take turns.
pub const KINDS: [Kind; 4] = [
    Kind { firmware: Firmware::SeaBios, memory_mib: 1024 },
    Kind { firmware: Firmware::Ovmf, memory_mib: 1024 },
    Kind { firmware: Firmware::SeaBios, memory_mib: 4096 },
    Kind { firmware: Firmware::Ovmf, memory_mib: 4096 },
];

/// What happens between the panic and the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// A bit of the image was flipped. The purgatory refuses it, and halts.
    Refused,
    /// The capture kernel's user space comes up, and saves nothing.
    Hang,
}

/// One reset of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Its number, from 1.
    pub number: u32,
    /// The machine.
    #[serde(flatten)]
    pub kind: Kind,
    /// How the crash ended before it.
    pub ending: Ending,
}

/// The first `count` resets: each machine in turn, once with either ending.
pub fn resets(count: u32) -> Vec<Reset> {
    let reset = |index: u32| {
        let (round, turn) = (index as usize / KINDS.len(), index as usize % KINDS.len());
        let ending = if round.is_multiple_of(2) { Ending::Refused } else { Ending::Hang };
        Reset { number: index + 1, kind: KINDS[turn], ending }
    };
    (0..count).map(reset).collect()
}

/// What the boot after a reset has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survived {
    /// Which reset.
    #[serde(flatten)]
    pub reset: Reset,
    /// Physical addresses of the crash region before and after.
    pub regions: [u64; 2],
    /// Record pages that were reserved.
    pub copies: u64,
    /// Those of them that are intact.
    pub intact: u64,
    /// `last` tells the stage that the purgatory had reached, and its verdict.
    pub record: bool,
    /// `last` has the crashed kernel's log, with the panic and no damaged record.
    pub log: bool,
    /// `last` has a log of the capture kernel, if that ran.
    pub capture_log: Option<bool>,
    /// Seconds of it all.
    pub took_s: u64,
}

impl Survived {
    /// Whether the second boot has put its crash region elsewhere.
    pub fn moved(&self) -> bool {
        self.regions[0] != self.regions[1]
    }

    /// All of it but the times, for people.
    pub fn sentence(&self) -> String {
        let found = |it: bool| if it { "found" } else { "lost" };
        let Self { copies, intact, .. } = self;
        let capture = self.capture_log.map(|it| format!(", capture kernel's log {}", found(it)));
        format!(
            "{}: record {} ({intact} of {copies} copies), kernel log {}{}{}",
            self.reset.kind,
            found(self.record),
            found(self.log),
            capture.unwrap_or_default(),
            if self.moved() { "; the region moved" } else { "" },
        )
    }
}

/// One reset of a machine of its own.
pub fn run(context: &Context, reset: &Reset) -> Result<Survived, Error> {
    let deadline = Deadline::after(LIMIT);
    let play = |stage: &mut Stage<'_>| reset_once(stage, reset);
    Stage::play(context, "survival", deadline, &[], play).map(|(survived, _)| survived)
}

fn reset_once(stage: &mut Stage<'_>, reset: &Reset) -> Result<Survived, Error> {
    let began = Instant::now();
    let Reset { kind: Kind { firmware, memory_mib }, ending, .. } = *reset;
    let efi = firmware == Firmware::Ovmf;
    let setup = Setup { memory_mib, efi, makedumpfile: false, ..Setup::default() };
    let mut first = stage.boot(&setup)?;
    first.survive_resets()?;
    let (armed, kept) = first.arm_black_box(CAPTURE_APPEND, "--on-corrupt halt")?;
    let before = first.crash_region()?.start;
    if ending == Ending::Refused {
        let kernel = armed.image.region(RegionKind::Kernel)?;
        first.flip_bit("the capture kernel", kernel.start, 0)?;
    }
    let mut crashed = first.panic(None)?;
    match ending {
        Ending::Refused => {
            // CPUs may be halted for a moment before that.
            crashed.await_said("the purgatory to halt", |said| *said == Said::Halted)?;
            crashed.await_halt()?;
            crashed.expect_verdict(Verdict::SegmentCorrupt)?;
        }
        Ending::Hang => crashed = crashed.capture()?.crashed,
    }
    crashed.press_reset(|_| Ok(()))?;
    let mut first: First<'_, '_> = crashed.boot_again(|_| Ok(()))?;
    let after = first.crash_region()?.start;
    let told = first.tell_after_boot(&kept)?;
    judge(reset, [before, after], &told, began.elapsed().as_secs())
}

/// Whatever is told must be true, and what is lost must be told as lost.
fn judge(reset: &Reset, regions: [u64; 2], told: &Told, took_s: u64) -> Result<Survived, Error> {
    let harvest = &told.json["last_harvest"];
    let (run, log, capture_log, copies) = match told.panics() {
        [panic] => (&panic["run"], &panic["log"], &panic["capture_log"], &panic["copies"]),
        _ => {
            let nothing = &harvest["nothing"];
            check_eq!(nothing["reason"], "no_record", "why `last` tells no panic")?;
            (&nothing["run"], &nothing["log"], &nothing["capture_log"], &nothing["copies"])
        }
    };
    let record = !run.is_null();
    if record {
        let (stage, verdict) = match reset.ending {
            Ending::Refused => ("refused", Verdict::SegmentCorrupt),
            Ending::Hang => ("jumped", Verdict::Ok),
        };
        told.expect_run(stage, verdict.word())?;
    }
    let panicked = told.panics().first().is_some_and(|panic| panic["panic_line"] == PANIC);
    let number = |name: &str| copies[name].as_u64().unwrap_or_default();
    Ok(Survived {
        reset: *reset,
        regions,
        copies: number("reserved"),
        intact: number("intact"),
        record,
        log: panicked && log["damaged"] == 0,
        capture_log: (reset.ending == Ending::Hang).then(|| !capture_log.is_null()),
        took_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_meets_both_endings_equally_often() {
        let all = resets(40);
        for kind in KINDS {
            for ending in [Ending::Refused, Ending::Hang] {
                let of = |one: &&Reset| one.kind == kind && one.ending == ending;
                assert_eq!(all.iter().filter(of).count(), 5, "{kind}");
            }
        }
        assert_eq!(resets(3)[..], all[..3]);
    }
}

//! What a panic came to, and the name of every miss. The names follow from facts alone; a miss that none of them fits is called unexplained, and
//! is a failure.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::draw::Draw;
use super::shown;
use super::upheaval::Upheaval;
use crate::iomem::{Iomem, without_any};
use crate::storm::Contestant;

/// How the machine ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// In a capture kernel with a /proc/vmcore.
    Dump,
    /// The kernel has panicked, and that was all.
    NoDump,
    /// The machine was reset.
    Reset {
        /// Because an exception could not be delivered.
        triple_fault: bool,
    },
}

/// Why a dump is missing or does not describe the memory that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nothing is wrong: the dump describes exactly the memory that was there.
    Complete,
    /// The dump differs only by the memory that was coming or going at that moment.
    InFlight,
    /// The dump describes memory that had gone before.
    Stale,
    /// The dump lacks memory that had come before.
    Missing,
    /// Both.
    StaleAndMissing,
    /// No dump: kexec_crash_loaded was 0, an image had been unloaded and the next was not there yet.
    Unarmed,
    /// No dump: a kexec_load(2) was under way, which frees the old image first.
    Loading,
    /// No dump: the kernel held its lock for something short of its own, an update of the elfcorehdr or a look at the image.
    LockWindow,
    /// A reset while a CPU came: under TCG the crash's non-maskable interrupt reaches one that waits for its first start-up interrupt, in real
    /// mode, which ends in a triple fault or in the firmware.
    QemuArtefact,
    /// None of these.
    Unexplained,
}

impl Cause {
    /// What it means, in a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Complete => "a dump of exactly the memory that was there",
            Self::InFlight => "a dump that differs by the memory in flight only",
            Self::Stale => "a dump that describes memory that had gone",
            Self::Missing => "a dump without memory that had come",
            Self::StaleAndMissing => "a dump that describes memory that had gone, and lacks some that had come",
            Self::Unarmed => "no dump: nothing was armed",
            Self::Loading => "no dump: an image was being loaded",
            Self::LockWindow => "no dump: the kernel held its own lock",
            Self::QemuArtefact => "a reset of QEMU's: a CPU waited for its first start-up interrupt",
            Self::Unexplained => "unexplained",
        }
    }
}

/// What the trigger has written down just before the panic.
pub struct Note {
    /// Whether kexec_crash_loaded was 1.
    pub armed: bool,
    /// Whether a kexec_load(2) was under way, or its like.
    pub loading: bool,
    /// The memory map.
    pub iomem: Iomem,
}

/// What is known of one panic.
pub struct Facts {
    /// How it ended.
    pub ended: Ended,
    /// The trigger's note.
    pub note: Option<Note>,
    /// Without a dump: whether `kexec_crash_image` points to an image.
    pub image: Option<bool>,
    /// Without a dump: whether `__kexec_lock` is held.
    pub locked: Option<bool>,
    /// The memory that the dump describes.
    pub described: Option<Vec<Range<u64>>>,
    /// What came and went.
    pub upheaval: Upheaval,
}

/// What one panic came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panicked {
    /// Who kept the image true.
    pub contestant: Contestant,
    /// When it came.
    pub draw: Draw,
    /// How many devices had come or gone.
    pub operations: u32,
    /// How many the guest had refused.
    pub refused: u32,
    /// What was in flight.
    pub in_flight: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// kexec_crash_loaded just before, if the note was found.
    pub armed: Option<bool>,
    /// Whether a load was under way just before.
    pub loading: Option<bool>,
    /// Without a dump: whether the kernel had an image.
    pub image: Option<bool>,
    /// Without a dump: whether its lock was held.
    pub locked: Option<bool>,
    /// Memory that the dump describes although it was not there.
    pub stale: Vec<String>,
    /// Memory that it lacks.
    pub missing: Vec<String>,
    /// For how long either had been so, in milliseconds: since the guest was done with the oldest of these changes.
    pub outdated_ms: Option<u64>,
    /// The name of it all.
    pub cause: Cause,
    /// How long it took, in whole seconds.
    pub took_s: u64,
}

impl Panicked {
    /// Draws the conclusions.
    pub fn of(contestant: Contestant, draw: &Draw, facts: &Facts, took_s: f64) -> Self {
        let note = facts.note.as_ref();
        let (stale, missing) = match (&facts.described, &facts.note) {
            (Some(described), Some(Note { iomem, .. })) => {
                let (described, there) = (iomem.dumpable(described), iomem.dumped());
                (without_any(&described, &there), without_any(&there, &described))
            }
            _ => (Vec::new(), Vec::new()),
        };
        let wrong = |changed: &Range<u64>| {
            stale.iter().chain(&missing).any(|range| range.start < changed.end && changed.start < range.end)
        };
        let since =
            facts.upheaval.changed.iter().filter(|(changed, _)| wrong(changed)).map(|(_, since)| since.as_millis() as u64);
        let outdated_ms = since.max();
        let text = |ranges: &[Range<u64>]| ranges.iter().map(shown).collect();
        Self {
            contestant,
            draw: *draw,
            operations: facts.upheaval.done,
            refused: facts.upheaval.refused,
            in_flight: facts.upheaval.in_flight.map(|operation| format!("{operation:?}")),
            ended: facts.ended,
            armed: note.map(|note| note.armed),
            loading: note.map(|note| note.loading),
            image: facts.image,
            locked: facts.locked,
            cause: cause(facts, &stale, &missing),
            stale: text(&stale),
            missing: text(&missing),
            outdated_ms,
            took_s: took_s as u64,
        }
    }

    /// In one sentence.
    pub fn sentence(&self) -> String {
        let words = self.cause.words();
        let ranges = [self.stale.as_slice(), &self.missing].concat().join(", ");
        match self.cause {
            Cause::InFlight => format!("{words}: {ranges}"),
            Cause::Stale | Cause::Missing | Cause::StaleAndMissing => {
                let since = self.outdated_ms.map_or(String::new(), |ms| format!(", {ms} ms before"));
                format!("{words}{since}: {ranges}")
            }
            Cause::Unexplained => {
                format!("{words}: {:?}, armed {:?}, image {:?}, locked {:?}", self.ended, self.armed, self.image, self.locked)
            }
            _ => words.into(),
        }
    }
}

fn cause(facts: &Facts, stale: &[Range<u64>], missing: &[Range<u64>]) -> Cause {
    let in_flight = facts.upheaval.in_flight;
    match facts.ended {
        // Without a note nothing is known of the memory that was there.
        Ended::Dump if facts.note.is_none() => Cause::Unexplained,
        Ended::Dump => {
            let moving = in_flight.and_then(|operation| operation.memory());
            let only_moving = |ranges: &[Range<u64>]| {
                ranges
                    .iter()
                    .all(|range| moving.as_ref().is_some_and(|moving| moving.start <= range.start && range.end <= moving.end))
            };
            match (stale.is_empty(), missing.is_empty()) {
                (true, true) => Cause::Complete,
                _ if only_moving(stale) && only_moving(missing) => Cause::InFlight,
                (false, true) => Cause::Stale,
                (true, false) => Cause::Missing,
                (false, false) => Cause::StaleAndMissing,
            }
        }
        Ended::NoDump => match (facts.image, facts.locked, facts.note.as_ref().map(|note| note.loading)) {
            (_, Some(true), Some(true)) => Cause::Loading,
            // The kernel takes the image away for microseconds while it writes the header.
            (_, Some(true), Some(false)) => Cause::LockWindow,
            (Some(false), Some(false), _) => Cause::Unarmed,
            _ => Cause::Unexplained,
        },
        Ended::Reset { .. } if matches!(in_flight, Some(super::draw::Operation::AddCpu)) => Cause::QemuArtefact,
        Ended::Reset { .. } => Cause::Unexplained,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::panics::draw::Operation;

    const BOOT: Range<u64> = 0x10_0000..0x3000_0000;
    const FIRST: Range<u64> = 0x1_0000_0000..0x1_0800_0000;
    const SECOND: Range<u64> = 0x1_0800_0000..0x1_1000_0000;

    fn iomem(ranges: &[Range<u64>]) -> Iomem {
        let lines: Vec<_> = ranges.iter().map(|range| format!("{:x}-{:x} : System RAM", range.start, range.end - 1)).collect();
        Iomem::parse(&format!("{}\n  01000000-01ffffff : Kernel code", lines.join("\n"))).unwrap()
    }

    fn dump(described: &[Range<u64>], there: &[Range<u64>], in_flight: Operation) -> Panicked {
        let changed = vec![(FIRST, Duration::from_millis(700)), (SECOND, Duration::from_millis(900))];
        let upheaval = Upheaval { done: 3, refused: 0, in_flight: Some(in_flight), changed };
        let facts = Facts {
            ended: Ended::Dump,
            note: Some(Note { armed: true, loading: false, iomem: iomem(there) }),
            image: None,
            locked: None,
            described: Some(described.to_vec()),
            upheaval,
        };
        Panicked::of(Contestant::InKernel, &Draw { number: 1, seed: 7, delay_us: 5 }, &facts, 12.9)
    }

    fn no_dump(loading: bool, image: bool, locked: bool) -> Cause {
        let facts = Facts {
            ended: Ended::NoDump,
            note: Some(Note { armed: image, loading, iomem: iomem(&[BOOT]) }),
            image: Some(image),
            locked: Some(locked),
            described: None,
            upheaval: Upheaval::default(),
        };
        Panicked::of(Contestant::KexecPerEvent, &Draw { number: 1, seed: 7, delay_us: 5 }, &facts, 1.0).cause
    }

    #[test]
    fn dump_of_exactly_the_memory_is_complete() {
        let panicked = dump(&[BOOT, FIRST], &[BOOT, FIRST], Operation::Online);
        assert_eq!((panicked.cause, panicked.took_s), (Cause::Complete, 12));
    }

    #[test]
    fn memory_in_flight_is_told_from_what_went_or_came_before() {
        let there = [BOOT, SECOND];
        assert_eq!(dump(&[BOOT, FIRST, SECOND], &there, Operation::RemoveDimm(0)).cause, Cause::InFlight);
        let stale = dump(&[BOOT, FIRST, SECOND], &there, Operation::RemoveDimm(1));
        assert_eq!((stale.cause, stale.stale.as_slice()), (Cause::Stale, &["0x100000000-0x107ffffff".to_owned()][..]));
        assert_eq!(stale.outdated_ms, Some(700), "what is right has been so for longer, and does not count");
        assert_eq!(dump(&[BOOT], &there, Operation::AddDimm(1)).cause, Cause::InFlight);
        assert_eq!(dump(&[BOOT], &there, Operation::Offline).cause, Cause::Missing);
        assert_eq!(dump(&[BOOT, FIRST], &there, Operation::Offline).cause, Cause::StaleAndMissing);
    }

    #[test]
    fn missing_dumps_are_named_by_loads_image_and_lock() {
        assert_eq!(no_dump(false, false, false), Cause::Unarmed);
        assert_eq!(no_dump(true, false, true), Cause::Loading);
        assert_eq!(no_dump(true, true, true), Cause::Loading, "at its end the new image is in place");
        assert_eq!(no_dump(false, true, true), Cause::LockWindow);
        assert_eq!(no_dump(false, false, true), Cause::LockWindow, "while the header is written");
        assert_eq!(no_dump(false, true, false), Cause::Unexplained);
    }

    #[test]
    fn dump_without_a_note_and_reset_without_a_new_cpu_are_unexplained() {
        let facts = |ended, in_flight| Facts {
            ended,
            note: None,
            image: None,
            locked: None,
            described: Some(vec![BOOT]),
            upheaval: Upheaval { in_flight: Some(in_flight), ..Upheaval::default() },
        };
        let of = |ended, in_flight| {
            Panicked::of(Contestant::InKernel, &Draw { number: 1, seed: 7, delay_us: 5 }, &facts(ended, in_flight), 1.0).cause
        };
        assert_eq!(of(Ended::Dump, Operation::Online), Cause::Unexplained);
        assert_eq!(of(Ended::Reset { triple_fault: true }, Operation::AddCpu), Cause::QemuArtefact);
        assert_eq!(of(Ended::Reset { triple_fault: true }, Operation::AddDimm(1)), Cause::Unexplained);
        assert_eq!(of(Ended::Reset { triple_fault: false }, Operation::AddCpu), Cause::QemuArtefact);
    }
}

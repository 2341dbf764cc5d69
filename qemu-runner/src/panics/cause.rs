//! The cause of every miss. The causes follow from facts alone. A miss that none of them fits is
//! unexplained, which fails the test.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::draw::Operation;
use super::upheaval::Upheaval;
use crate::evidence::iomem::Iomem;

/// How the machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// In a capture kernel with a /proc/vmcore.
    Dump,
    /// With the panic: no capture kernel started.
    NoDump,
    /// With a capture kernel that did not save the whole dump.
    Unsaved,
    /// With a reset.
    Reset {
        /// Whether it followed an exception that could not be delivered.
        triple_fault: bool,
        /// Whether SeaBIOS asked for it. The first records do not say.
        #[serde(default)]
        firmware: bool,
        /// Whether our purgatory had spoken. Records before `panics-capture` do not say.
        #[serde(default)]
        purgatory: bool,
    },
}

/// Why a dump is missing, or does not describe the memory that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// None: the dump describes exactly the memory that was there.
    Complete,
    /// The dump differs only by memory that came or went at that moment.
    InFlight,
    /// The dump describes memory that was gone before.
    Stale,
    /// The dump lacks memory that had come before.
    Missing,
    /// Both of these.
    StaleAndMissing,
    /// kexec_crash_loaded was 0: an image was unloaded, and the next was not loaded yet.
    Unarmed,
    /// A kexec_load(2) was under way, which frees the old image first.
    Loading,
    /// The kernel held its lock for an update of the elfcorehdr or a look at the image.
    LockWindow,
    /// A capture kernel did not save the whole dump.
    Unsaved,
    /// A reset while a CPU came, by the firmware or before the purgatory spoke. While each CPU
    /// that the kernel knows is online, it sends the crash's NMI to all CPUs but itself
    /// (`apic_send_IPI_allbutself`, arch/x86/kernel/apic/ipi.c): also to one that it does not know
    /// yet, and that waits for its first start-up interrupt. A processor would go on waiting. Under
    /// TCG it runs in real mode: into a triple fault, or into the firmware, which resets the
    /// machine while the purgatory works.
    QemuArtefact,
    /// None of these fits.
    Unexplained,
}

impl Cause {
    /// What it means, in a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Complete => "a dump of exactly the memory that was there",
            Self::InFlight => "a dump that differs only by the memory in flight",
            Self::Stale => "a dump that describes memory that was gone",
            Self::Missing => "a dump without memory that had come",
            Self::StaleAndMissing => {
                "a dump that describes memory that was gone, and lacks memory that had come"
            }
            Self::Unarmed => "no dump: nothing was armed",
            Self::Loading => "no dump: an image was being loaded",
            Self::LockWindow => "no dump: the kernel held its own lock",
            Self::Unsaved => "no dump: the capture kernel did not save all of it",
            Self::QemuArtefact => "a reset by QEMU: a CPU waited for its first start-up interrupt",
            Self::Unexplained => "unexplained",
        }
    }
}

/// What the trigger noted just before the panic.
pub struct Note {
    /// Whether kexec_crash_loaded was 1.
    pub armed: bool,
    /// Whether a kexec_load(2) or kexec_file_load(2) was under way.
    pub loading: bool,
    pub iomem: Iomem,
}

pub struct Facts {
    /// How it ended.
    pub ended: Ended,
    pub note: Option<Note>,
    /// Without a dump: whether `kexec_crash_image` points to an image.
    pub image: Option<bool>,
    /// Without a dump: whether `__kexec_lock` is held.
    pub locked: Option<bool>,
    pub described: Option<Vec<Range<u64>>>,
    pub upheaval: Upheaval,
}

/// The conclusion, where the dump describes `stale` memory and lacks what is `missing`.
pub fn cause(facts: &Facts, stale: &[Range<u64>], missing: &[Range<u64>]) -> Cause {
    let in_flight = facts.upheaval.in_flight;
    let moving = in_flight.and_then(Operation::memory);
    let is_moving = |range: &Range<u64>| {
        moving.as_ref().is_some_and(|moving| moving.start <= range.start && range.end <= moving.end)
    };
    let loading = facts.note.as_ref().map(|note| note.loading);
    match facts.ended {
        // Without a note, the memory that was there is unknown.
        Ended::Dump if facts.note.is_none() => Cause::Unexplained,
        Ended::Dump => match (stale.is_empty(), missing.is_empty()) {
            (true, true) => Cause::Complete,
            _ if stale.iter().chain(missing).all(is_moving) => Cause::InFlight,
            (false, true) => Cause::Stale,
            (true, false) => Cause::Missing,
            (false, false) => Cause::StaleAndMissing,
        },
        Ended::NoDump => match (facts.image, facts.locked, loading) {
            (_, Some(true), Some(true)) => Cause::Loading,
            // While the kernel writes the header, it has no image for microseconds.
            (_, Some(true), Some(false)) => Cause::LockWindow,
            (Some(false), Some(false), _) => Cause::Unarmed,
            _ => Cause::Unexplained,
        },
        Ended::Unsaved => Cause::Unsaved,
        Ended::Reset { firmware, purgatory, .. }
            if (firmware || !purgatory) && in_flight == Some(Operation::AddCpu) =>
        {
            Cause::QemuArtefact
        }
        Ended::Reset { .. } => Cause::Unexplained,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::panicked::Panicked;
    use super::super::{Draw, Request};
    use super::*;
    use crate::storm::Contestant;

    const BOOT: Range<u64> = 0x10_0000..0x3000_0000;
    const FIRST: Range<u64> = 0x1_0000_0000..0x1_0800_0000;
    const SECOND: Range<u64> = 0x1_0800_0000..0x1_1000_0000;

    fn iomem(ranges: &[Range<u64>]) -> Iomem {
        Iomem { system_ram: ranges.to_vec(), ..Iomem::default() }
    }

    fn facts(ended: Ended, in_flight: Operation) -> Facts {
        let changed =
            vec![(FIRST, Duration::from_millis(700)), (SECOND, Duration::from_millis(900))];
        let upheaval = Upheaval { done: 3, refused: 0, in_flight: Some(in_flight), changed };
        Facts { ended, note: None, image: None, locked: None, described: None, upheaval }
    }

    fn conclusion(facts: &Facts) -> Panicked {
        let request = Request {
            contestant: Contestant::InKernel,
            series: "7",
            virtio_mem: true,
            draw: Draw { number: 1, seed: 7, delay_us: 5 },
        };
        Panicked::of(&request, facts, 12.9)
    }

    fn dump(described: &[Range<u64>], there: &[Range<u64>], in_flight: Operation) -> Panicked {
        let note = Some(Note { armed: true, loading: false, iomem: iomem(there) });
        let described = Some(described.to_vec());
        conclusion(&Facts { note, described, ..facts(Ended::Dump, in_flight) })
    }

    fn no_dump(loading: bool, image: bool, locked: bool) -> Cause {
        let note = Some(Note { armed: image, loading, iomem: iomem(&[BOOT]) });
        let facts = facts(Ended::NoDump, Operation::Online);
        conclusion(&Facts { note, image: Some(image), locked: Some(locked), ..facts }).cause
    }

    #[test]
    fn a_dump_of_exactly_the_memory_is_complete() {
        let panicked = dump(&[BOOT, FIRST], &[BOOT, FIRST], Operation::Online);
        assert_eq!((panicked.cause, panicked.took_s), (Cause::Complete, 12));
    }

    #[test]
    fn memory_in_flight_is_told_from_memory_that_came_or_went_before() {
        let there = [BOOT, SECOND];
        assert_eq!(
            dump(&[BOOT, FIRST, SECOND], &there, Operation::RemoveDimm(0)).cause,
            Cause::InFlight
        );
        let stale = dump(&[BOOT, FIRST, SECOND], &there, Operation::RemoveDimm(1));
        assert_eq!(
            (stale.cause, stale.stale.as_slice()),
            (Cause::Stale, &["0x100000000-0x107ffffff".to_owned()][..])
        );
        assert_eq!(stale.outdated_ms, Some(700), "a change that the dump has does not count");
        assert_eq!(dump(&[BOOT], &there, Operation::AddDimm(1)).cause, Cause::InFlight);
        let resize = Operation::Resize { from: 2, to: 1 };
        let second = resize.memory().unwrap();
        assert_eq!(dump(&[BOOT, second], &[BOOT], resize).cause, Cause::InFlight);
        assert_eq!(dump(&[BOOT], &there, Operation::Offline).cause, Cause::Missing);
        assert_eq!(dump(&[BOOT, FIRST], &there, Operation::Offline).cause, Cause::StaleAndMissing);
    }

    #[test]
    fn missing_dumps_have_causes_by_loads_image_and_lock() {
        assert_eq!(no_dump(false, false, false), Cause::Unarmed);
        assert_eq!(no_dump(true, false, true), Cause::Loading);
        assert_eq!(no_dump(true, true, true), Cause::Loading, "the new image is already in place");
        assert_eq!(no_dump(false, true, true), Cause::LockWindow);
        assert_eq!(no_dump(false, false, true), Cause::LockWindow, "the header is being written");
        assert_eq!(no_dump(false, true, false), Cause::Unexplained);
    }

    #[test]
    fn a_dump_without_a_note_and_a_reset_without_a_new_cpu_are_unexplained() {
        let of = |ended, in_flight| conclusion(&facts(ended, in_flight)).cause;
        assert_eq!(of(Ended::Dump, Operation::Online), Cause::Unexplained);
        for triple_fault in [true, false] {
            let reset = |firmware, purgatory| Ended::Reset { triple_fault, firmware, purgatory };
            assert_eq!(of(reset(false, false), Operation::AddCpu), Cause::QemuArtefact);
            assert_eq!(of(reset(true, true), Operation::AddCpu), Cause::QemuArtefact);
            assert_eq!(of(reset(false, true), Operation::AddCpu), Cause::Unexplained);
            assert_eq!(of(reset(true, false), Operation::AddDimm(1)), Cause::Unexplained);
        }
    }
}

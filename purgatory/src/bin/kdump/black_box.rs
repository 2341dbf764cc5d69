//! `[4b]` Writes the record, copies the kernel log, and signals. `purgatory::black_box` says what.
//!
//! *On entry* of [`open`]: the seal holds. Until then, and if it never does, every function here
//! does nothing.
//!
//! *On exit* of every call: nothing but the reserved pages was written, and it took bounded time.
//!
//! What is needed is kept here, because the block in memory may change after its seal was checked.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

use handoff::black_box::{LogHeader, LogState, Record, RecordedException};
use handoff::report::Elfcorehdr;
use handoff::{Block, EngineId, Permissions, Verdict};
use purgatory::arch;
use purgatory::black_box::log::{self, Physical};
use purgatory::black_box::{ipmi, record};
use purgatory::received::Handoff;
use purgatory::received::black_box::{BlackBox, Kcs};
use purgatory::verify::{Difference, Place};
use zerocopy::FromZeros;

/// Milliseconds for all that a management controller is asked to do. Some take tens of
/// milliseconds for a byte.
const CONTROLLER_MS: u64 = 2000;
/// The event for a kernel that panicked and enters its capture kernel (PVPANIC_CRASH_LOADED,
/// docs/specs/pvpanic.rst of QEMU).
const PVPANIC_CRASH_LOADED: u8 = 1 << 1;
/// [`OPENED`] has this value if [`OPEN`] holds one. A stray write is unlikely to leave it there.
const SEAL_HELD: u32 = 0x6f70_656e;

/// What is known once the seal holds.
struct Open {
    record: Record,
    black_box: BlackBox,
    permissions: Permissions,
    entered_at: u64,
    tsc_khz: u32,
}

struct Room(UnsafeCell<MaybeUninit<Open>>);

// SAFETY: only one thread of Rust code exists, so nothing is shared.
unsafe impl Sync for Room {}

static OPEN: Room = Room(UnsafeCell::new(MaybeUninit::uninit()));
static OPENED: AtomicU32 = AtomicU32::new(0);

/// Forgets what a stray write may have left. Before it, nothing else here may be called.
pub fn close() {
    OPENED.store(0, Ordering::Relaxed);
}

fn opened() -> Option<&'static mut Open> {
    if OPENED.load(Ordering::Acquire) != SEAL_HELD {
        return None;
    }
    // SAFETY: `open` has written a value. Each function here drops its reference before it returns.
    // Where an exception's handler calls one, earlier references belong to code that never resumes:
    // the only code that does is the copy of the log, whose exceptions do not come here.
    Some(unsafe { &mut *OPEN.0.get().cast::<Open>() })
}

/// The seal holds: writes the first record, and signals that a kernel has panicked.
#[inline(never)] // its frame is gone before memory is verified
pub fn open(block: &Block, handoff: &Handoff, engine: EngineId, entered_at: u64) {
    let Handoff { permissions, tsc_khz, .. } = *handoff;
    let black_box = handoff.black_box.clone();
    let opened = Open { record: Record::new_zeroed(), black_box, permissions, entered_at, tsc_khz };
    // SAFETY: as in `opened`; there is no reference yet.
    let open = unsafe { &mut *OPEN.0.get() }.write(opened);
    OPENED.store(SEAL_HELD, Ordering::Release);
    open.step(|record, now| record::entered(record, block, engine, now));
    if let Some(port) = open.black_box.signals.pvpanic {
        arch::outb(port, PVPANIC_CRASH_LOADED);
    }
}

/// Copies the kernel log, if there is one.
#[inline(never)]
pub fn copy_log(block: &Block) -> LogState {
    let Some(open) = opened() else { return LogState::Absent };
    let Some(log) = &open.black_box.log else { return LogState::Absent };
    let alleged = &block.black_box.log;
    let state = log::copy(log, alleged, open.black_box.generation, &mut Addresses);
    open.step(|record, now| record::log_copied(record, state, now));
    state
}

/// A place differs; the record that names it is written later.
pub fn differs(place: &Place, difference: &Difference) {
    if let Some(open) = opened() {
        record::differs(&mut open.record, place, difference);
    }
}

/// Every segment was verified.
#[inline(never)]
pub fn verified(verdict: Verdict) {
    if let Some(open) = opened() {
        open.step(|record, now| record::verified(record, verdict, now));
    }
}

/// The capture kernel is entered next.
#[inline(never)]
pub fn jumps(elfcorehdr: Elfcorehdr) {
    if let Some(open) = opened() {
        record::elfcorehdr(&mut open.record, elfcorehdr);
        open.step(|record, now| record::ended(record, None, now));
    }
}

/// An exception ends the run.
pub fn raised(exception: RecordedException) {
    if let Some(open) = opened() {
        record::raised(&mut open.record, exception);
    }
}

/// The image is refused: writes the last record, then tells the management controller.
#[inline(never)]
pub fn refused(verdict: Verdict) {
    let Some(open) = opened() else { return };
    open.step(|record, now| record::ended(record, Some(verdict), now));
    if let Some(kcs) = open.black_box.signals.kcs {
        let ticks = CONTROLLER_MS * u64::from(open.tsc_khz);
        // Its failure changes nothing.
        let _ = ipmi::add_entry(&mut KcsPorts { kcs, started_at: arch::tsc(), ticks }, verdict);
    }
}

/// If the exception ended the copy of the log early, makes the copy's caller continue.
pub fn resume(frame: &mut arch::TrapFrame) -> bool {
    if OPENED.load(Ordering::Acquire) != SEAL_HELD {
        return false;
    }
    let open: *const Open = OPEN.0.get().cast();
    // SAFETY: inside a live static.
    let permissions = unsafe { &raw const (*open).permissions };
    // SAFETY: `open` has written a value. By its address, because the interrupted copy holds
    // references to the value and resumes.
    let permissions = unsafe { permissions.read() };
    arch::resume_copy(frame, permissions)
}

impl Open {
    /// Changes the record, given the microseconds since the purgatory's entry, and writes it to
    /// each of its pages.
    fn step(&mut self, change: impl FnOnce(&mut Record, u64)) {
        let ticks = arch::tsc().wrapping_sub(self.entered_at);
        change(&mut self.record, ticks.saturating_mul(1000) / u64::from(self.tsc_khz));
        self.write();
    }

    #[inline(never)] // once for all steps
    fn write(&mut self) {
        // Without a page, its CRC would be the most expensive part of verifying a small image.
        if self.black_box.records().next().is_none() {
            return;
        }
        let record: *const Record = record::closed(&mut self.record, arch::nmis());
        for page in self.black_box.records() {
            arch::copy(record.addr() as u64, page.start(), size_of::<Record>() as u64);
        }
    }
}

/// Memory at its physical addresses.
struct Addresses;

impl Physical for Addresses {
    fn copy(&mut self, from: u64, to: u64, len: u64) -> bool {
        arch::try_copy(from, to, len)
    }

    fn word(&mut self, at: u64) -> u64 {
        // SAFETY: it is inside a copy, which received/black_box.rs has shown to be memory of ours.
        // Volatile, because no Rust code wrote it; it need not be aligned.
        let bytes = unsafe { (at as *const [u8; 8]).read_volatile() };
        u64::from_le_bytes(bytes)
    }

    fn write_header(&mut self, at: u64, header: &LogHeader) {
        let from = (&raw const *header).addr() as u64;
        arch::copy(from, at, size_of::<LogHeader>() as u64);
    }
}

/// The registers of a KCS interface, for a limited time.
struct KcsPorts {
    kcs: Kcs,
    started_at: u64,
    ticks: u64,
}

impl ipmi::Ports for KcsPorts {
    fn status(&mut self) -> u8 {
        arch::inb(self.kcs.status)
    }

    fn read(&mut self) -> u8 {
        arch::inb(self.kcs.data)
    }

    fn control(&mut self, code: u8) {
        arch::outb(self.kcs.status, code);
    }

    fn write(&mut self, byte: u8) {
        arch::outb(self.kcs.data, byte);
    }

    fn expired(&mut self) -> bool {
        arch::tsc().wrapping_sub(self.started_at) > self.ticks
    }
}

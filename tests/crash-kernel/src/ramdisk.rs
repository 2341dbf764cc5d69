//! `[7]` The orders, from the ramdisk or from the place where others are awaited.
//!
//! *On exit*: every field was checked. Only the steps can decide two things: whether there is a CPU
//! to panic (`smp::run_on`), and whether stray writes damage our own memory (`steps.rs`).

use alloc::vec::Vec;
use core::fmt::Display;
use core::ops::Range;

use bootloader_api::BootInfo;
use orders::orders::{MAGIC, Mode, Nmi, Orders, Tables};
use orders::{PhysSpan, SealedSpan, StepKind, map};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::describe;
use crate::harness::{give_up, line};
use crate::memory::{self, PAGE, range};

/// A segment: its place, and its first bytes.
#[derive(Clone, Debug)]
pub struct Segment {
    pub memory: Range<u64>,
    /// The bytes that are copied to its start.
    pub bytes: &'static [u8],
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub kind: StepKind,
    /// Where a stray write goes.
    pub at: u64,
    /// The bytes that it writes.
    pub bytes: &'static [u8],
}

/// Valid orders. The fields are those of [`Orders`].
#[derive(Debug)]
pub struct Crash {
    pub tables: Tables,
    pub nmi: Nmi,
    pub la57: bool,
    pub panic_cpu: u32,
    pub possible_cpus: u32,
    pub entry: u64,
    pub nmi_ready: u64,
    pub initrd: PhysSpan,
    pub command_line: PhysSpan,
    pub segments: Vec<Segment>,
    pub steps: Vec<Step>,
    pub sealed: Vec<SealedSpan>,
}

/// The ramdisk's orders. If these are to wait, the orders that then arrive.
pub fn orders(boot: &BootInfo) -> Crash {
    let Some(start) = boot.ramdisk_addr.into_option() else {
        give_up(format_args!("there is no ramdisk"))
    };
    // SAFETY: the bootloader mapped the ramdisk there, with this length, permanently, and nothing
    // writes to it.
    let ramdisk =
        unsafe { core::slice::from_raw_parts(start as *const u8, boot.ramdisk_len as usize) };
    match mode(ramdisk) {
        (Mode::Crash, orders) => checked(orders, ramdisk),
        (Mode::Await, _) => {
            let file = awaited();
            let (Mode::Crash, orders) = mode(file) else {
                give_up(format_args!("the awaited orders are to wait for others"))
            };
            checked(orders, file)
        }
    }
}

/// The orders that a file begins with.
fn mode(file: &'static [u8]) -> (Mode, &'static Orders) {
    match Orders::ref_from_prefix(file) {
        Ok((orders, _)) if orders.magic == MAGIC => {
            (known(Mode::from_wire(orders.mode.get()), "mode", orders.mode), orders)
        }
        _ => give_up(format_args!("{} bytes that must begin with orders do not", file.len())),
    }
}

/// Waits until the runner has written to the place for orders, and returns that.
fn awaited() -> &'static [u8] {
    let start = memory::direct(map::ORDERS);
    let first: *const u64 = start.cast_const().cast();
    line!("awaiting orders");
    // SAFETY: `memory::take` has checked that this memory is usable. It is mapped permanently and
    // holds no Rust object. It is aligned, and a word has no invalid bit pattern. Volatile, because
    // the runner writes it.
    while unsafe { first.read_volatile() } != u64::from_le_bytes(MAGIC) {
        core::hint::spin_loop();
    }
    // SAFETY: the same memory. The runner wrote it while the machine was stopped and does not write
    // again, and `memory` allows no writes of ours there.
    unsafe { core::slice::from_raw_parts(start, map::ORDERS_LEN as usize) }
}

/// The orders with every number checked.
fn checked(orders: &Orders, file: &'static [u8]) -> Crash {
    zero(orders.reserved, "the orders");
    let possible_cpus = orders.possible_cpus.get();
    let fits = possible_cpus > 0 && u64::from(possible_cpus) <= map::MAX_CPUS;
    known(fits.then_some(()), "number of possible CPUs", possible_cpus);
    let la57 = [false, true].get(orders.la57.get() as usize).copied();
    let la57 = known(la57, "truth value", orders.la57);
    if la57 && !describe::has("la57") {
        give_up(format_args!("five levels of page tables are ordered of a CPU that has four"));
    }
    let mut segments: Vec<Segment> = Vec::new();
    for segment in used(&orders.segments, orders.segment_count.get(), "segments") {
        let segment = Segment { memory: range(segment.memory), bytes: part(file, segment.file) };
        admit(&segment, &segments);
        segments.push(segment);
    }
    let entry = orders.entry.get();
    let nmi = known(Nmi::from_wire(orders.nmi.get()), "kind of NMI", orders.nmi);
    let nmi_ready = orders.nmi_ready.get();
    let sealed = used(&orders.sealed, orders.sealed_count.get(), "sealed spans").to_vec();
    // All of these are read or entered later.
    let ready = (nmi == Nmi::Storm).then_some(PhysSpan::new(nmi_ready, size_of::<u64>() as u64));
    let spans = sealed.iter().map(|sealed| sealed.span).chain([orders.initrd, orders.command_line]);
    for span in spans.chain([PhysSpan::new(entry, 1)]).chain(ready) {
        let Range { start, end } = range(span);
        let holds = |segment: &Segment| segment.memory.start <= start && end <= segment.memory.end;
        if start == end || !segments.iter().any(holds) {
            give_up(format_args!("{start:#x}-{end:#x} are needed, but are not in a segment"));
        }
    }
    let step = |step: &orders::Step| {
        zero(step.reserved, "a step");
        let kind = known(StepKind::from_wire(step.kind.get()), "step", step.kind);
        Step { kind, at: step.at.get(), bytes: part(file, step.file) }
    };
    let tables = Tables::from_wire(orders.tables.get());
    Crash {
        tables: known(tables, "kind of descriptor tables", orders.tables),
        nmi,
        la57,
        panic_cpu: orders.panic_cpu.get(),
        possible_cpus,
        entry,
        nmi_ready,
        initrd: orders.initrd,
        command_line: orders.command_line,
        steps: used(&orders.steps, orders.step_count.get(), "steps").iter().map(step).collect(),
        segments,
        sealed,
    }
}

/// Checks what kexec_load(2) requires of a segment (`sanity_check_segment_list`,
/// kernel/kexec_core.c).
fn admit(segment: &Segment, before: &[Segment]) {
    let Segment { memory, bytes } = segment;
    let end = map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    let overlaps =
        |other: &Segment| other.memory.start < memory.end && memory.start < other.memory.end;
    let is_aligned = memory.start.is_multiple_of(PAGE) && memory.end.is_multiple_of(PAGE);
    let is_inside = memory.start >= map::CRASH_REGION_START && memory.end <= end;
    for (holds, what) in [
        (is_aligned, "is not aligned to pages"),
        (is_inside, "is not in the crash region"),
        (bytes.len() as u64 <= memory.end - memory.start, "is smaller than its bytes"),
        (!before.iter().any(overlaps), "overlaps another"),
    ] {
        if !holds {
            give_up(format_args!("the segment {memory:#x?} {what}"));
        }
    }
}

fn known<T>(value: Option<T>, what: &str, number: impl Display) -> T {
    value.unwrap_or_else(|| give_up(format_args!("{number} is not a valid {what}")))
}

fn zero(reserved: U32, of: &str) {
    if reserved.get() != 0 {
        give_up(format_args!("a reserved field of {of} is {reserved:#x}, not zero"));
    }
}

fn used<'a, T>(all: &'a [T], count: u32, what: &str) -> &'a [T] {
    known(all.get(..count as usize), what, count)
}

/// A part of the file that began with the orders.
fn part(file: &'static [u8], span: PhysSpan) -> &'static [u8] {
    let Range { start, end } = range(span);
    known(file.get(start as usize..end as usize), "part of the orders' file", start)
}

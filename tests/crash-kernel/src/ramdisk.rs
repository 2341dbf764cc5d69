//! `[8]` The orders, from the ramdisk or from the place where others are awaited.
//!
//! *On exit*: everything was checked. Only the steps can decide two things: whether there is a CPU
//! to panic (`smp::run_on`), and whether stray writes damage our own memory (`steps.rs`).

use core::ops::Range;

use orders::orders::MAGIC;
use orders::{Crash, Nmi, Orders, Segment, map};

use crate::describe;
use crate::harness::{give_up, line};
use crate::memory::{self, PAGE};

/// The ramdisk's orders. If these are to wait, the orders that then arrive.
pub fn orders(ramdisk: &'static [u8]) -> Crash<'static> {
    let orders = match read(ramdisk) {
        Orders::Await => read(awaited()),
        crash => crash,
    };
    let Orders::Crash(crash) = orders else {
        give_up(format_args!("the awaited orders are to wait for others"))
    };
    check(&crash);
    crash
}

fn read(file: &'static [u8]) -> Orders<'static> {
    Orders::from_file(file).unwrap_or_else(|error| {
        give_up(format_args!("{} bytes do not begin with orders: {error}", file.len()))
    })
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

fn check(crash: &Crash<'_>) {
    if !(1..=map::MAX_CPUS).contains(&crash.possible_cpus.into()) {
        give_up(format_args!("{} is no possible number of CPUs", crash.possible_cpus));
    }
    if crash.la57 && !describe::has("la57") {
        give_up(format_args!("five levels of page tables are ordered of a CPU that has four"));
    }
    for (index, segment) in crash.segments.iter().enumerate() {
        admit(segment, &crash.segments[..index]);
    }
    // All of these are read or entered later.
    let word = |at: u64| at..at.saturating_add(size_of::<u64>() as u64);
    let ready = (crash.nmi == Nmi::Storm).then(|| word(crash.nmi_ready));
    let spans = crash.sealed.iter().map(|sealed| &sealed.span);
    for Range { start, end } in
        spans.chain([&crash.initrd, &crash.command_line, &word(crash.entry)]).chain(&ready)
    {
        let holds =
            |segment: &Segment<'_>| segment.memory.start <= *start && *end <= segment.memory.end;
        if start >= end || !crash.segments.iter().any(holds) {
            give_up(format_args!("{start:#x}-{end:#x} are needed, but are not in a segment"));
        }
    }
}

/// Checks what kexec_load(2) requires of a segment (`sanity_check_segment_list`,
/// kernel/kexec_core.c).
fn admit(segment: &Segment<'_>, before: &[Segment<'_>]) {
    let Segment { memory, bytes } = segment;
    let end = map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    let overlaps =
        |other: &Segment<'_>| other.memory.start < memory.end && memory.start < other.memory.end;
    let is_aligned = memory.start.is_multiple_of(PAGE) && memory.end.is_multiple_of(PAGE);
    let is_inside =
        map::CRASH_REGION_START <= memory.start && memory.start <= memory.end && memory.end <= end;
    for (holds, what) in [
        (is_aligned, "is not aligned to pages"),
        (is_inside, "is not in the crash region"),
        (memory.start + bytes.len() as u64 <= memory.end, "is smaller than its bytes"),
        (!before.iter().any(overlaps), "overlaps another"),
    ] {
        if !holds {
            give_up(format_args!("the segment {memory:#x?} {what}"));
        }
    }
}

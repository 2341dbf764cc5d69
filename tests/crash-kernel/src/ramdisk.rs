//! [6] The orders, out of the ramdisk, and everything in them checked before anything happens.

use alloc::vec::Vec;

use bootloader_api::BootInfo;
use orders::orders::{MAGIC, Mode, Nmi, Orders, Tables};
use orders::{PhysSpan, SealedSpan, StepKind, map};
use zerocopy::FromBytes;

use crate::harness::give_up;

/// A segment: its place, and the bytes it begins with.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Its memory.
    pub memory: PhysSpan,
    /// What is copied to its start.
    pub bytes: &'static [u8],
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What happens.
    pub kind: StepKind,
    /// Where a stray write goes.
    pub at: u64,
    /// What it writes.
    pub bytes: &'static [u8],
}

/// Orders that make sense.
#[derive(Debug)]
pub struct Crash {
    pub mode: Mode,
    pub tables: Tables,
    pub nmi: Nmi,
    pub la57: bool,
    pub panic_cpu: u32,
    pub nmi_ready: u64,
    pub possible_cpus: u32,
    pub entry: u64,
    pub segments: Vec<Segment>,
    pub steps: Vec<Step>,
    pub sealed: Vec<SealedSpan>,
}

/// The orders as they stand in the ramdisk, and all of the ramdisk.
pub fn orders(boot: &BootInfo) -> (&'static Orders, &'static [u8]) {
    let Some(start) = boot.ramdisk_addr.into_option() else { give_up(format_args!("there is no ramdisk")) };
    // SAFETY: the bootloader mapped the ramdisk there, this long, for as long as we run; nobody writes to it.
    let file = unsafe { core::slice::from_raw_parts(start as *const u8, boot.ramdisk_len as usize) };
    match Orders::ref_from_prefix(file) {
        Ok((orders, _)) if orders.magic == MAGIC => (orders, file),
        _ => give_up(format_args!("the {} bytes of the ramdisk do not begin with orders", file.len())),
    }
}

/// The orders with every number looked at; `None` when the machine is only to be described.
pub fn checked(orders: &Orders, file: &'static [u8]) -> Option<Crash> {
    let mode = known(Mode::from_wire(orders.mode.get()), "mode");
    if mode == Mode::Describe {
        return None;
    }
    let segments = used(&orders.segments, orders.segment_count.get(), "segments");
    let steps = used(&orders.steps, orders.step_count.get(), "steps");
    let sealed = used(&orders.sealed, orders.sealed_count.get(), "sealed spans");
    let possible_cpus = orders.possible_cpus.get();
    if possible_cpus == 0 || u64::from(possible_cpus) > map::MAX_CPUS {
        give_up(format_args!("{possible_cpus} possible CPUs"));
    }
    let segment = |segment: &orders::Segment| {
        let bytes = part(file, segment.file);
        let inside = segment.memory.start.get() >= map::CRASH_REGION_START
            && segment.memory.end().is_some_and(|end| end <= map::CRASH_REGION_START + map::CRASH_REGION_LEN);
        if !inside || bytes.len() as u64 > segment.memory.len.get() {
            give_up(format_args!("segment {:x?} does not fit the crash region", segment.memory));
        }
        Segment { memory: segment.memory, bytes }
    };
    Some(Crash {
        mode,
        tables: known(Tables::from_wire(orders.tables.get()), "kind of descriptor tables"),
        nmi: known(Nmi::from_wire(orders.nmi.get()), "kind of NMI"),
        la57: orders.la57.get() != 0,
        panic_cpu: orders.panic_cpu.get(),
        nmi_ready: orders.nmi_ready.get(),
        possible_cpus,
        entry: orders.entry.get(),
        segments: segments.iter().map(segment).collect(),
        steps: steps
            .iter()
            .map(|step| Step {
                kind: known(StepKind::from_wire(step.kind.get()), "step"),
                at: step.at.get(),
                bytes: part(file, step.file),
            })
            .collect(),
        sealed: sealed.to_vec(),
    })
}

fn known<T>(value: Option<T>, what: &str) -> T {
    value.unwrap_or_else(|| give_up(format_args!("the orders name a {what} that does not exist")))
}

fn used<'a, T>(all: &'a [T], count: u32, what: &str) -> &'a [T] {
    all.get(..count as usize).unwrap_or_else(|| give_up(format_args!("{count} {what} are ordered, {} fit", all.len())))
}

/// A part of the ramdisk.
fn part(file: &'static [u8], span: PhysSpan) -> &'static [u8] {
    let range = span.end().map(|end| span.start.get() as usize..end as usize);
    range.and_then(|range| file.get(range)).unwrap_or_else(|| give_up(format_args!("{span:x?} is not in the ramdisk")))
}

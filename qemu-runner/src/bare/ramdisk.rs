//! (4) Orders for the crash kernel and their data, as one file: the bootloader's ramdisk, or memory
//! where a booted crash kernel awaits them.

use std::ops::Range;

use handoff::report::{Elfcorehdr, FIELD_LEN};
use handoff::{Block, RegionKind, Verdict};
use loader::image::Image;
use orders::orders::{MAX_SEALED, MAX_SEGMENTS, MAX_STEPS, Mode};
use orders::{Orders, PhysSpan, SealedSpan, Segment, Step, StepKind};
use zerocopy::IntoBytes;

use super::case::{Arrangement, Ended, Expect};
use super::memory::{Memory, Write, sha256, told};
use crate::error::{Error, check};
use crate::evidence::armed::{range, regions};
use crate::evidence::iomem::without_any;

/// A ramdisk that orders to wait for others.
pub fn awaiting() -> Vec<u8> {
    Orders::blank(Mode::Await).as_bytes().to_vec()
}

/// A ramdisk in the making: orders first, then bytes.
struct Ramdisk {
    orders: Orders,
    bytes: Vec<u8>,
}

impl Ramdisk {
    /// Appends `bytes` and says where they are.
    fn append(&mut self, bytes: &[u8]) -> PhysSpan {
        let offset = size_of::<Orders>() + self.bytes.len();
        self.bytes.extend(bytes);
        PhysSpan::new(offset as u64, bytes.len() as u64)
    }
}

/// A ramdisk that orders a crash: `image` is loaded, the arranged steps happen, then `memory`'s
/// damage, then the panic, of which `expect` must come.
pub fn crash(
    expect: &Expect,
    arrangement: &Arrangement,
    image: &Image<'_>,
    memory: &Memory,
) -> Result<Vec<u8>, Error> {
    let mut disk = Ramdisk { orders: Orders::blank(Mode::Crash), bytes: Vec::new() };
    disk.orders.tables = (arrangement.tables as u32).into();
    disk.orders.nmi = (arrangement.nmi as u32).into();
    disk.orders.panic_cpu = arrangement.panic_cpu.into();
    disk.orders.la57 = u32::from(arrangement.la57).into();
    disk.orders.possible_cpus = arrangement.possible_cpus.into();
    disk.orders.entry = image.entry().into();
    disk.orders.nmi_ready = memory.symbol("saved_cr4").into();
    disk.orders.initrd = region(image, RegionKind::Initrd)?;
    disk.orders.command_line = region(image, RegionKind::CommandLine)?;

    disk.orders.segment_count = fits("segments", image.segments().len(), MAX_SEGMENTS)?.into();
    for (index, segment) in image.segments().iter().enumerate() {
        let file = disk.append(segment.bytes());
        let memory = PhysSpan::new(segment.range().start(), segment.range().len());
        disk.orders.segments[index] = Segment { memory, file };
    }
    let writes = memory.writes();
    let count = arrangement.steps.len() + writes.len();
    disk.orders.step_count = fits("steps", count, MAX_STEPS)?.into();
    for (index, &kind) in arrangement.steps.iter().enumerate() {
        disk.orders.steps[index].kind = (kind as u32).into();
    }
    for (index, Write { at, bytes }) in (arrangement.steps.len()..).zip(&writes) {
        let kind = (StepKind::Write as u32).into();
        disk.orders.steps[index] =
            Step { kind, reserved: 0.into(), at: (*at).into(), file: disk.append(bytes) };
    }
    let mut sealed = sealed(expect, image, memory);
    sealed.extend(elfcorehdr(expect, arrangement, image, memory));
    disk.orders.sealed_count = fits("sealed spans", sealed.len(), MAX_SEALED)?.into();
    disk.orders.sealed[..sealed.len()].copy_from_slice(&sealed);
    Ok([disk.orders.as_bytes(), &disk.bytes].concat())
}

/// The bytes of a region, without what is there to fill its pages.
fn region(image: &Image<'_>, kind: RegionKind) -> Result<PhysSpan, Error> {
    let regions = regions(&told(image).block);
    let region = regions.iter().find(|region| region.kind.get() == kind as u32);
    let region =
        region.ok_or_else(|| Error::unreadable("the image", format!("no {}", kind.name())))?;
    Ok(PhysSpan::new(region.start.get(), region.file_len.get()))
}

fn fits(what: &str, count: usize, room: usize) -> Result<u32, Error> {
    check!(count <= room, "{what}: expected {room} at most, found {count}")?;
    Ok(count as u32)
}

/// What the payload must find unchanged. As they were loaded: every region with its zero tail, but
/// for the report, which the purgatory fills in, and for the payload's own tail, which it uses. As
/// they were at the panic: block and leaf table.
fn sealed(expect: &Expect, image: &Image<'_>, memory: &Memory) -> Vec<SealedSpan> {
    let loaded = &told(image).block;
    // If the verdict is ok, the payload finds what was there at the panic, even where a case has
    // changed and resealed it.
    let as_loaded =
        if expect.verdict == Verdict::Ok { memory.clone() } else { Memory::of(image, &[]) };
    let report = loaded.report.start.get();
    let report = report..report + FIELD_LEN as u64;
    let mut sealed = Vec::new();
    for region in regions(loaded) {
        let own = region.kind.get() == RegionKind::Kernel as u32;
        let len = if own { region.file_len.get() } else { region.mem_len.get() };
        let all = region.start.get()..region.start.get() + len;
        let parts = without_any(&[all], std::slice::from_ref(&report));
        sealed.extend(parts.into_iter().map(|part| seal(&as_loaded, part)));
    }
    let block = told(image).block_at.start();
    let block = block..block + size_of::<Block>() as u64;
    sealed.extend([block, range(&loaded.leaf_table)].map(|span| seal(memory, span)));
    sealed
}

/// The elfcorehdr: as it was loaded where the purgatory must put the copy back; as it is at the
/// panic if nothing has rewritten it.
fn elfcorehdr(
    expect: &Expect,
    arrangement: &Arrangement,
    image: &Image<'_>,
    memory: &Memory,
) -> Option<SealedSpan> {
    let span = range(&told(image).block.elfcorehdr);
    if let Ended::Booted(reported) | Ended::BootedNevertheless(reported, _) = expect.ended
        && reported.elfcorehdr == Elfcorehdr::Restored
    {
        return Some(seal(&Memory::of(image, &[]), span));
    }
    arrangement.steps.is_empty().then(|| seal(memory, span))
}

fn seal(memory: &Memory, span: Range<u64>) -> SealedSpan {
    let len = span.end - span.start;
    let sha256 = sha256(memory.read(span.start, len as usize));
    SealedSpan { span: PhysSpan::new(span.start, len), sha256 }
}

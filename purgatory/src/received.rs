//! `[4]` From allegations to proof: the block's values become types that need no further check.
//!
//! *On entry*: the block as found in memory. A stray write may have changed any of it, and the seal
//! is not checked yet.
//!
//! *On exit*:
//! * Every span is where it must be in relation to the others.
//! * Nothing wraps, and nothing overlaps what the purgatory writes.
//!
//! Whether the values are the *right* ones only the seal can tell. A crash region that is too large
//! may name memory that does not exist. Reading the leaf table from there raises a page fault,
//! which ends as a verdict.

use handoff::block::{
    HIGHEST_CONSOLE_PORT, MAGIC, MAX_LEAF_SIZE, MAX_PHYSICAL_BITS, MAX_REGIONS, MAX_RESET_DELAY_MS,
    MAX_TSC_KHZ, MIN_LEAF_SIZE, VERSION,
};
use handoff::region::leaves_in;
use handoff::report::FIELD_LEN;
use handoff::{
    Block, ConsoleKind, DIGEST_LEN, EngineId, OnCorrupt, PAGE_SIZE, Permissions, Region,
    RegionKind, Verdict,
};

pub mod black_box; // where the purgatory leaves its records

pub use crate::span::Span;
use black_box::{Around, BlackBox};

/// Where the purgatory is in memory, from the linker script's symbols.
#[derive(Clone, Copy, Debug)]
pub struct Itself {
    /// Address of its first byte.
    pub start: u64,
    /// Bytes from there to the first byte that changes at run time. Block, bss and stacks follow.
    pub written_offset: u64,
    /// Its length in bytes, including the stacks.
    pub image_len: u64,
}

/// A region whose place and leaves have been checked.
#[derive(Clone, Copy, Debug)]
pub struct ProvenRegion {
    /// What it holds.
    pub kind: RegionKind,
    /// All of it: file bytes, then zeroes.
    pub memory: Span,
    /// Number of its bytes that are hashed.
    pub file_len: u64,
}

impl ProvenRegion {
    /// The hashed part.
    pub fn file(self) -> Span {
        self.memory.first(self.file_len)
    }

    /// The part that must be zero.
    pub fn tail(self) -> Span {
        self.memory.after(self.file_len)
    }
}

/// The block's contents, proven.
#[derive(Clone, Debug)]
pub struct Handoff {
    regions: [Option<ProvenRegion>; MAX_REGIONS],
    /// One digest per leaf, in the order of the regions.
    pub leaf_table: Span,
    /// Bytes per leaf.
    pub leaf_size: u32,
    /// The engine that the loader chose.
    pub engine: EngineId,
    /// What may be executed.
    pub permissions: Permissions,
    /// What to do on corruption.
    pub on_corrupt: OnCorrupt,
    /// Where no PT_LOAD of the elfcorehdr may point.
    pub crash_region: Span,
    /// One past the highest physical address.
    pub phys_limit: u64,
    /// The elfcorehdr, all of its segment.
    pub elfcorehdr: Span,
    /// Its load-time copy.
    pub elfcorehdr_copy: Span,
    /// The report field in the command line.
    pub report: Span,
    /// The capture kernel's entry point.
    pub entry_rip: u64,
    /// The capture kernel's boot parameters.
    pub entry_rsi: u64,
    /// Ticks of the time-stamp counter per millisecond.
    pub tsc_khz: u32,
    /// Where the purgatory leaves its records.
    pub black_box: BlackBox,
}

impl Handoff {
    /// The regions, in the order of their leaves.
    pub fn regions(&self) -> impl Iterator<Item = &ProvenRegion> + Clone {
        self.regions.iter().flatten()
    }
}

/// Fails with `verdict` unless `condition` holds.
fn ensure(condition: bool, verdict: Verdict) -> Result<(), Verdict> {
    if condition { Ok(()) } else { Err(verdict) }
}

/// Checks every field of the block. The first invalid one decides the verdict.
pub fn receive(block: &Block, itself: &Itself) -> Result<Handoff, Verdict> {
    // Naming every field makes a new one fail to compile here until it is checked. `seal` is
    // checked against memory, later.
    let Block {
        magic,
        version,
        size,
        seal: _,
        purgatory,
        crash_region,
        leaf_table,
        leaf_size,
        region_count,
        engine,
        permissions,
        console,
        on_corrupt,
        reset_delay_ms,
        tsc_khz,
        reserved0,
        elfcorehdr,
        phys_limit,
        report,
        entry,
        black_box,
        regions,
    } = block;

    ensure(*magic == MAGIC, Verdict::BlockMagic)?;
    ensure(version.get() == VERSION, Verdict::BlockVersion)?;
    ensure(size.get() as usize == size_of::<Block>(), Verdict::BlockSize)?;
    ensure(reserved0.get() == 0, Verdict::BlockReserved)?;
    let permissions = Permissions::from_wire(permissions.get()).ok_or(Verdict::BlockReserved)?;

    let purgatory = Span::parse(purgatory).ok_or(Verdict::BlockBinding)?;
    ensure(
        purgatory.start() == itself.start && purgatory.start() % PAGE_SIZE == 0,
        Verdict::BlockBinding,
    )?;
    ensure(purgatory.len() >= itself.image_len, Verdict::BlockBinding)?;
    let crash_region = Span::parse(crash_region).ok_or(Verdict::BlockCrashRegion)?;
    ensure(
        crash_region.start() != 0 && crash_region.contains(purgatory),
        Verdict::BlockCrashRegion,
    )?;

    let engine = EngineId::from_wire(engine.get()).ok_or(Verdict::BlockEngine)?;
    let on_corrupt = OnCorrupt::from_wire(on_corrupt.get()).ok_or(Verdict::BlockPolicy)?;
    ensure(reset_delay_ms.get() <= MAX_RESET_DELAY_MS, Verdict::BlockPolicy)?;
    ensure((1..=MAX_TSC_KHZ).contains(&tsc_khz.get()), Verdict::BlockTsc)?;
    match ConsoleKind::from_wire(console.kind.get()).ok_or(Verdict::BlockConsole)? {
        ConsoleKind::None => ensure(console.port.get() == 0, Verdict::BlockConsole)?,
        ConsoleKind::Uart8250 => {
            ensure(permissions.allow(Permissions::PORT_IO), Verdict::BlockConsole)?;
            ensure(
                (1..=HIGHEST_CONSOLE_PORT.into()).contains(&console.port.get()),
                Verdict::BlockConsole,
            )?;
        }
    }

    let leaf_size = leaf_size.get();
    let in_limits = (MIN_LEAF_SIZE..=MAX_LEAF_SIZE).contains(&leaf_size);
    ensure(leaf_size.is_power_of_two() && in_limits, Verdict::BlockLeafSize)?;

    let elfcorehdr = Span::parse(elfcorehdr).ok_or(Verdict::BlockElfcorehdr)?;
    ensure(
        crash_region.contains(elfcorehdr) && !elfcorehdr.overlaps(purgatory),
        Verdict::BlockElfcorehdr,
    )?;
    let nameable = crash_region.end()..=1 << MAX_PHYSICAL_BITS;
    ensure(nameable.contains(&phys_limit.get()), Verdict::BlockElfcorehdr)?;

    // After the image, because the image is written to while it runs.
    let after_image = purgatory.after(itself.image_len);
    let own_text = purgatory.first(itself.written_offset);
    let regions = Bounds { crash_region, purgatory, own_text, after_image, elfcorehdr }
        .regions(region_count.get(), regions)?;
    let of_kind = |kind: RegionKind| regions.iter().flatten().find(|region| region.kind == kind);
    // The purgatory's own text must be a region: nothing else would detect that it changed.
    of_kind(RegionKind::Purgatory).ok_or(Verdict::BlockRegion)?;
    let copy = of_kind(RegionKind::ElfcorehdrCopy).ok_or(Verdict::BlockRegion)?.memory;

    let leaf_table = Span::parse(leaf_table).ok_or(Verdict::BlockLeafTable)?;
    let leaf_count: u64 =
        regions.iter().flatten().map(|region| leaves_in(region.file_len, leaf_size)).sum();
    ensure(
        after_image.contains(leaf_table) && !leaf_table.overlaps(copy),
        Verdict::BlockLeafTable,
    )?;
    ensure(leaf_table.len() == leaf_count * DIGEST_LEN as u64, Verdict::BlockLeafTable)?;

    let within = |kind: RegionKind, span: Option<Span>| {
        span.filter(|&span| of_kind(kind).is_some_and(|region| region.file().contains(span)))
            .ok_or(Verdict::BlockEntry)
    };
    let report = within(RegionKind::CommandLine, Span::parse(report))?;
    ensure(report.len() == FIELD_LEN as u64, Verdict::BlockEntry)?;
    let entry_rip = within(RegionKind::Kernel, Span::new(entry.rip.get(), 1))?.start();
    let entry_rsi = within(RegionKind::BootParams, Span::new(entry.rsi.get(), PAGE_SIZE))?.start();

    let phys_limit = phys_limit.get();
    let around = Around { crash_region, purgatory, elfcorehdr, regions: &regions, phys_limit };
    let black_box =
        black_box::receive(black_box, permissions, &around).ok_or(Verdict::BlockBlackBox)?;

    Ok(Handoff {
        regions,
        leaf_table,
        leaf_size,
        engine,
        permissions,
        on_corrupt,
        crash_region,
        phys_limit,
        elfcorehdr,
        elfcorehdr_copy: copy,
        report,
        entry_rip,
        entry_rsi,
        tsc_khz: tsc_khz.get(),
        black_box,
    })
}

/// Where regions may be.
struct Bounds {
    crash_region: Span,
    purgatory: Span,
    /// The part of the purgatory before the first byte that it writes.
    own_text: Span,
    /// The part of its segment after the image.
    after_image: Span,
    elfcorehdr: Span,
}

impl Bounds {
    /// The used regions. No two share a byte or a kind.
    fn regions(
        &self,
        count: u32,
        regions: &[Region; MAX_REGIONS],
    ) -> Result<[Option<ProvenRegion>; MAX_REGIONS], Verdict> {
        let count = usize::try_from(count).map_err(|_| Verdict::BlockRegionCount)?;
        ensure((1..=MAX_REGIONS).contains(&count), Verdict::BlockRegionCount)?;
        let (used, unused) = regions.split_at(count);
        ensure(
            unused.iter().all(|region| *region == zerocopy::FromZeros::new_zeroed()),
            Verdict::BlockReserved,
        )?;

        let mut proven: [Option<ProvenRegion>; MAX_REGIONS] = [None; MAX_REGIONS];
        for (index, region) in used.iter().enumerate() {
            let region = self.region(region)?;
            let clashes = |other: &ProvenRegion| {
                other.memory.overlaps(region.memory) || other.kind == region.kind
            };
            ensure(!proven.iter().flatten().any(clashes), Verdict::BlockRegion)?;
            proven[index] = Some(region);
        }
        Ok(proven)
    }

    fn region(&self, region: &Region) -> Result<ProvenRegion, Verdict> {
        let Region { start, file_len, mem_len, kind, reserved } = region;
        ensure(reserved.get() == 0, Verdict::BlockReserved)?;
        let kind = RegionKind::from_wire(kind.get()).ok_or(Verdict::BlockRegion)?;
        let memory = Span::new(start.get(), mem_len.get()).ok_or(Verdict::BlockRegion)?;
        let file_len = file_len.get();
        ensure(file_len <= memory.len() && !memory.is_empty(), Verdict::BlockRegion)?;
        let in_place = match kind {
            RegionKind::Purgatory => self.own_text.contains(memory),
            RegionKind::ElfcorehdrCopy => {
                self.after_image.contains(memory)
                    && file_len == memory.len()
                    && memory.len() <= self.elfcorehdr.len()
            }
            _ => {
                self.crash_region.contains(memory)
                    && !memory.overlaps(self.purgatory)
                    && !memory.overlaps(self.elfcorehdr)
            }
        };
        ensure(in_place, Verdict::BlockRegion)?;
        Ok(ProvenRegion { kind, memory, file_len })
    }
}

#[cfg(test)]
pub(crate) mod tests;

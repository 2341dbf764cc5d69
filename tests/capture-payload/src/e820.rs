//! The capture kernel's memory map: which memory it may use (arch/x86/kernel/e820.c).

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::range::Range;

/// `E820_TYPE_RAM`.
pub const RAM: u32 = 1;

/// `struct boot_e820_entry`.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Entry {
    /// First address.
    pub addr: U64,
    /// Bytes.
    pub size: U64,
    /// `enum e820_type`.
    pub kind: U32,
}

impl Entry {
    /// Its range, unless that wraps.
    pub fn range(&self) -> Option<Range> {
        Range::new(self.addr.get(), self.size.get())
    }

    /// Its range, if it is RAM.
    pub fn ram(&self) -> Option<Range> {
        self.range().filter(|_| self.kind.get() == RAM)
    }
}

/// The entries in the page, and those in setup_data.
pub type Map<'m> = (&'m [Entry], &'m [Entry]);

/// All entries.
pub fn entries<'m>((table, overflow): Map<'m>) -> impl Iterator<Item = &'m Entry> + Clone {
    table.iter().chain(overflow)
}

/// The first entry that is empty, wraps, or shares a byte with another.
pub fn malformed<'m>(map: Map<'m>) -> Option<&'m Entry> {
    entries(map).enumerate().find_map(|(index, entry)| {
        let range = entry.range().filter(|range| !range.is_empty());
        let mut others = entries(map)
            .enumerate()
            .filter(|&(other, _)| other != index)
            .filter_map(|(_, other)| other.range());
        let bad = range.is_none_or(|range| others.any(|other| range.overlaps(other)));
        bad.then_some(entry)
    })
}

/// The first address of `range` that is neither RAM nor in `hole`.
pub fn first_not_ram(map: Map<'_>, range: Range, hole: Range) -> Option<u64> {
    first_outside(entries(map).filter_map(Entry::ram).chain([hole]), range)
}

/// The first address of `range` that is in no entry, or in one of RAM.
pub fn first_not_reserved(map: Map<'_>, range: Range) -> Option<u64> {
    first_outside(
        entries(map).filter(|entry| entry.kind.get() != RAM).filter_map(Entry::range),
        range,
    )
}

/// The first address of `range` that is in none of `parts`.
fn first_outside(parts: impl Iterator<Item = Range> + Clone, range: Range) -> Option<u64> {
    let mut at = range.start();
    while at < range.end() {
        match parts.clone().find(|part| part.has(at)) {
            Some(part) => at = part.end(),
            None => return Some(at),
        }
    }
    None
}

/// Bytes of RAM in `range`, if the entries do not overlap.
pub fn ram_in(map: Map<'_>, range: Range) -> u64 {
    let inside = |ram: Range| {
        Range::between(ram.start().max(range.start()), ram.end().min(range.end())).len()
    };
    entries(map).filter_map(Entry::ram).map(inside).sum()
}

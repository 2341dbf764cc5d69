//! `[1]` Which part of the vmcore holds which physical memory.
//!
//! *On entry* the PT_LOAD segments, in any order; some overlap, because a vmcore may name the
//! kernel's text twice. *On exit* ranges that ascend and do not overlap.

use crate::PAGE_LEN;

/// Physical addresses have at most 52 bits (AMD64 architecture, volume 2, 5.1).
pub(crate) const PHYSICAL_BITS: u32 = 52;

/// A range of physical memory, and where the vmcore has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First physical address.
    pub start: u64,
    /// Physical address after the last.
    pub end: u64,
    /// Offset of the first byte in the vmcore.
    pub offset: u64,
}

/// All ranges of a vmcore.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    ranges: Vec<Range>,
}

impl Memory {
    /// Sorts the ranges. Where two overlap, the one that begins first keeps the addresses: both are
    /// the same memory.
    pub fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort_by_key(|range| (range.start, range.end));
        let mut end = 0;
        ranges.retain_mut(|range| {
            let cut = end.max(range.start) - range.start;
            if cut >= range.end - range.start {
                return false;
            }
            range.start += cut;
            range.offset += cut;
            end = range.end;
            true
        });
        Self { ranges }
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Bytes of all ranges. They are below 2^52, so the sum is, too.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// The number of the page after the last.
    pub fn end_pfn(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end.div_ceil(PAGE_LEN))
    }

    /// Offset of an address in the vmcore, and how many bytes follow it in the same range.
    pub fn find(&self, address: u64) -> Option<(u64, u64)> {
        let after = self.ranges.partition_point(|range| range.start <= address);
        let range = self.ranges[..after].last()?;
        (address < range.end).then(|| (range.offset + (address - range.start), range.end - address))
    }

    /// The ranges that touch the pages from `first` to before `end`.
    pub fn touching(&self, first: u64, end: u64) -> impl Iterator<Item = &Range> {
        let (first, end) = (first * PAGE_LEN, end * PAGE_LEN);
        let from = self.ranges.partition_point(|range| range.end <= first);
        self.ranges[from..].iter().take_while(move |range| range.start < end)
    }

    /// The first pages of all sections of `2^page_bits` pages that have memory, ascending.
    pub fn sections(&self, page_bits: u32) -> impl Iterator<Item = u64> {
        let mut next = 0;
        let numbers = self.ranges.iter().flat_map(move |range| {
            let first = next.max((range.start / PAGE_LEN) >> page_bits);
            next = next.max(((range.end.div_ceil(PAGE_LEN) - 1) >> page_bits) + 1);
            first..next
        });
        numbers.map(move |number| number << page_bits)
    }
}

//! Ranges of physical memory.

use orders::PhysSpan;
use orders::map::{CRASH_REGION_LEN, CRASH_REGION_START};

/// From `start` up to but excluding `end`, which is not below `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    start: u64,
    end: u64,
}

/// The crash region, which must contain everything that the loader wrote.
pub const CRASH_REGION: Range =
    Range::between(CRASH_REGION_START, CRASH_REGION_START + CRASH_REGION_LEN);
/// Where Linux keeps nothing of value (`reserve_real_mode`, arch/x86/realmode/init.c).
pub const LOW_1M: Range = Range::between(0, 1 << 20);

impl Range {
    /// `len` bytes from `start`, unless that wraps.
    pub const fn new(start: u64, len: u64) -> Option<Self> {
        match start.checked_add(len) {
            Some(end) => Some(Self { start, end }),
            None => None,
        }
    }

    /// From `start` up to `end`. Empty if `end` is below `start`.
    pub const fn between(start: u64, end: u64) -> Self {
        Self { start, end: if end < start { start } else { end } }
    }

    /// The span of the contract, unless it wraps.
    pub fn of(span: &PhysSpan) -> Option<Self> {
        Self::new(span.start.get(), span.len.get())
    }

    /// First address.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// One past the last address.
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Bytes.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether all of `other` is inside.
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether the byte at `address` is inside.
    pub const fn has(self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Whether a byte is in both.
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

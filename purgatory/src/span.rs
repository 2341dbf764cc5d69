//! `[4]` An address range after validation.

use handoff::PhysSpan;

/// A validated span of physical memory. Holding one proves:
///
/// * It does not wrap: its end is at most 2^64 - 1.
/// * `received.rs` made it, because no code outside this library can. So its place relative to the
///   crash region, the purgatory, the elfcorehdr and the other regions was checked.
///
/// It does not prove that the memory is mapped, or that the values are the *right* ones. Only the
/// seal shows the latter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u64,
    len: u64,
}

impl Span {
    /// The span as the block has it, unless it wraps.
    pub(crate) fn parse(span: &PhysSpan) -> Option<Self> {
        Self::new(span.start.get(), span.len.get())
    }

    /// `len` bytes from `start`, unless that wraps.
    pub(crate) fn new(start: u64, len: u64) -> Option<Self> {
        start.checked_add(len).map(|_| Self { start, len })
    }

    /// Its first `len` bytes. Panics if it is shorter.
    pub(crate) fn first(self, len: u64) -> Self {
        assert!(len <= self.len, "a part is no larger than the whole");
        Self { start: self.start, len }
    }

    /// What follows its first `len` bytes. Panics if it is shorter.
    pub(crate) fn after(self, len: u64) -> Self {
        assert!(len <= self.len, "a part is no larger than the whole");
        Self { start: self.start + len, len: self.len - len }
    }

    /// Physical address of the first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// Length in bytes.
    pub fn len(self) -> u64 {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// One past the last byte.
    pub fn end(self) -> u64 {
        self.start + self.len
    }

    /// Whether all of `other` is inside.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether a byte is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

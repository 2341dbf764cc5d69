//! `[4]` What an address range is once it has been looked at.

use handoff::PhysSpan;

/// A span of physical memory that ends below 2^64. Outside this crate's library nobody can make one, and in it only
/// `received.rs` does, which shows for each where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u64,
    len: u64,
}

impl Span {
    /// The span on the wire, unless it wraps.
    pub(crate) fn parse(span: &PhysSpan) -> Option<Self> {
        Self::new(span.start.get(), span.len.get())
    }

    /// `len` bytes from `start`, unless that wraps.
    pub(crate) fn new(start: u64, len: u64) -> Option<Self> {
        start.checked_add(len).map(|_| Self { start, len })
    }

    /// Its first `len` bytes, which it must have.
    pub(crate) fn first(self, len: u64) -> Self {
        assert!(len <= self.len, "a part is no larger than the whole");
        Self { start: self.start, len }
    }

    /// What follows its first `len` bytes, which it must have.
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

    /// Whether it holds no byte.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// One past the last byte.
    pub fn end(self) -> u64 {
        self.start + self.len
    }

    /// Whether all of `other` lies inside.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether a byte is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

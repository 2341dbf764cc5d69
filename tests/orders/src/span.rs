//! Spans of physical memory.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `len` bytes from physical address `start`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct PhysSpan {
    /// Physical address of the first byte.
    pub start: U64,
    /// Length in bytes.
    pub len: U64,
}

impl PhysSpan {
    /// `len` bytes from physical address `start`.
    pub fn new(start: u64, len: u64) -> Self {
        Self { start: U64::new(start), len: U64::new(len) }
    }

    /// One past the last address. `None` if that wraps.
    pub fn end(&self) -> Option<u64> {
        self.start.get().checked_add(self.len.get())
    }
}

/// A span, and its required contents.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct SealedSpan {
    /// Where.
    pub span: PhysSpan,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
}

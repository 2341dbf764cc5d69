//! A region: one span of memory that must be byte for byte what was loaded.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// One span to verify: `file_len` bytes hashed leaf by leaf, then zeroes up to `mem_len`.
///
/// Its leaves follow those of the previous region in the leaf table. Only its last leaf may be
/// shorter than the leaf size.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Region {
    /// Physical address of the first byte.
    pub start: U64,
    /// Bytes that came from a file or that the loader made.
    pub file_len: U64,
    /// Bytes in memory. The kernel zero-filled the rest at load (`kimage_load_crash_segment`,
    /// kernel/kexec_core.c).
    pub mem_len: U64,
    /// A [`RegionKind`].
    pub kind: U32,
    /// Zero.
    pub reserved: U32,
}

const _: () = {
    assert!(offset_of!(Region, start) == 0x00);
    assert!(offset_of!(Region, file_len) == 0x08);
    assert!(offset_of!(Region, mem_len) == 0x10);
    assert!(offset_of!(Region, kind) == 0x18);
    assert!(offset_of!(Region, reserved) == 0x1c);
    assert!(size_of::<Region>() == 0x20);
};

/// What a region contains. The block holds the number; the console and `kdump-loader plan` print
/// the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum RegionKind {
    /// The purgatory's own text and read-only data.
    Purgatory = 1,
    /// The capture kernel's protected-mode code, up to `init_size`.
    Kernel = 2,
    /// The capture kernel's initial RAM disk.
    Initrd = 3,
    /// `struct boot_params` and the setup_data nodes after it.
    BootParams = 4,
    /// The capture kernel's command line.
    CommandLine = 5,
    /// The load-time copy of the elfcorehdr, in the purgatory's segment.
    ElfcorehdrCopy = 6,
}

impl RegionKind {
    /// Every kind, in the order in which the loader lists regions.
    pub const ALL: [Self; 6] = [
        Self::Purgatory,
        Self::Kernel,
        Self::Initrd,
        Self::BootParams,
        Self::CommandLine,
        Self::ElfcorehdrCopy,
    ];

    /// The kind's name on the console, in tables and in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purgatory => "purgatory",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::BootParams => "boot-params",
            Self::CommandLine => "command-line",
            Self::ElfcorehdrCopy => "elfcorehdr-copy",
        }
    }

    /// The kind with this number, if there is one.
    pub fn from_wire(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

impl Region {
    /// A region of `kind`.
    pub fn new(kind: RegionKind, start: u64, file_len: u64, mem_len: u64) -> Self {
        Self {
            start: U64::new(start),
            file_len: U64::new(file_len),
            mem_len: U64::new(mem_len),
            kind: U32::new(kind as u32),
            reserved: U32::ZERO,
        }
    }
}

/// Number of leaves of `leaf_size` bytes in `file_len` bytes.
pub const fn leaves_in(file_len: u64, leaf_size: u32) -> u64 {
    file_len.div_ceil(leaf_size as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in RegionKind::ALL {
            assert_eq!(RegionKind::from_wire(kind as u32), Some(kind));
            assert!(kind.name().is_ascii());
        }
        assert_eq!(RegionKind::from_wire(0), None);
        assert_eq!(RegionKind::from_wire(7), None);
    }

    #[test]
    fn last_leaf_may_be_short_and_an_empty_region_has_none() {
        assert_eq!(leaves_in(0, 4096), 0);
        assert_eq!(leaves_in(1, 4096), 1);
        assert_eq!(leaves_in(4096, 4096), 1);
        assert_eq!(leaves_in(4097, 4096), 2);
    }
}

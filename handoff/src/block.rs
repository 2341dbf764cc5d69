//! The block itself: fixed width, little-endian, no padding, every offset asserted.
//!
//! A block's values are allegations until `purgatory/src/received.rs` has turned them into types
//! that carry the proof.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{BlackBox, DIGEST_LEN, Region};

/// The first eight bytes of a block. CR LF catches a text-mode copy, as in PNG's signature.
pub const MAGIC: [u8; 8] = *b"kdpurg\r\n";

/// The only version of the block that this crate describes.
pub const VERSION: u32 = 2;

/// Maximum number of regions in a block: `KEXEC_SEGMENT_MAX` (include/uapi/linux/kexec.h) bounds
/// the segments of an image.
pub const MAX_REGIONS: usize = 16;

/// Smallest leaf, in bytes: one page. Smaller leaves would make the leaf table too large.
pub const MIN_LEAF_SIZE: u32 = 4096;
/// Largest leaf, in bytes. A larger one would not say where the damage is.
pub const MAX_LEAF_SIZE: u32 = 64 << 20;
/// Default leaf size, in bytes.
pub const DEFAULT_LEAF_SIZE: u32 = 256 << 10;

/// Longest delay before a reset, in milliseconds: an hour. A longer one is a typing error or a
/// flipped bit.
pub const MAX_RESET_DELAY_MS: u32 = 3_600_000;
/// Default delay before a reset, in milliseconds. Also the longest delay that an unproven block can
/// cause.
pub const DEFAULT_RESET_DELAY_MS: u32 = 10_000;

/// Highest plausible frequency of a time-stamp counter, in kHz: 10 GHz, twice that of any current
/// CPU.
pub const MAX_TSC_KHZ: u32 = 10_000_000;

/// Widest physical address of any x86-64 CPU, in bits (SDM vol. 3A, "CR3 and physical-address
/// width").
pub const MAX_PHYSICAL_BITS: u32 = 52;

/// The highest first port of a UART: its eight registers must fit into the I/O space.
pub const HIGHEST_CONSOLE_PORT: u16 = 0xfff8;

/// A span of physical memory: `len` bytes from `start`.
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
}

/// Where the purgatory may print.
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
pub struct ConsoleSettings {
    /// A [`crate::ConsoleKind`].
    pub kind: U32,
    /// First I/O port of the UART, at most [`HIGHEST_CONSOLE_PORT`]. Zero without a console.
    pub port: U32,
}

/// The registers that the capture kernel's 64-bit entry point reads
/// (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
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
pub struct EntryRegs {
    /// Physical address of the entry point: load address + 0x200.
    pub rip: U64,
    /// Physical address of `struct boot_params`.
    pub rsi: U64,
}

/// Everything that the loader passes to the purgatory.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Block {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: U32,
    /// `size_of::<Block>()`.
    pub size: U32,
    /// SHA-256 of the block without this field, followed by the leaf table. It identifies the
    /// image.
    pub seal: [u8; DIGEST_LEN],
    /// The purgatory's own segment. `start` is the address that the loader bound it to.
    pub purgatory: PhysSpan,
    /// The crash region, which contains every segment.
    pub crash_region: PhysSpan,
    /// The leaf table, inside the purgatory's segment: 32 bytes for each leaf.
    pub leaf_table: PhysSpan,
    /// Bytes in a leaf: a power of two from [`MIN_LEAF_SIZE`] to [`MAX_LEAF_SIZE`].
    pub leaf_size: U32,
    /// Number of used `regions`, 1 to [`MAX_REGIONS`].
    pub region_count: U32,
    /// A [`crate::EngineId`].
    pub engine: U32,
    /// The [`crate::Permissions`].
    pub permissions: U32,
    /// Where to print.
    pub console: ConsoleSettings,
    /// A [`crate::OnCorrupt`].
    pub on_corrupt: U32,
    /// Delay before a reset, so that a failure can be read, in milliseconds; at most
    /// [`MAX_RESET_DELAY_MS`].
    pub reset_delay_ms: U32,
    /// Frequency of the time-stamp counter in kHz, 1 to [`MAX_TSC_KHZ`].
    pub tsc_khz: U32,
    /// Zero.
    pub reserved0: U32,
    /// The elfcorehdr segment. `len` is its memsz; the kernel may rewrite all of it.
    pub elfcorehdr: PhysSpan,
    /// One past the highest physical address of this machine (CPUID leaf 0x8000_0008, EAX bits
    /// 7:0), at most 2^[`MAX_PHYSICAL_BITS`].
    pub phys_limit: U64,
    /// The value of `purgatory.report=` on the capture kernel's command line:
    /// [`crate::report::FIELD_LEN`] bytes.
    pub report: PhysSpan,
    /// The capture kernel's entry.
    pub entry: EntryRegs,
    /// Where the purgatory leaves its records.
    pub black_box: BlackBox,
    /// The regions, in the order of their leaves. Unused ones are all zero.
    pub regions: [Region; MAX_REGIONS],
}

const _: () = {
    assert!(offset_of!(Block, magic) == 0x000);
    assert!(offset_of!(Block, version) == 0x008);
    assert!(offset_of!(Block, size) == 0x00c);
    assert!(offset_of!(Block, seal) == 0x010);
    assert!(offset_of!(Block, purgatory) == 0x030);
    assert!(offset_of!(Block, crash_region) == 0x040);
    assert!(offset_of!(Block, leaf_table) == 0x050);
    assert!(offset_of!(Block, leaf_size) == 0x060);
    assert!(offset_of!(Block, region_count) == 0x064);
    assert!(offset_of!(Block, engine) == 0x068);
    assert!(offset_of!(Block, permissions) == 0x06c);
    assert!(offset_of!(Block, console) == 0x070);
    assert!(offset_of!(Block, on_corrupt) == 0x078);
    assert!(offset_of!(Block, reset_delay_ms) == 0x07c);
    assert!(offset_of!(Block, tsc_khz) == 0x080);
    assert!(offset_of!(Block, reserved0) == 0x084);
    assert!(offset_of!(Block, elfcorehdr) == 0x088);
    assert!(offset_of!(Block, phys_limit) == 0x098);
    assert!(offset_of!(Block, report) == 0x0a0);
    assert!(offset_of!(Block, entry) == 0x0b0);
    assert!(offset_of!(Block, black_box) == 0x0c0);
    assert!(offset_of!(Block, regions) == 0x180);
    assert!(size_of::<Block>() == 0x180 + MAX_REGIONS * size_of::<Region>());
};

impl Block {
    /// A block of zeroes with magic, version and size set. The loader starts from it.
    pub fn blank() -> Self {
        use zerocopy::FromZeros;
        let mut block = Self::new_zeroed();
        block.magic = MAGIC;
        block.version = U32::new(VERSION);
        block.size = U32::new(size_of::<Self>() as u32);
        block
    }

    /// The bytes that the seal covers, in hashing order. The leaf table follows them.
    pub fn sealed_bytes(&self) -> [&[u8]; 2] {
        let (before, rest) = self.as_bytes().split_at(offset_of!(Block, seal));
        [before, &rest[DIGEST_LEN..]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_block_carries_magic_version_and_size() {
        let block = Block::blank();
        let bytes = block.as_bytes();
        assert_eq!(&bytes[..8], b"kdpurg\r\n");
        assert_eq!(bytes[8..16], [2, 0, 0, 0, 0x80, 3, 0, 0]);
        assert!(bytes[16..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn sealed_bytes_are_all_but_the_seal() {
        let mut block = Block::blank();
        block.seal = [0xaa; DIGEST_LEN];
        let [before, after] = block.sealed_bytes();
        assert_eq!(before.len() + DIGEST_LEN + after.len(), size_of::<Block>());
        assert!(!before.contains(&0xaa) && !after.contains(&0xaa));
    }

    #[test]
    fn integers_are_little_endian_on_the_wire() {
        let mut block = Block::blank();
        block.elfcorehdr = PhysSpan::new(0x0102_0304_0506_0708, 0xe1000);
        assert_eq!(block.as_bytes()[0x88..0x90], [8, 7, 6, 5, 4, 3, 2, 1]);
    }
}

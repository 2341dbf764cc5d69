//! `[9]` The kdump-compressed format, version 6, as makedumpfile writes and crash reads it.
//!
//! ```text
//! block 0       header: signature, uname, status, sizes in blocks
//! block 1 …     sub header, then the notes, which contain VMCOREINFO
//!               bitmap 1: pages that the vmcore has
//!               bitmap 2: pages that the dump has
//!               descriptors: 24 bytes for each page of bitmap 2, in order
//!               data of pages
//! ```
//!
//! All numbers are little-endian. A descriptor of zeroes is a page that an interrupted dump lacks:
//! no data is at offset 0. Structures: diskdump_mod.h of makedumpfile, diskdump.h of crash.

use crate::bitmap::Bitmap;
use crate::{PAGE_LEN, Page};

/// Blocks have the size of pages.
pub(crate) const BLOCK: u64 = PAGE_LEN;
pub(crate) const SIGNATURE: [u8; 8] = *b"KDUMP   ";
/// `header_version`.
pub(crate) const VERSION: u32 = 6;
/// Bytes of `struct kdump_sub_header`.
pub(crate) const SUB_HEADER: u64 = 104;
/// Bytes of `struct page_desc`.
pub(crate) const DESCRIPTOR: u64 = 24;

/// `status`: the dump was not finished (`DUMP_DH_COMPRESSED_INCOMPLETE`).
pub(crate) const INCOMPLETE: u32 = 0x8;
/// `status`, and `flags` of a descriptor: compressed with zstd (`DUMP_DH_COMPRESSED_ZSTD`).
pub(crate) const ZSTD: u32 = 0x20;

/// Offsets in `struct disk_dump_header`.
pub(crate) mod header {
    pub const VERSION: usize = 8;
    pub const UTSNAME: usize = 12;
    pub const TIMESTAMP: usize = 408;
    pub const STATUS: usize = 424;
    pub const BLOCK_SIZE: usize = 428;
    pub const SUB_HEADER_BLOCKS: usize = 432;
    pub const BITMAP_BLOCKS: usize = 436;
    pub const MAX_MAPNR: usize = 440;
    pub const CPUS: usize = 460;
}

/// Offsets in `struct kdump_sub_header`.
pub(crate) mod sub_header {
    pub const PHYS_BASE: usize = 0;
    pub const DUMP_LEVEL: usize = 8;
    pub const VMCOREINFO: usize = 32;
    pub const NOTES: usize = 48;
    pub const END_PFN: usize = 88;
    pub const MAX_MAPNR: usize = 96;
}

/// Bytes of a field of `struct new_utsname`.
pub(crate) const UTS_FIELD: usize = 65;
/// Its fields: sysname, nodename, release, version, machine, domainname.
pub(crate) const UTS_FIELDS: usize = 6;

/// What the header and the sub header say.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    /// `struct new_utsname`.
    pub utsname: [u8; UTS_FIELD * UTS_FIELDS],
    /// When the kernel crashed, in seconds since 1970.
    pub time: u64,
    /// How many CPUs left registers.
    pub cpus: u32,
    pub phys_base: u64,
    pub level: u32,
    /// Pages from 0 to the last.
    pub max_mapnr: u64,
    pub notes_len: u64,
    /// Where VMCOREINFO is in the notes, and its length; zeroes if there is none.
    pub vmcoreinfo: (u64, u64),
}

/// Where everything is in the dump, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub notes: u64,
    pub bitmap_1: u64,
    pub bitmap_2: u64,
    pub bitmap_len: u64,
    pub descriptors: u64,
}

impl Places {
    /// A section's part of a bitmap: offset and length in bytes. The last section may be longer
    /// than the rest of the bitmap.
    pub fn part(&self, section: &Bitmap) -> (u64, usize) {
        let offset = section.first() / 8;
        let rest = usize::try_from(self.bitmap_len - offset).unwrap_or(usize::MAX);
        (offset, section.bytes().len().min(rest))
    }
}

impl Headers {
    /// Where everything is.
    pub fn places(&self) -> Places {
        let bitmap_1 = BLOCK * (1 + self.sub_header_blocks());
        let bitmap_len = self.max_mapnr.div_ceil(8).next_multiple_of(BLOCK);
        Places {
            notes: BLOCK + SUB_HEADER,
            bitmap_1,
            bitmap_2: bitmap_1 + bitmap_len,
            bitmap_len,
            descriptors: bitmap_1 + 2 * bitmap_len,
        }
    }

    /// The header's block.
    pub fn header(&self, status: u32) -> Page {
        let mut block = [0; BLOCK as usize];
        block[..SIGNATURE.len()].copy_from_slice(&SIGNATURE);
        put(&mut block, header::VERSION, &VERSION.to_le_bytes());
        put(&mut block, header::UTSNAME, &self.utsname);
        put(&mut block, header::TIMESTAMP, &self.time.to_le_bytes());
        put(&mut block, header::STATUS, &status.to_le_bytes());
        put(&mut block, header::BLOCK_SIZE, &(BLOCK as u32).to_le_bytes());
        let sub_header_blocks = self.sub_header_blocks() as u32;
        put(&mut block, header::SUB_HEADER_BLOCKS, &sub_header_blocks.to_le_bytes());
        let bitmap_blocks = (2 * self.places().bitmap_len / BLOCK) as u32;
        put(&mut block, header::BITMAP_BLOCKS, &bitmap_blocks.to_le_bytes());
        // The sub header has the number in 64 bits.
        let max_mapnr = u32::try_from(self.max_mapnr).unwrap_or(u32::MAX);
        put(&mut block, header::MAX_MAPNR, &max_mapnr.to_le_bytes());
        put(&mut block, header::CPUS, &self.cpus.to_le_bytes());
        block
    }

    /// The sub header, which the notes follow.
    pub fn sub_header(&self) -> [u8; SUB_HEADER as usize] {
        let mut bytes = [0; SUB_HEADER as usize];
        let notes = self.places().notes;
        let (info_at, info_len) = self.vmcoreinfo;
        put(&mut bytes, sub_header::PHYS_BASE, &self.phys_base.to_le_bytes());
        put(&mut bytes, sub_header::DUMP_LEVEL, &self.level.to_le_bytes());
        if info_len > 0 {
            put(&mut bytes, sub_header::VMCOREINFO, &(notes + info_at).to_le_bytes());
            put(&mut bytes, sub_header::VMCOREINFO + 8, &info_len.to_le_bytes());
        }
        if self.notes_len > 0 {
            put(&mut bytes, sub_header::NOTES, &notes.to_le_bytes());
            put(&mut bytes, sub_header::NOTES + 8, &self.notes_len.to_le_bytes());
        }
        put(&mut bytes, sub_header::END_PFN, &self.max_mapnr.to_le_bytes());
        put(&mut bytes, sub_header::MAX_MAPNR, &self.max_mapnr.to_le_bytes());
        bytes
    }

    fn sub_header_blocks(&self) -> u64 {
        (SUB_HEADER + self.notes_len).div_ceil(BLOCK)
    }
}

/// A page's data in the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub offset: u64,
    pub len: u32,
    pub flags: u32,
}

impl Descriptor {
    /// `struct page_desc`. Its last field, the page's flags, is 0, as makedumpfile writes it.
    pub fn bytes(&self) -> [u8; DESCRIPTOR as usize] {
        let mut bytes = [0; DESCRIPTOR as usize];
        put(&mut bytes, 0, &self.offset.to_le_bytes());
        put(&mut bytes, 8, &self.len.to_le_bytes());
        put(&mut bytes, 12, &self.flags.to_le_bytes());
        bytes
    }

    /// The descriptor in these bytes.
    pub fn read(bytes: &[u8; DESCRIPTOR as usize]) -> Self {
        let int = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let offset = u64::from_le_bytes(std::array::from_fn(|byte| bytes[byte]));
        Self { offset, len: int(8), flags: int(12) }
    }
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

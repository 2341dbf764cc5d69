//! `struct boot_params` (arch/x86/include/uapi/asm/bootparam.h;
//! Documentation/arch/x86/zero-page.rst), reduced to what a kernel relies on at its 64-bit entry
//! point.

use zerocopy::FromBytes;
use zerocopy::little_endian::{U32, U64};

use crate::e820::Entry;
use crate::{Physical, setup_header};

/// `sizeof(struct boot_params)`.
pub const LEN: usize = 4096;

// Offsets, under the kernel's names.
const EXT_RAMDISK_IMAGE: usize = 0x0c0;
const EXT_RAMDISK_SIZE: usize = 0x0c4;
const EXT_CMD_LINE_PTR: usize = 0x0c8;
const E820_ENTRIES: usize = 0x1e8;
const SENTINEL: usize = 0x1ef;
const HEADER: usize = 0x202;
const TYPE_OF_LOADER: usize = 0x210;
const LOADFLAGS: usize = 0x211;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const HARDWARE_SUBARCH: usize = 0x23c;
const SETUP_DATA: usize = 0x250;
const E820_TABLE: usize = 0x2d0;

/// `E820_MAX_ENTRIES_ZEROPAGE`.
pub const E820_MAX_ENTRIES_ZEROPAGE: usize = 128;

/// The page.
#[derive(Clone, Copy, Debug)]
pub struct ZeroPage<'m>(&'m [u8; LEN]);

impl<'m> ZeroPage<'m> {
    /// The page at `start`, with any contents.
    pub fn at(physical: &'m impl Physical, start: u64) -> Option<Self> {
        physical.bytes(start, LEN as u64)?.first_chunk().map(Self)
    }

    /// Whether it has the setup header's magic number.
    pub fn has_magic(&self) -> bool {
        self.0[HEADER..].starts_with(b"HdrS")
    }

    /// The setup header.
    pub fn setup_header(&self) -> &'m [u8] {
        &self.0[setup_header::START..setup_header::END]
    }

    /// `sentinel`.
    pub fn sentinel(&self) -> u8 {
        self.0[SENTINEL]
    }

    /// `type_of_loader`.
    pub fn type_of_loader(&self) -> u8 {
        self.0[TYPE_OF_LOADER]
    }

    /// `loadflags`.
    pub fn loadflags(&self) -> u8 {
        self.0[LOADFLAGS]
    }

    /// `hardware_subarch`.
    pub fn hardware_subarch(&self) -> u64 {
        self.word(HARDWARE_SUBARCH)
    }

    /// Address of the command line.
    pub fn command_line(&self) -> u64 {
        self.halves(CMD_LINE_PTR, EXT_CMD_LINE_PTR)
    }

    /// Address and length of the initial RAM disk.
    pub fn ramdisk(&self) -> (u64, u64) {
        (self.halves(RAMDISK_IMAGE, EXT_RAMDISK_IMAGE), self.halves(RAMDISK_SIZE, EXT_RAMDISK_SIZE))
    }

    /// Address of the first setup_data node, or 0.
    pub fn setup_data(&self) -> u64 {
        self.word(SETUP_DATA) | self.word(SETUP_DATA + 4) << 32
    }

    /// `e820_entries`.
    pub fn e820_entries(&self) -> usize {
        self.0[E820_ENTRIES].into()
    }

    /// The part of the memory map that is in the page.
    pub fn e820_table(&self) -> &'m [Entry] {
        let entries = self.e820_entries().min(E820_MAX_ENTRIES_ZEROPAGE);
        <[Entry]>::ref_from_prefix_with_elems(&self.0[E820_TABLE..], entries)
            .map_or(&[], |(table, _)| table)
    }

    fn halves(&self, low: usize, high: usize) -> u64 {
        self.word(low) | self.word(high) << 32
    }

    fn word(&self, at: usize) -> u64 {
        U32::ref_from_prefix(&self.0[at..]).map_or(0, |(word, _)| word.get().into())
    }
}

/// `struct setup_data` without its data.
#[derive(Clone, Copy, Debug, FromBytes)]
#[repr(C)]
struct Node {
    next: U64,
    kind: U32,
    len: U32,
}

/// `SETUP_E820_EXT`: more of the memory map.
const SETUP_E820_EXT: u32 = 1;
/// More nodes than any loader makes. A longer list counts as endless.
const MOST_NODES: usize = 16;

/// A defect of the list of setup_data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadList {
    /// A node is outside memory or damaged.
    Node(u64),
    /// It does not end.
    Endless,
}

/// The whole memory map: the entries in the page, then those in a setup_data node, if any. Calls
/// `visit` with start and length of every node.
pub fn memory_map<'m>(
    physical: &'m impl Physical,
    page: &ZeroPage<'m>,
    mut visit: impl FnMut(u64, u64),
) -> Result<(&'m [Entry], &'m [Entry]), BadList> {
    let mut overflow: &[Entry] = &[];
    let mut at = page.setup_data();
    for _ in 0..MOST_NODES {
        if at == 0 {
            return Ok((page.e820_table(), overflow));
        }
        let node: Node = physical.read(at).ok_or(BadList::Node(at))?;
        let header_len = size_of::<Node>() as u64;
        let len = u64::from(node.len.get());
        let data_at = at.checked_add(header_len).ok_or(BadList::Node(at))?;
        let data = physical.bytes(data_at, len).ok_or(BadList::Node(at))?;
        visit(at, header_len + len);
        if node.kind.get() == SETUP_E820_EXT {
            overflow = <[Entry]>::ref_from_bytes(data).map_err(|_| BadList::Node(at))?;
        }
        at = node.next.get();
    }
    Err(BadList::Endless)
}

//! `[11]` Reads a dump back, to check it.
//!
//! *On entry* a file or partition with a dump. *On exit* its pages, and whether each of them can be
//! read.

use std::fs::File;
use std::io;

use printk_ring::Vmcoreinfo;
use zstd_safe::DCtx;

use crate::format::{BLOCK, DESCRIPTOR, Descriptor, INCOMPLETE, SIGNATURE, VERSION, ZSTD};
use crate::format::{header, sub_header};
use crate::notes::{MOST_NOTES, Notes};
use crate::source::{Cursor, Source};
use crate::{PAGE_LEN, Page};

/// Pages of one block of bitmap.
const BLOCK_PAGES: u64 = BLOCK * 8;

/// Why a file is not a dump that this crate reads.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read, or is shorter than its headers say.
    #[error("cannot read the dump: {0}")]
    Read(#[from] io::Error),
    /// There is no dump, or one of another version.
    #[error("there is no kdump-compressed dump of version {VERSION}: {what} is {value:#x}")]
    NotDump {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// There is no memory for the decompressor.
    #[error("out of memory for decompressing pages")]
    NoMemory,
}

/// What a dump has of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// The page itself.
    Saved,
    /// The dump left it out, or the crashed machine had no such page.
    LeftOut,
    /// The dump was interrupted before this page.
    Missing,
    /// The dump's data of this page is damaged.
    Damaged,
}

/// How many pages are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Pages that can be read.
    pub saved: u64,
    /// Pages that an interrupted dump lacks.
    pub missing: u64,
    /// Pages with damaged data.
    pub damaged: u64,
}

/// A dump that is open for reading.
#[derive(Debug)]
pub struct DumpFile {
    source: Source,
    base: u64,
    status: u32,
    level: u32,
    bitmap_2: u64,
    descriptors: u64,
    max_mapnr: u64,
    notes: Notes,
    /// For each block of the second bitmap, how many pages are before it.
    ranks: Vec<u64>,
    pages: u64,
}

impl DumpFile {
    /// Opens the dump that begins at offset `base` of a file or partition.
    pub fn open(file: File, base: u64) -> Result<Self, ReadError> {
        Self::read(Source::of(file)?, base)
    }

    /// A dump whose bytes are in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ReadError> {
        Self::read(Source::Memory(bytes), 0)
    }

    fn read(source: Source, base: u64) -> Result<Self, ReadError> {
        let mut blocks = [0; 2 * BLOCK as usize];
        source.read(base, &mut blocks)?;
        let (head, sub) = blocks.split_at(BLOCK as usize);
        let expect = |what, value: u64, expected: u64| match value == expected {
            true => Ok(()),
            false => Err(ReadError::NotDump { what, value }),
        };
        expect("signature", word(head, 0), u64::from_le_bytes(SIGNATURE))?;
        expect("header_version", int(head, header::VERSION).into(), VERSION.into())?;
        expect("block_size", int(head, header::BLOCK_SIZE).into(), BLOCK)?;
        let sub_header_blocks = u64::from(int(head, header::SUB_HEADER_BLOCKS));
        let bitmap_blocks = u64::from(int(head, header::BITMAP_BLOCKS));
        let bitmap_1 = BLOCK * (1 + sub_header_blocks);
        let bitmap_2 = bitmap_1 + BLOCK * (bitmap_blocks / 2);
        let max_mapnr = word(sub, sub_header::MAX_MAPNR);
        if max_mapnr > BLOCK_PAGES * (bitmap_blocks / 2) {
            return Err(ReadError::NotDump { what: "max_mapnr_64", value: max_mapnr });
        }
        let notes_at = word(sub, sub_header::NOTES);
        let notes_len = word(sub, sub_header::NOTES + 8);
        if notes_len > MOST_NOTES {
            return Err(ReadError::NotDump { what: "size_note", value: notes_len });
        }
        let mut notes = vec![0; notes_len as usize];
        source.read(base.saturating_add(notes_at), &mut notes)?;
        let mut dump = Self {
            base,
            status: int(head, header::STATUS),
            level: int(sub, sub_header::DUMP_LEVEL),
            bitmap_2,
            descriptors: bitmap_1 + BLOCK * bitmap_blocks,
            max_mapnr,
            notes: Notes::new(notes),
            ranks: Vec::new(),
            pages: 0,
            source,
        };
        for block in 0..bitmap_blocks / 2 {
            let bits = dump.bitmap_block(block)?;
            dump.ranks.push(dump.pages);
            dump.pages += bits.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
        }
        Ok(dump)
    }

    /// Whether the dump was finished.
    pub fn is_complete(&self) -> bool {
        self.status & INCOMPLETE == 0
    }

    /// The number of its level, as makedumpfile counts.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// How many pages it has, or should have if it was finished.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The number of the page after the last of the crashed machine.
    pub fn max_mapnr(&self) -> u64 {
        self.max_mapnr
    }

    /// The notes of the vmcore.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The text of VMCOREINFO, if the dump has it.
    pub fn vmcoreinfo(&self) -> Option<Vmcoreinfo<'_>> {
        self.notes.vmcoreinfo().map(|range| Vmcoreinfo::new(&self.notes.bytes()[range]))
    }

    /// Reads pages, through a window of its own.
    pub fn reader(&self) -> Result<PageReader<'_>, ReadError> {
        let context = DCtx::try_create().ok_or(ReadError::NoMemory)?;
        let cursor = || Cursor::new(&self.source);
        Ok(PageReader {
            dump: self,
            descriptors: cursor(),
            data: cursor(),
            first_data: cursor(),
            context,
        })
    }

    /// Reads every page.
    pub fn check(&self) -> Result<Checked, ReadError> {
        let (mut reader, mut checked) = (self.reader()?, Checked::default());
        let mut page = [0; PAGE_LEN as usize];
        for index in 0..self.pages {
            match reader.described(index, &mut page)? {
                PageState::Saved => checked.saved += 1,
                PageState::Missing => checked.missing += 1,
                PageState::Damaged | PageState::LeftOut => checked.damaged += 1,
            }
        }
        Ok(checked)
    }

    fn bitmap_block(&self, block: u64) -> io::Result<Page> {
        let mut bits = [0; BLOCK as usize];
        self.source.read(self.base.saturating_add(self.bitmap_2 + block * BLOCK), &mut bits)?;
        Ok(bits)
    }
}

/// Reads pages of a dump.
pub struct PageReader<'a> {
    dump: &'a DumpFile,
    // Each place has a window of its own. One for all would move, and read a MiB, twice a page.
    descriptors: Cursor<'a>,
    data: Cursor<'a>,
    /// The first page's data, which all pages of zeroes share.
    first_data: Cursor<'a>,
    context: DCtx<'static>,
}

impl PageReader<'_> {
    /// Reads the page with this number. Unless it is `Saved`, the bytes mean nothing.
    pub fn page(&mut self, pfn: u64, page: &mut Page) -> Result<PageState, ReadError> {
        if pfn >= self.dump.max_mapnr {
            return Ok(PageState::LeftOut);
        }
        let (block, bit) = (pfn / BLOCK_PAGES, (pfn % BLOCK_PAGES) as usize);
        let bits = self.dump.bitmap_block(block)?;
        let (whole, last) = bits[..=bit / 8].split_at(bit / 8);
        if last[0] >> (bit % 8) & 1 == 0 {
            return Ok(PageState::LeftOut);
        }
        let before = last[0] & ((1 << (bit % 8)) - 1);
        let before = before.count_ones() + whole.iter().map(|byte| byte.count_ones()).sum::<u32>();
        self.described(self.dump.ranks[block as usize] + u64::from(before), page)
    }

    /// Reads the page of a descriptor.
    fn described(&mut self, index: u64, page: &mut Page) -> Result<PageState, ReadError> {
        let at = self.dump.base.saturating_add(self.dump.descriptors + index * DESCRIPTOR);
        let bytes = self.descriptors.bytes(at, DESCRIPTOR as usize)?;
        let Some(bytes) = bytes.first_chunk() else { return Ok(PageState::Damaged) };
        let Descriptor { offset, len, flags } = Descriptor::read(bytes);
        if (offset, len, flags) == (0, 0, 0) {
            return Ok(PageState::Missing);
        }
        if u64::from(len) > PAGE_LEN || ![0, ZSTD].contains(&flags) {
            return Ok(PageState::Damaged);
        }
        let is_first = offset == self.dump.descriptors + self.dump.pages * DESCRIPTOR;
        let window = if is_first { &mut self.first_data } else { &mut self.data };
        let at = self.dump.base.saturating_add(offset);
        let Ok(data) = window.bytes(at, len as usize) else { return Ok(PageState::Damaged) };
        let read = match flags {
            ZSTD => self.context.decompress(&mut page[..], data).unwrap_or(0),
            _ if data.len() == page.len() => {
                page.copy_from_slice(data);
                data.len()
            }
            _ => 0,
        };
        Ok(if read == page.len() { PageState::Saved } else { PageState::Damaged })
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn int(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

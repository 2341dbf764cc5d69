//! [3] The purgatory's ELF file, taken apart: what is copied, where it is told what to do, where execution begins.
//!
//! *On entry* bytes that somebody says are a purgatory. *On exit* one of two kinds. Ours is an image that runs at any page of physical
//! memory once its block is filled in: no relocations, nothing undefined, `.handoff` of exactly the block's size. The kernel's and
//! kexec-tools' are objects that must be relocated and are told by their symbols.

use std::ops::Range;
use std::path::PathBuf;

use handoff::HANDOFF_SECTION;

mod parse; // ours
pub mod settings; // what it will be told besides the segments
pub mod relocatable; // others': from object to image
pub mod foreign; // others': what they are told
mod kind; // what differs between them

pub use foreign::Foreign;
pub use kind::{Kind, read};
pub(crate) use kind::{Lens, Purgatory, leaf_count};
pub use parse::parse;

/// Alignment of what follows the program in its segment: one cache line.
pub(crate) const TRAILER_ALIGN: u64 = 64;

/// Above this in memory a file is no purgatory; ours is about 40 KiB. It keeps a damaged size from claiming gigabytes.
const MAX_LEN: u64 = 1 << 20;

/// What to do with an ELF file that a linker did not finish.
const RELINK: &str = "it was linked with the wrong options; build it with `cargo xtask build`";

/// Why a file is no purgatory, or cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has no ELF magic.
    #[error("{} is not an ELF file: it begins with {found:02x?}; build a purgatory with `cargo xtask build`", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// Its first bytes, at most four.
        found: Vec<u8>,
    },
    /// The ELF file is for something else.
    #[error(
        "{} is not a purgatory: its {field} is {found}, not {expected}; build one with `cargo xtask build`",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What it is.
        found: u64,
        /// What it must be.
        expected: u64,
    },
    /// The ELF file cannot be read.
    #[error("{} is damaged: its {what} cannot be read; build a purgatory with `cargo xtask build`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: object::Error,
    },
    /// It would have to be relocated.
    #[error(
        "{} has {bytes} bytes of relocations in section {section}, so it would not run at another address: {RELINK}",
        path.display()
    )]
    Relocations {
        /// The file.
        path: PathBuf,
        /// The section that holds them.
        section: String,
        /// Its size.
        bytes: u64,
    },
    /// Something it uses is in another file.
    #[error("{} uses the symbol {symbol:?} but does not define it: {RELINK}", path.display())]
    Undefined {
        /// The file.
        path: PathBuf,
        /// The first such symbol.
        symbol: String,
    },
    /// Its segments are not the ones of the linker script.
    #[error("{} is not laid out like a purgatory: {what}; build one with `cargo xtask build`", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// The rule that is broken.
        what: String,
    },
    /// There is no room for the block.
    #[error(
        "{} has no section {HANDOFF_SECTION}, so it is not a kdump-purgatory; those of the kernel and of kexec-tools are \
         objects (purgatory.ro), not linked files",
        path.display()
    )]
    NoHandoff {
        /// The file.
        path: PathBuf,
    },
    /// The block is of another version.
    #[error(
        "{} was built for another handoff block: its {field} is {found}, this loader's is {expected}; use the purgatory of \
         the same release",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// `version` or `size`.
        field: &'static str,
        /// The purgatory's.
        found: u64,
        /// The loader's.
        expected: u64,
    },
    /// Another's purgatory is none, or cannot be bound where it is placed.
    #[error(transparent)]
    Object(#[from] foreign::Error),
}

/// A purgatory of ours, ready to be bound.
#[derive(Clone, Debug)]
pub struct Program {
    image: Vec<u8>,
    text: Range<u64>,
    handoff: u64,
    entry: u64,
}

/// Where the leaf table and the copy of the elfcorehdr lie, as offsets into the purgatory's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Of the first digest.
    pub leaf_table: u64,
    /// Of the elfcorehdr's copy.
    pub elfcorehdr_copy: u64,
    /// One past the last byte: the segment's length.
    pub end: u64,
}

impl Program {
    /// Bytes in memory, bss included.
    pub fn len(&self) -> u64 {
        self.image.len() as u64
    }

    /// Whether there is nothing in it; never so.
    pub fn is_empty(&self) -> bool {
        self.image.is_empty()
    }

    /// Text and read-only data, as offsets.
    pub fn text(&self) -> Range<u64> {
        self.text.clone()
    }

    /// The bytes of [`Self::text`].
    pub fn text_bytes(&self) -> &[u8] {
        &self.image[self.text.start as usize..self.text.end as usize]
    }

    /// Offset of the entry point.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Offset of the block.
    pub fn handoff(&self) -> u64 {
        self.handoff
    }

    /// Everything in memory: text, data, an unfilled block, bss.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// What follows the program in its segment when there are this many leaves and bytes of elfcorehdr.
    pub(crate) fn trailer(&self, leaves: u64, elfcorehdr_len: u64) -> Trailer {
        let leaf_table = self.len().next_multiple_of(TRAILER_ALIGN);
        let elfcorehdr_copy = (leaf_table + leaves * handoff::DIGEST_LEN as u64).next_multiple_of(TRAILER_ALIGN);
        Trailer { leaf_table, elfcorehdr_copy, end: elfcorehdr_copy + elfcorehdr_len }
    }
}

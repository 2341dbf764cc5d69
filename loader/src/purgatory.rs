//! `[3]` The purgatory's ELF file, taken apart: the bytes to copy, the place for its configuration,
//! and its entry point.
//!
//! *On entry*
//! * the bytes of a file.
//!
//! *On exit* one of two kinds:
//! * kdump-purgatory ("ours"). Once its block is filled in, it runs at any page of physical memory.
//!   It has no relocations and no undefined symbols, and its section `.handoff` has the size of the
//!   block.
//! * a foreign purgatory, the kernel's or kexec-tools'. It is an ELF object, which must be
//!   relocated, and it is configured by symbols.

use std::ops::Range;
use std::path::PathBuf;

use handoff::HANDOFF_SECTION;

mod parse; // ours: its file
pub mod settings; // its configuration, apart from the segments
pub mod relocatable; // foreign: from object to image
pub mod foreign; // foreign: its symbols
mod kind; // the steps that differ between the two

pub use foreign::Foreign;
pub use kind::{Kind, read};
pub(crate) use kind::{Lengths, Purgatory, leaf_count};
pub use parse::parse;

/// Alignment of what follows the program in its segment: one cache line.
pub(crate) const TRAILER_ALIGN: u64 = 64;

/// Most bytes of memory that a purgatory can have; ours has about 48 KiB. It limits what a damaged
/// size can claim.
const MAX_LEN: u64 = 1 << 20;

/// What to do with an ELF file that a linker did not finish.
const RELINK: &str = "it was linked with the wrong options; build it with `cargo xtask build`";

/// Why a file is not a usable purgatory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has no ELF magic.
    #[error(
        "{} is not an ELF file: it begins with {found:02x?}; build a purgatory with `cargo xtask \
         build`",
        path.display()
    )]
    NotElf {
        /// The file.
        path: PathBuf,
        /// Its first bytes, at most four.
        found: Vec<u8>,
    },
    /// The ELF file is of another type or for another machine.
    #[error(
        "{} is not a purgatory: its {field} is {found}, not {expected}; build one with `cargo \
         xtask build`",
        path.display()
    )]
    ElfHeader {
        /// The file.
        path: PathBuf,
        /// The field of the ELF header that differs.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The required value.
        expected: u64,
    },
    /// The ELF file cannot be read.
    #[error(
        "{} is damaged: its {what} cannot be read; build a purgatory with `cargo xtask build`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The part that cannot be read.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: object::Error,
    },
    /// It has relocations, which ours must not have.
    #[error(
        "{} has {bytes} bytes of relocations in section {section}, so it would not run at another \
         address: {RELINK}",
        path.display()
    )]
    Relocations {
        /// The file.
        path: PathBuf,
        /// The section that holds them.
        section: String,
        /// The size of that section.
        bytes: u64,
    },
    /// It uses a symbol that it does not define.
    #[error("{} uses the symbol {symbol:?} but does not define it: {RELINK}", path.display())]
    Undefined {
        /// The file.
        path: PathBuf,
        /// The first such symbol.
        symbol: String,
    },
    /// Its segments are not those of linker/purgatory.ld.
    #[error(
        "{} is not laid out like a purgatory: {what}; build one with `cargo xtask build`",
        path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// The rule that is broken.
        what: String,
    },
    /// It has no section for the block.
    #[error(
        "{} has no section {HANDOFF_SECTION}, so it is not a kdump-purgatory; those of the kernel \
         and of kexec-tools are objects (purgatory.ro), not linked files",
        path.display()
    )]
    NoHandoff {
        /// The file.
        path: PathBuf,
    },
    /// Its block has another version or size.
    #[error(
        "{} was built for another handoff block: its {field} is {found}, this loader's is \
         {expected}; use the purgatory of the same release",
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
    /// It is an ELF object, but not a usable foreign purgatory.
    #[error(transparent)]
    Object(#[from] foreign::Error),
}

/// Our purgatory, ready to be bound.
#[derive(Clone, Debug)]
pub struct Program {
    image: Vec<u8>,
    text: Range<u64>,
    handoff: u64,
    entry: u64,
}

/// Where the leaf table and the copy of the elfcorehdr are, as offsets in the purgatory's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Offset of the leaf table.
    pub leaf_table: u64,
    /// Offset of the elfcorehdr's copy.
    pub elfcorehdr_copy: u64,
    /// The segment's length.
    pub end: u64,
}

impl Program {
    /// Its length in memory, including bss.
    pub fn len(&self) -> u64 {
        self.image.len() as u64
    }

    /// Always false; beside `len` by convention.
    pub fn is_empty(&self) -> bool {
        self.image.is_empty()
    }

    /// Text and read-only data, as offsets in the image.
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

    /// The layout after the program in its segment, for this many leaves and bytes of elfcorehdr.
    pub(crate) fn trailer(&self, leaves: u64, elfcorehdr_len: u64) -> Trailer {
        let leaf_table = self.len().next_multiple_of(TRAILER_ALIGN);
        let elfcorehdr_copy =
            (leaf_table + leaves * handoff::DIGEST_LEN as u64).next_multiple_of(TRAILER_ALIGN);
        Trailer { leaf_table, elfcorehdr_copy, end: elfcorehdr_copy + elfcorehdr_len }
    }
}

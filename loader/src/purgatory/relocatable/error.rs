//! Why an object is no purgatory that can be bound, or cannot be told what it shall be told.

use std::path::PathBuf;

use super::ENTRY_SYMBOL;
use crate::REPORT_IT;

/// What to do with an object that cannot be fully bound by its loader.
const REBUILD: &str = "it was built with the wrong options; use one from kexec-tools or from the kernel's build";

/// Why a file cannot be used as another's purgatory.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used as a relocatable purgatory", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub defect: Defect,
}

/// What is wrong with an object, or with what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// The file has no ELF magic.
    #[error("it is not an ELF file: it begins with {found:02x?}")]
    NotElf {
        /// Its first bytes, at most four.
        found: Vec<u8>,
    },
    /// The ELF file is something else.
    #[error("its {field} is {found}, not {expected}: it is not an ELF object for x86-64")]
    Foreign {
        /// What differs.
        field: &'static str,
        /// What it is.
        found: u16,
        /// What it must be.
        expected: u16,
    },
    /// The ELF file cannot be read.
    #[error("its {what} cannot be read: it is damaged; copy it again")]
    Damaged {
        /// Which part.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: object::Error,
    },
    /// A loaded section's alignment is 0, with which the kernel forgets all sections before it, or no power of two.
    #[error("the alignment of its section {section} is {alignment}, which is not a power of two: it is damaged")]
    Alignment {
        /// Its name.
        section: String,
        /// `sh_addralign`.
        alignment: u64,
    },
    /// It is too large for a purgatory.
    #[error("it needs more than {most} bytes, up to and including section {section}: it is damaged, or not a purgatory")]
    TooLarge {
        /// The first section that does not fit.
        section: String,
        /// The most that is taken.
        most: u64,
    },
    /// Relocations are of a kind that is not applied.
    #[error("its section {section} holds relocations of kind {kind}, but only SHT_RELA is supported: {REBUILD}")]
    RelocationSection {
        /// The section's name.
        section: String,
        /// `SHT_REL`, …
        kind: &'static str,
    },
    /// A relocation section refers to a section or a symbol that is not there.
    #[error("its section {section} refers to {what} {index}, which does not exist: it is damaged")]
    Dangling {
        /// The section's name.
        section: String,
        /// Section, symbol table or symbol.
        what: &'static str,
        /// Which.
        index: u32,
    },
    /// A relocation is of a type that is not applied.
    #[error("its section {section} has a relocation at {at:#x} of type {kind}, which only a linker can apply: {REBUILD}")]
    RelocationType {
        /// The section that would be changed.
        section: String,
        /// Offset in it.
        at: u64,
        /// `R_X86_64_GOTPCREL`, …
        kind: String,
    },
    /// A relocation would change what is not in its section.
    #[error("its section {section} has a relocation at {at:#x}, outside its bytes in the file: it is damaged")]
    RelocationOutside {
        /// The section that would be changed.
        section: String,
        /// Offset in it.
        at: u64,
    },
    /// A relocation needs a symbol that is nowhere in the image.
    #[error("it uses the symbol {symbol:?}, which is {what}: {REBUILD}")]
    Target {
        /// The symbol's name, or its section's.
        symbol: String,
        /// What it is instead of defined.
        what: &'static str,
    },
    /// A value does not fit where it is to be written.
    #[error("its relocation {kind} against {symbol:?} at {at:#x} overflows: {value:#x} does not fit; {}", remedy(*limit))]
    Overflow {
        /// `R_X86_64_32`, …
        kind: &'static str,
        /// The symbol's name, or its section's.
        symbol: String,
        /// Offset in the image.
        at: u64,
        /// What does not fit, as 64 bits.
        value: u64,
        /// One past the highest address that would fit, if the address is to blame.
        limit: Option<u64>,
    },
    /// A symbol is not there.
    #[error("it does not define the global symbol {symbol}: it is not a purgatory of a known kind")]
    NoSymbol {
        /// Its name.
        symbol: String,
    },
    /// A symbol goes on beyond the end of its section.
    #[error("its symbol {symbol} extends beyond the end of its section: it is damaged")]
    SymbolOutside {
        /// Its name.
        symbol: String,
    },
    /// A symbol that is to be read or written is zeroes that are not in the file.
    #[error("its symbol {symbol} is in a section without bytes in the file, so it cannot be written: {REBUILD}")]
    SymbolNotInFile {
        /// Its name.
        symbol: String,
    },
    /// A symbol has another size than what is to be written.
    #[error("its symbol {symbol} has {found} bytes, not {given}: it was built for another loader; use another purgatory")]
    SymbolSize {
        /// Its name.
        symbol: String,
        /// Its size.
        found: u64,
        /// Bytes that were to be written.
        given: u64,
    },
    /// Execution would begin in data.
    #[error("its symbol {ENTRY_SYMBOL} is not in an executable section: {REBUILD}")]
    EntryNotCode,
    /// It cannot be bound to this address.
    #[error("its {len:#x} bytes cannot go to {address:#x}, which is not a multiple of {alignment:#x}, or too high: {REPORT_IT}")]
    Address {
        /// Where it was to go.
        address: u64,
        /// Its size in memory.
        len: u64,
        /// What an address must be a multiple of.
        alignment: u64,
    },
}

/// What to do about a value that does not fit.
fn remedy(limit: Option<u64>) -> String {
    match limit {
        Some(limit) => format!(
            "it runs only below {} GiB, but the crash region is higher: boot the running kernel with \
             crashkernel=SIZE@OFFSET below that address and without `,high`, or use a purgatory that runs anywhere",
            limit >> 30
        ),
        None => REBUILD.into(),
    }
}

impl Defect {
    /// For errors of the ELF parser.
    pub(super) fn damaged(what: &'static str) -> impl Fn(object::Error) -> Self {
        move |source| Self::Damaged { what, source }
    }
}

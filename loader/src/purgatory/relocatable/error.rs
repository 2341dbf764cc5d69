//! Why an object cannot be bound, or its symbols cannot be written.

use std::path::PathBuf;

use super::ENTRY_SYMBOL;
use crate::REPORT_IT;

/// What to do with an object that cannot be fully bound by its loader.
const REBUILD: &str =
    "it was built with the wrong options; use one from kexec-tools or from the kernel's build";

/// Why an object cannot be bound, or its symbols cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used as a relocatable purgatory", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub defect: Defect,
}

/// What is wrong with an object, or with the address or symbol that was requested.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// The file has no ELF magic.
    #[error("it is not an ELF file: it begins with {found:02x?}")]
    NotElf {
        /// Its first bytes, at most four.
        found: Vec<u8>,
    },
    /// The ELF file is of another type or for another machine.
    #[error("its {field} is {found}, not {expected}: it is not an ELF object for x86-64")]
    ElfHeader {
        /// The field of the ELF header that differs.
        field: &'static str,
        /// Its value.
        found: u16,
        /// The required value.
        expected: u16,
    },
    /// The ELF file cannot be read.
    #[error("its {what} cannot be read: it is damaged; copy it again")]
    Damaged {
        /// The part that cannot be read.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: object::Error,
    },
    /// A loaded section's alignment is not a power of two. With 0, the kernel would forget all
    /// sections before it.
    #[error(
        "the alignment of its section {section} is {alignment}, which is not a power of two: it is \
         damaged"
    )]
    Alignment {
        /// Its name.
        section: String,
        /// `sh_addralign`.
        alignment: u64,
    },
    /// It is too large for a purgatory.
    #[error(
        "it needs more than {most} bytes, up to and including section {section}: it is damaged, or \
         not a purgatory"
    )]
    TooLarge {
        /// The first section that does not fit.
        section: String,
        /// The most bytes that are accepted.
        most: u64,
    },
    /// Relocations are of an unsupported kind.
    #[error(
        "its section {section} holds relocations of kind {kind}, but only SHT_RELA is supported: \
         {REBUILD}"
    )]
    RelocationSection {
        /// The section's name.
        section: String,
        /// `SHT_REL`, …
        kind: &'static str,
    },
    /// A relocation section refers to a section or a symbol that does not exist.
    #[error("its section {section} refers to {what} {index}, which does not exist: it is damaged")]
    Dangling {
        /// The section's name.
        section: String,
        /// Section, symbol table or symbol.
        what: &'static str,
        /// Its index.
        index: u32,
    },
    /// A relocation is of an unsupported type.
    #[error(
        "its section {section} has a relocation at {at:#x} of type {kind}, which only a linker can \
         apply: {REBUILD}"
    )]
    RelocationType {
        /// The section that would be changed.
        section: String,
        /// Offset in it.
        at: u64,
        /// `R_X86_64_GOTPCREL`, …
        kind: String,
    },
    /// A relocation is outside its section's bytes in the file.
    #[error(
        "its section {section} has a relocation at {at:#x}, outside its bytes in the file: it is \
         damaged"
    )]
    RelocationOutside {
        /// The section that would be changed.
        section: String,
        /// Offset in it.
        at: u64,
    },
    /// A relocation needs a symbol that is not in the image.
    #[error("it uses the symbol {symbol:?}, which is {what}: {REBUILD}")]
    Target {
        /// The symbol's name, or its section's.
        symbol: String,
        /// Why it has no place.
        what: &'static str,
    },
    /// A relocation's value does not fit.
    #[error(
        "its relocation {kind} against {symbol:?} at {at:#x} overflows: {value:#x} does not fit; \
         {}",
        remedy(*limit)
    )]
    Overflow {
        /// `R_X86_64_32`, …
        kind: &'static str,
        /// The symbol's name, or its section's.
        symbol: String,
        /// Offset in the image.
        at: u64,
        /// The value, as 64 bits.
        value: u64,
        /// One past the highest address that would fit; `None` if the address does not matter.
        limit: Option<u64>,
    },
    /// A symbol is missing.
    #[error("it does not define the global symbol {symbol}: it is not a purgatory of a known kind")]
    NoSymbol {
        /// Its name.
        symbol: String,
    },
    /// A symbol extends beyond the end of its section.
    #[error("its symbol {symbol} extends beyond the end of its section: it is damaged")]
    SymbolOutside {
        /// Its name.
        symbol: String,
    },
    /// A symbol to be read or written has no bytes in the file.
    #[error(
        "its symbol {symbol} is in a section without bytes in the file, so it cannot be written: \
         {REBUILD}"
    )]
    SymbolNotInFile {
        /// Its name.
        symbol: String,
    },
    /// A symbol has another size than its value.
    #[error(
        "its symbol {symbol} has {found} bytes, not {given}: it was built for another loader; use \
         another purgatory"
    )]
    SymbolSize {
        /// Its name.
        symbol: String,
        /// Its size.
        found: u64,
        /// Bytes of the value.
        given: u64,
    },
    /// The entry point is not in code.
    #[error("its symbol {ENTRY_SYMBOL} is not in an executable section: {REBUILD}")]
    EntryNotCode,
    /// It cannot be bound to this address.
    #[error(
        "its {len:#x} bytes cannot go to {address:#x}, which is not a multiple of {alignment:#x}, \
         or too high: {REPORT_IT}"
    )]
    Address {
        /// The address.
        address: u64,
        /// Its length in memory.
        len: u64,
        /// The alignment of its address.
        alignment: u64,
    },
}

/// What to do about a value that does not fit.
fn remedy(limit: Option<u64>) -> String {
    match limit {
        Some(limit) => format!(
            "it runs only below {} GiB, but the crash region is higher: boot the running kernel \
             with crashkernel=SIZE@OFFSET below that address and without `,high`, or use a \
             purgatory that runs anywhere",
            limit >> 30
        ),
        None => REBUILD.into(),
    }
}

impl Defect {
    /// Wraps an error of the ELF parser.
    pub(super) fn damaged(what: &'static str) -> impl Fn(object::Error) -> Self {
        move |source| Self::Damaged { what, source }
    }
}

//! `[3b]` A foreign purgatory as an ELF object (ET_REL), which the kernel and kexec-tools contain.
//!
//! *On entry*
//! * the bytes of a file.
//!
//! *On exit*
//! * an image for one address, with every relocation applied;
//! * its symbols by name.
//!
//! [`Relocatable::parse`] checks everything that does not depend on the address. For
//! [`Relocatable::bind`], only arithmetic is left.
//!
//! The checks are slightly stricter than the kernel's (`kexec_load_purgatory`, kernel/kexec_file.c;
//! `arch_kexec_apply_relocations_add`, arch/x86/kernel/machine_kexec_64.c). The kernel truncates
//! PC32 and PLT32 relocations that overflow, and lets symbols and relocations extend beyond their
//! sections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf;
use object::read::elf::FileHeader;

use crate::request::InputFile;

mod error; // why an object cannot be used
mod layout; // where each section goes
mod symbols; // global symbols by name
mod relocation; // the bytes that depend on the address

pub use error::{Defect, Error};
use layout::Layout;
use relocation::Relocation;
pub use symbols::Symbol;

/// Symbol of the entry point (`kexec_purgatory_setup_sechdrs`, kernel/kexec_file.c;
/// purgatory/arch/x86_64/setup-x86_64.S of kexec-tools).
pub const ENTRY_SYMBOL: &str = "purgatory_start";

type Header = elf::FileHeader64<LittleEndian>;
type Section = elf::SectionHeader64<LittleEndian>;
type SectionTable<'a> = object::read::elf::SectionTable<'a, Header>;
type SymbolTable<'a> = object::read::elf::SymbolTable<'a, Header>;

/// A purgatory that can be bound to any address.
#[derive(Clone, Debug)]
pub struct Relocatable {
    path: PathBuf,
    /// The sections that have bytes in the file, laid out from address 0, not relocated.
    image: Vec<u8>,
    len: u64,
    alignment: u64,
    entry: u64,
    symbols: BTreeMap<String, Symbol>,
    relocations: Vec<Relocation>,
}

/// A purgatory for one address.
///
/// Symbols can be written only here, after relocation. Relocations may be inside of symbols, as in
/// `entry64_regs`, and would overwrite earlier values.
#[derive(Clone, Debug)]
pub struct Bound<'a> {
    program: &'a Relocatable,
    address: u64,
    image: Vec<u8>,
}

impl Relocatable {
    /// Takes the file apart.
    pub fn parse(file: &InputFile) -> Result<Self, Error> {
        parse(file).map_err(|defect| Error { path: file.path.clone(), defect })
    }

    /// Bytes to copy to the start of its segment.
    pub fn file_len(&self) -> u64 {
        self.image.len() as u64
    }

    /// Its length in memory. Bytes after [`Self::file_len`] must be zero before it runs.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Always false; beside `len` by convention.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The alignment of its address, a power of two.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Offset of the entry point.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The global symbol of this name, which must be defined in a loaded section.
    pub fn symbol(&self, name: &str) -> Result<&Symbol, Error> {
        self.symbols.get(name).ok_or_else(|| self.error(Defect::NoSymbol { symbol: name.into() }))
    }

    /// The image for the physical address `address`.
    pub fn bind(&self, address: u64) -> Result<Bound<'_>, Error> {
        if !address.is_multiple_of(self.alignment) || address.checked_add(self.len).is_none() {
            return Err(self.error(Defect::Address {
                address,
                len: self.len,
                alignment: self.alignment,
            }));
        }
        let mut image = self.image.clone();
        for relocation in &self.relocations {
            relocation.apply(address, &mut image).map_err(|defect| self.error(defect))?;
        }
        Ok(Bound { program: self, address, image })
    }

    /// One past the highest address at which it can run; `None` if it can run anywhere.
    pub fn limit(&self) -> Option<u64> {
        self.relocations.iter().filter_map(Relocation::limit).min()
    }

    /// Checks that this symbol can be written and has exactly `len` bytes
    /// (`kexec_purgatory_get_set_symbol`, kernel/kexec_file.c).
    pub(crate) fn takes(&self, name: &str, len: u64) -> Result<(), Error> {
        let found = self.bytes_of(name)?.len() as u64;
        if found == len {
            Ok(())
        } else {
            Err(self.error(Defect::SymbolSize { symbol: name.into(), found, given: len }))
        }
    }

    /// The path of its file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, defect: Defect) -> Error {
        Error { path: self.path.clone(), defect }
    }
}

impl Bound<'_> {
    /// The physical address that it was bound to.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Physical address of the entry point.
    pub fn entry(&self) -> u64 {
        self.address + self.program.entry
    }

    /// Physical address of a symbol.
    pub fn address_of(&self, name: &str) -> Result<u64, Error> {
        Ok(self.address + self.program.symbol(name)?.offset())
    }

    /// The bytes of a symbol, which must have bytes in the file.
    pub fn get(&self, name: &str) -> Result<&[u8], Error> {
        Ok(&self.image[self.program.bytes_of(name)?])
    }

    /// Writes a symbol, which must have exactly this many bytes (`Relocatable::takes`).
    pub fn set(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.program.takes(name, bytes.len() as u64)?;
        self.image[self.program.bytes_of(name)?].copy_from_slice(bytes);
        Ok(())
    }

    /// The [`Relocatable::file_len`] bytes to copy to [`Self::address`].
    pub fn bytes(&self) -> &[u8] {
        &self.image
    }

    /// The same bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.image
    }
}

impl Relocatable {
    fn bytes_of(&self, name: &str) -> Result<std::ops::Range<usize>, Error> {
        let symbol = self.symbol(name)?;
        if !symbol.is_in_file() {
            return Err(self.error(Defect::SymbolNotInFile { symbol: name.into() }));
        }
        Ok(symbol.offset() as usize..(symbol.offset() + symbol.len()) as usize)
    }
}

fn parse(file: &InputFile) -> Result<Relocatable, Defect> {
    let data = file.bytes.as_slice();
    if !data.starts_with(&elf::ELFMAG) {
        return Err(Defect::NotElf { found: data[..data.len().min(4)].to_vec() });
    }
    let header = Header::parse(data).map_err(Defect::damaged("header"))?;
    let endian = header.endian().map_err(Defect::damaged("byte order"))?;
    for (field, found, expected) in [
        ("machine", header.e_machine(endian).0, elf::EM_X86_64.0),
        ("type", header.e_type(endian).0, elf::ET_REL.0),
    ] {
        if found != expected {
            return Err(Defect::ElfHeader { field, found, expected });
        }
    }
    let sections =
        header.sections(endian, data).map_err(Defect::damaged("section header table"))?;
    let table =
        sections.symbols(endian, data, elf::SHT_SYMTAB).map_err(Defect::damaged("symbol table"))?;

    let layout = Layout::new(endian, data, &sections)?; // the place of each section
    let symbols = symbols::global(endian, &table, &layout)?; // the place of each symbol
    // The bytes that depend on the address.
    let relocations = relocation::all(endian, data, &sections, &table, &layout)?;
    let entry = entry(&symbols)?;
    let Layout { image, len, alignment, .. } = layout;
    Ok(Relocatable { path: file.path.clone(), image, len, alignment, entry, symbols, relocations })
}

/// Offset of the entry point, which must be in code (`kexec_purgatory_setup_sechdrs`,
/// kernel/kexec_file.c).
fn entry(symbols: &BTreeMap<String, Symbol>) -> Result<u64, Defect> {
    let symbol = symbols
        .get(ENTRY_SYMBOL)
        .ok_or_else(|| Defect::NoSymbol { symbol: ENTRY_SYMBOL.into() })?;
    if symbol.is_code() { Ok(symbol.offset()) } else { Err(Defect::EntryNotCode) }
}

#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, reason = "fields are named as those of the ELF structures that they fill")]
pub mod example;
#[cfg(test)]
mod tests;

//! [3b] A purgatory that others have built: an ELF object (ET_REL), as the kernel and kexec-tools carry one.
//!
//! *On entry* bytes that somebody says are such a purgatory. *On exit* an image for one address, every relocation applied, and its
//! symbols by name, so that it can be told what its own loader would tell it. Whatever does not depend on the address is decided, or
//! refused, by [`Relocatable::parse`]; what is left for [`Relocatable::bind`] is arithmetic.
//!
//! What is taken is a little less than the kernel takes (`kexec_load_purgatory`, kernel/kexec_file.c; `arch_kexec_apply_relocations_add`,
//! arch/x86/kernel/machine_kexec_64.c): it truncates PC32 and PLT32 that overflow, and lets symbols and relocations reach out of their
//! sections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf;
use object::read::elf::FileHeader;

use crate::request::InputFile;

mod error; // why a file is none
mod layout; // where each section goes
mod symbols; // what can be named
mod relocation; // what depends on the address

pub use error::{Defect, Error};
use layout::Layout;
use relocation::Relocation;
pub use symbols::Symbol;

/// Where execution begins (`kexec_purgatory_setup_sechdrs`, kernel/kexec_file.c; purgatory/arch/x86_64/setup-x86_64.S of kexec-tools).
pub const ENTRY_SYMBOL: &str = "purgatory_start";

type Header = elf::FileHeader64<LittleEndian>;
type Section = elf::SectionHeader64<LittleEndian>;
type SectionTable<'a> = object::read::elf::SectionTable<'a, Header>;
type SymbolTable<'a> = object::read::elf::SymbolTable<'a, Header>;

/// A purgatory that can be bound to any address.
#[derive(Clone, Debug)]
pub struct Relocatable {
    path: PathBuf,
    /// What is in the file, laid out from address 0 and not relocated.
    image: Vec<u8>,
    len: u64,
    alignment: u64,
    entry: u64,
    symbols: BTreeMap<String, Symbol>,
    relocations: Vec<Relocation>,
}

/// A purgatory for one address.
///
/// Symbols are written only here: what is relocated may lie in them (`entry64_regs` holds an address in every purgatory there is), and
/// what was written before would be overwritten.
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

    /// Bytes that are copied, from the beginning of its segment.
    pub fn file_len(&self) -> u64 {
        self.image.len() as u64
    }

    /// Bytes in memory. Those beyond [`Self::file_len`] must be zero before it runs.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it; never so.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What its address must be a multiple of, a power of two.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Offset of the entry point.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The global symbol of this name, if it is defined in what is loaded.
    pub fn symbol(&self, name: &str) -> Result<&Symbol, Error> {
        self.symbols.get(name).ok_or_else(|| self.error(Defect::NoSymbol { symbol: name.into() }))
    }

    /// The image for `address`, which is physical.
    pub fn bind(&self, address: u64) -> Result<Bound<'_>, Error> {
        if !address.is_multiple_of(self.alignment) || address.checked_add(self.len).is_none() {
            return Err(self.error(Defect::Address { address, len: self.len, alignment: self.alignment }));
        }
        let mut image = self.image.clone();
        for relocation in &self.relocations {
            relocation.apply(address, &mut image).map_err(|defect| self.error(defect))?;
        }
        Ok(Bound { program: self, address, image })
    }

    /// One past the highest address that every relocation reaches; none if it runs anywhere.
    pub fn limit(&self) -> Option<u64> {
        self.relocations.iter().filter_map(Relocation::limit).min()
    }

    /// Whether this symbol can be written, and has exactly this size (`kexec_purgatory_get_set_symbol`, kernel/kexec_file.c).
    pub fn takes(&self, name: &str, len: u64) -> Result<(), Error> {
        let found = self.bytes_of(name)?.len() as u64;
        if found == len { Ok(()) } else { Err(self.error(Defect::SymbolSize { symbol: name.into(), found, given: len })) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, defect: Defect) -> Error {
        Error { path: self.path.clone(), defect }
    }
}

impl Bound<'_> {
    /// Where it was bound to.
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

    /// The bytes of a symbol; it must be in the file.
    pub fn get(&self, name: &str) -> Result<&[u8], Error> {
        Ok(&self.image[self.program.bytes_of(name)?])
    }

    /// Writes a symbol, which must [take](Relocatable::takes) as many bytes.
    pub fn set(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.program.takes(name, bytes.len() as u64)?;
        self.image[self.program.bytes_of(name)?].copy_from_slice(bytes);
        Ok(())
    }

    /// What is copied to [`Self::address`], [`Relocatable::file_len`] bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.image
    }

    /// The same, for keeps.
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
    for (field, found, expected) in
        [("machine", header.e_machine(endian).0, elf::EM_X86_64.0), ("type", header.e_type(endian).0, elf::ET_REL.0)]
    {
        if found != expected {
            return Err(Defect::Foreign { field, found, expected });
        }
    }
    let sections = header.sections(endian, data).map_err(Defect::damaged("section header table"))?;
    let table = sections.symbols(endian, data, elf::SHT_SYMTAB).map_err(Defect::damaged("symbol table"))?;

    let layout = Layout::new(endian, data, &sections)?; // where does each section go
    let symbols = symbols::global(endian, &table, &layout)?; // what is where
    let relocations = relocation::all(endian, data, &sections, &table, &layout)?; // what needs the address
    let entry = entry(&symbols)?;
    let Layout { image, len, alignment, .. } = layout;
    Ok(Relocatable { path: file.path.clone(), image, len, alignment, entry, symbols, relocations })
}

/// Offset of the entry point, which must be in code (`kexec_purgatory_setup_sechdrs`, kernel/kexec_file.c).
fn entry(symbols: &BTreeMap<String, Symbol>) -> Result<u64, Defect> {
    let symbol = symbols.get(ENTRY_SYMBOL).ok_or_else(|| Defect::NoSymbol { symbol: ENTRY_SYMBOL.into() })?;
    if symbol.is_code() { Ok(symbol.offset()) } else { Err(Defect::EntryNotCode) }
}

#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, reason = "fields are named as those of the ELF structures that they fill")]
pub mod example;
#[cfg(test)]
mod tests;

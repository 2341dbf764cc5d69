//! Global symbols that are defined in a loaded section, as the kernel looks them up
//! (`kexec_purgatory_find_symbol`, kernel/kexec_file.c). Their visibility is ignored, because the
//! kernel's own are hidden.

use std::collections::BTreeMap;

use object::LittleEndian;
use object::elf;
use object::read::elf::Sym;

use super::layout::{Layout, Place};
use super::{Defect, SymbolTable};

/// A global symbol of a purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    offset: u64,
    len: u64,
    section: Place,
}

impl Symbol {
    /// Offset in the image. It can be the end of its section, as for `stack_end`.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its length in bytes. Symbols of assembly code often have length 0.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has length 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether its bytes are in the file, so that they can be read and written before the purgatory
    /// runs.
    pub(crate) fn is_in_file(&self) -> bool {
        self.section.in_file
    }

    /// Whether it points at code.
    pub(crate) fn is_code(&self) -> bool {
        self.section.executable && self.offset < self.section.start + self.section.len
    }
}

/// All global symbols, by name. If several have the same name, the first counts.
pub(super) fn global(
    endian: LittleEndian,
    table: &SymbolTable<'_>,
    layout: &Layout,
) -> Result<BTreeMap<String, Symbol>, Defect> {
    let mut symbols = BTreeMap::new();
    for symbol in table.iter().filter(|symbol| symbol.st_bind() == elf::STB_GLOBAL) {
        let Some(section) =
            symbol.st_shndx(endian).index().and_then(|index| layout.place(index.into()))
        else {
            continue;
        };
        let name = name_of(endian, table, symbol)?;
        let (value, len) = (symbol.st_value(endian), symbol.st_size(endian));
        if value.checked_add(len).is_none_or(|end| end > section.len) {
            return Err(Defect::SymbolOutside { symbol: name });
        }
        symbols.entry(name).or_insert(Symbol { offset: section.start + value, len, section });
    }
    Ok(symbols)
}

/// The name of a symbol.
pub(super) fn name_of(
    endian: LittleEndian,
    table: &SymbolTable<'_>,
    symbol: &elf::Sym64<LittleEndian>,
) -> Result<String, Defect> {
    let name =
        symbol.name(endian, table.strings()).map_err(Defect::damaged("table of symbol names"))?;
    Ok(String::from_utf8_lossy(name).into_owned())
}

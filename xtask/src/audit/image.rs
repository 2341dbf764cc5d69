//! What the loader puts into memory, and where.
//!
//! * On exit: a sentence for every way in which sections, segments, relocations and symbols break
//!   the contract with the loader.

use std::ops::Range;

use anyhow::Result;
use handoff::{Block, HANDOFF_SECTION};
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, SymbolIndex};

use super::stack::Room;

/// The purgatory's limit in memory, without the leaf table. It is a user's fixed cost of crash
/// memory.
pub const MAX_LOADED: u64 = 52 << 10;
/// The limit of the file that ships.
pub const MAX_FILE: u64 = 40 << 10;

/// ELF's magic. The kernel treats the last segment that starts with it as the elfcorehdr
/// (crash_handle_hotplug_event, kernel/crash_core.c).
pub const ELF_MAGIC: &[u8] = b"\x7fELF";

/// The section of both stacks, and the symbols at their ends, from the linker script: the
/// exceptions', then the main one.
const STACKS: (&str, &str, &str) = (".stacks", "__trap_stack_top", "__stack_top");

/// A section that occupies memory.
#[derive(Clone, Debug)]
pub struct Section<'data> {
    /// `.text`, …
    pub name: String,
    /// First address.
    pub address: u64,
    /// Bytes in memory.
    pub size: u64,
    /// Whether it is executable.
    pub executable: bool,
    /// Whether it is writable.
    pub writable: bool,
    /// Its bytes in the file, or none.
    pub bytes: &'data [u8],
}

/// A name and its address.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Mangled, as in the file.
    pub name: String,
    /// Its address.
    pub address: u64,
}

/// The executable code, and the names of its functions.
pub struct Code<'data> {
    /// The address that the kernel jumps to.
    pub entry: u64,
    /// Sections that occupy memory, by address.
    pub sections: Vec<Section<'data>>,
    /// Names of code, by address.
    pub symbols: Vec<Symbol>,
}

/// The parts of an ELF file that the audit reads.
pub struct Image<'data> {
    endian: Endianness,
    data: &'data [u8],
    segments: &'data [ProgramHeader64<Endianness>],
    /// The executable code.
    pub code: Code<'data>,
    /// Symbols outside code.
    marks: Vec<Symbol>,
    undefined: Vec<String>,
    /// Sections with relocations, and how many each has.
    relocations: Vec<(String, u64)>,
}

impl<'data> Image<'data> {
    /// Parses an ELF file.
    pub fn parse(data: &'data [u8]) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let table = header.sections(endian, data)?;
        let (mut sections, mut relocations) = (Vec::new(), Vec::new());
        for section in table.iter() {
            let name = String::from_utf8_lossy(table.section_name(endian, section)?).into_owned();
            let (kind, flags, size) =
                (section.sh_type(endian), section.sh_flags(endian), section.sh_size(endian));
            if [elf::SHT_REL, elf::SHT_RELA, elf::SHT_RELR].contains(&kind) && size > 0 {
                relocations.push((name.clone(), size / section.sh_entsize(endian).max(1)));
            }
            if flags.contains(elf::SHF_ALLOC) && size > 0 {
                let (executable, writable) =
                    (flags.contains(elf::SHF_EXECINSTR), flags.contains(elf::SHF_WRITE));
                let bytes = section.data(endian, data)?;
                sections.push(Section {
                    name,
                    address: section.sh_addr(endian),
                    size,
                    executable,
                    writable,
                    bytes,
                });
            }
        }
        sections.sort_by_key(|s| s.address);
        let (mut symbols, mut marks, mut undefined) = (Vec::new(), Vec::new(), Vec::new());
        for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            let table = table.symbols(endian, data, kind)?;
            for (index, symbol) in table.enumerate() {
                let name = String::from_utf8_lossy(table.symbol_name(endian, symbol)?).into_owned();
                let address = symbol.st_value(endian);
                let inside = |s: &Section<'_>| {
                    s.executable && (s.address..s.address + s.size).contains(&address)
                };
                // The first entry of every table is undefined and means nothing (gABI, "Symbol
                // Table").
                if index != SymbolIndex(0) && symbol.is_undefined(endian) {
                    undefined.push(name);
                } else if symbol.st_shndx(endian).0 < elf::SHN_LORESERVE
                    && sections.iter().any(inside)
                {
                    symbols.push(Symbol { name, address });
                } else {
                    marks.push(Symbol { name, address });
                }
            }
        }
        symbols.sort_by_key(|s| s.address);
        let segments = header.program_headers(endian, data)?;
        let code = Code { entry: header.e_entry(endian), sections, symbols };
        Ok(Self { endian, data, segments, code, marks, undefined, relocations })
    }

    /// Bytes of memory from address 0 to the end of the last segment.
    pub fn loaded_size(&self) -> u64 {
        self.loads().map(|s| s.p_vaddr(self.endian) + s.p_memsz(self.endian)).max().unwrap_or(0)
    }

    /// Each section in memory, with its size.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.code.sections.iter().map(|s| (s.name.as_str(), s.size))
    }

    /// The address of a symbol, in code or not.
    pub fn address_of(&self, name: &str) -> Option<u64> {
        self.code
            .symbols
            .iter()
            .chain(&self.marks)
            .find(|symbol| symbol.name == name)
            .map(|symbol| symbol.address)
    }

    /// The size of each stack, if the stacks can be found.
    pub fn stacks(&self) -> Option<Room> {
        let (section, trap, story) = STACKS;
        let mark = |name: &str| self.marks.iter().find(|s| s.name == name).map(|s| s.address);
        let bottom = self.code.sections.iter().find(|s| s.name == section)?.address;
        Some(Room {
            trap: mark(trap)?.checked_sub(bottom)?,
            story: mark(story)?.checked_sub(mark(trap)?)?,
        })
    }

    /// The addresses of the main stack, if it can be found.
    pub fn storys_stack(&self) -> Option<Range<u64>> {
        let (_, trap, story) = STACKS;
        let mark = |name: &str| self.marks.iter().find(|s| s.name == name).map(|s| s.address);
        Some(mark(trap)?..mark(story)?)
    }

    /// Violations: relocations and undefined symbols, which no loader resolves.
    pub fn unresolved(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, count) in &self.relocations {
            faults.push(format!(
                "{name} has {count} relocations, which no loader applies; find the code that stores an address in data"
            ));
        }
        for name in &self.undefined {
            faults.push(format!("symbol {name} is undefined"));
        }
        faults
    }

    /// Every violation.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.unresolved();
        faults.extend(self.segment_faults());
        match self.code.sections.iter().find(|s| s.name == HANDOFF_SECTION) {
            None => faults.push(format!("there is no section {HANDOFF_SECTION} for the block")),
            Some(section) if section.size != size_of::<Block>() as u64 => faults.push(format!(
                "section {HANDOFF_SECTION} has {:#x} bytes, the block has {:#x}",
                section.size,
                size_of::<Block>()
            )),
            Some(_) => {}
        }
        // Read-only sections are hashed, the block is sealed, and the loader zeroes bss. Other data
        // would not be verified.
        let holds_data = |s: &&Section<'_>| {
            s.writable && !s.bytes.is_empty() && s.name != HANDOFF_SECTION && s.name != ".dynamic"
        };
        for section in self.code.sections.iter().filter(holds_data) {
            faults.push(format!(
                "{} holds {} bytes of initialized data, neither hashed nor sealed",
                section.name, section.size
            ));
        }
        let size = self.loaded_size();
        if size > MAX_LOADED {
            faults.push(format!(
                "{size} bytes are loaded, {} more than the {MAX_LOADED} allowed",
                size - MAX_LOADED
            ));
        }
        faults
    }

    fn loads(&self) -> impl Iterator<Item = &'data ProgramHeader64<Endianness>> + use<'data, '_> {
        self.segments.iter().filter(|s| s.p_type(self.endian) == elf::PT_LOAD)
    }

    fn segment_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let loads: Vec<_> = self.loads().collect();
        let [text, data] = loads[..] else {
            return vec![format!(
                "there are {} PT_LOADs; there must be two: text, and data",
                loads.len()
            )];
        };
        let flags = [text.p_flags(self.endian), data.p_flags(self.endian)];
        if flags != [elf::PF_R | elf::PF_X, elf::PF_R | elf::PF_W] {
            faults.push(format!(
                "the segments' flags are {flags:?}, they must be read+execute and read+write"
            ));
        }
        if text.p_vaddr(self.endian) != 0 {
            faults.push(format!(
                "the first segment is at {:#x}, it must be at 0",
                text.p_vaddr(self.endian)
            ));
        }
        if text.data(self.endian, self.data).is_ok_and(|bytes| bytes.starts_with(ELF_MAGIC)) {
            faults.push("the first segment starts with ELF's magic: the kernel would treat it as the elfcorehdr".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests;

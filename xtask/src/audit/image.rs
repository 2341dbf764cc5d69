//! What the loader puts into memory, and where.
//!
//! * On exit: a sentence for every way in which sections, segments, relocations and symbols break
//!   the contract with the loader.

use std::ops::Range;

use anyhow::{Context, Result};
use handoff::{Block, HANDOFF_SECTION};
use object::elf::{self, FileHeader64};
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
    pub address: u64,
    pub size: u64,
    pub executable: bool,
    pub writable: bool,
    /// Its bytes in the file, or none.
    pub bytes: &'data [u8],
}

#[derive(Clone, Debug)]
pub struct Symbol {
    pub name: String,
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

/// A PT_LOAD.
#[derive(Clone, Debug)]
struct Segment<'data> {
    flags: elf::ProgramFlags,
    address: u64,
    size: u64,
    bytes: &'data [u8],
}

/// The parts of an ELF file that the audit reads.
pub struct Image<'data> {
    segments: Vec<Segment<'data>>,
    pub code: Code<'data>,
    /// Symbols outside code.
    marks: Vec<Symbol>,
    undefined: Vec<String>,
    /// Sections with relocations, and how many each has.
    relocations: Vec<(String, u64)>,
}

impl<'data> Image<'data> {
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
                sections.push(Section {
                    name,
                    address: section.sh_addr(endian),
                    size,
                    executable: flags.contains(elf::SHF_EXECINSTR),
                    writable: flags.contains(elf::SHF_WRITE),
                    bytes: section.data(endian, data)?,
                });
            }
        }
        sections.sort_by_key(|s| s.address);
        let (mut symbols, mut marks, mut undefined) = (Vec::new(), Vec::new(), Vec::new());
        for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            let table = table.symbols(endian, data, kind)?;
            // The first entry of every table means nothing (gABI, "Symbol Table").
            for (_, symbol) in table.enumerate().filter(|(index, _)| *index != SymbolIndex(0)) {
                let name = String::from_utf8_lossy(table.symbol_name(endian, symbol)?).into_owned();
                let address = symbol.st_value(endian);
                let is_code = |s: &Section<'_>| {
                    s.executable && (s.address..s.address + s.size).contains(&address)
                };
                let in_section = symbol.st_shndx(endian).0 < elf::SHN_LORESERVE;
                if symbol.is_undefined(endian) {
                    undefined.push(name);
                } else if in_section && sections.iter().any(is_code) {
                    symbols.push(Symbol { name, address });
                } else {
                    marks.push(Symbol { name, address });
                }
            }
        }
        symbols.sort_by_key(|s| s.address);
        let mut segments = Vec::new();
        for segment in header.program_headers(endian, data)? {
            if segment.p_type(endian) == elf::PT_LOAD {
                let (flags, address) = (segment.p_flags(endian), segment.p_vaddr(endian));
                let bytes = segment.data(endian, data).ok().context("a segment without bytes")?;
                segments.push(Segment { flags, address, size: segment.p_memsz(endian), bytes });
            }
        }
        let code = Code { entry: header.e_entry(endian), sections, symbols };
        Ok(Self { segments, code, marks, undefined, relocations })
    }

    /// Bytes of memory from address 0 to the end of the last segment.
    pub fn loaded_size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.address + segment.size).max().unwrap_or(0)
    }

    /// Each section in memory, with its size.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.code.sections.iter().map(|s| (s.name.as_str(), s.size))
    }

    /// The address of a symbol, in code or not.
    pub fn address_of(&self, name: &str) -> Option<u64> {
        let mut all = self.code.symbols.iter().chain(&self.marks);
        all.find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    }

    /// The size of each stack, if the stacks can be found.
    pub fn stacks(&self) -> Option<Room> {
        let bottom = self.code.sections.iter().find(|s| s.name == STACKS.0)?.address;
        let story = self.storys_stack()?;
        Some(Room {
            trap: story.start.checked_sub(bottom)?,
            story: story.end.checked_sub(story.start)?,
        })
    }

    /// The addresses of the main stack, if it can be found.
    pub fn storys_stack(&self) -> Option<Range<u64>> {
        Some(self.address_of(STACKS.1)?..self.address_of(STACKS.2)?)
    }

    /// Violations: relocations and undefined symbols, which no loader resolves.
    pub fn unresolved(&self) -> Vec<String> {
        let relocations = self.relocations.iter().map(|(name, count)| {
            format!(
                "{name} has {count} relocations, which no loader applies; find the code that \
                 stores an address in data"
            )
        });
        let undefined = self.undefined.iter().map(|name| format!("symbol {name} is undefined"));
        relocations.chain(undefined).collect()
    }

    /// Every violation.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.unresolved();
        faults.extend(self.segment_faults());
        let (block, sections) = (size_of::<Block>() as u64, &self.code.sections);
        match sections.iter().find(|s| s.name == HANDOFF_SECTION).map(|s| s.size) {
            None => faults.push(format!("there is no section {HANDOFF_SECTION} for the block")),
            Some(size) if size != block => faults.push(format!(
                "section {HANDOFF_SECTION} has {size:#x} bytes, the block has {block:#x}"
            )),
            Some(_) => {}
        }
        // Read-only sections are hashed, the block is sealed, and the loader zeroes bss. Other data
        // would not be verified.
        let holds_data = |s: &&Section<'_>| {
            s.writable && !s.bytes.is_empty() && s.name != HANDOFF_SECTION && s.name != ".dynamic"
        };
        for Section { name, size, .. } in sections.iter().filter(holds_data) {
            faults.push(format!(
                "{name} holds {size} bytes of initialized data, neither hashed nor sealed"
            ));
        }
        let size = self.loaded_size();
        if size > MAX_LOADED {
            let more = size - MAX_LOADED;
            faults.push(format!("{size} bytes are loaded, {more} more than {MAX_LOADED} allowed"));
        }
        faults
    }

    fn segment_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let [text, data] = &self.segments[..] else {
            let count = self.segments.len();
            return vec![format!("there are {count} PT_LOADs; there must be two: text, and data")];
        };
        let flags = [text.flags, data.flags];
        if flags != [elf::PF_R | elf::PF_X, elf::PF_R | elf::PF_W] {
            faults.push(format!(
                "the segments' flags are {flags:?}, they must be read+execute and read+write"
            ));
        }
        if text.address != 0 {
            faults.push(format!("the first segment is at {:#x}, it must be at 0", text.address));
        }
        if text.bytes.starts_with(ELF_MAGIC) {
            faults.push(
                "the first segment starts with ELF's magic: the kernel would treat it as the \
                 elfcorehdr"
                    .into(),
            );
        }
        faults
    }
}

#[cfg(test)]
mod tests;

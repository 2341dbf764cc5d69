//! An object (ET_REL) made from a linked program. The loaders of the kernel and of kexec-tools
//! accept no other purgatory.
//!
//! * On entry: a position-independent program of one segment at address 0, without relocations.
//! * On exit: an object with one section of code and data, the segment's file bytes; one section of
//!   zeroes; and the requested symbols. It has no relocation and no undefined symbol. The linker
//!   has resolved everything, so the loader may place it anywhere.

use anyhow::{Context, Result, ensure};
use object::build::elf::{Builder, SectionData};
use object::elf::{
    EM_X86_64, ET_REL, FileHeader64, PT_LOAD, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_LORESERVE,
    SHT_NOBITS, SHT_PROGBITS, SHT_REL, SHT_RELA, SHT_RELR, SHT_STRTAB, SHT_SYMTAB, STB_GLOBAL,
    SectionFlags, SymbolType,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, LittleEndian};

/// The alignment of both sections: that of the widest object in them. So every loader places the
/// second section where the linker did.
const ALIGNMENT: u64 = 64;

/// A linked program in memory.
pub struct Image {
    bytes: Vec<u8>,
    len: u64,
    entry: u64,
    symbols: Vec<Symbol>,
}

struct Symbol {
    name: Vec<u8>,
    kind: SymbolType,
    at: u64,
    len: u64,
}

impl Image {
    pub fn of(linked: &[u8]) -> Result<Self> {
        let header = FileHeader64::<LittleEndian>::parse(linked)?;
        let endian = header.endian()?;
        let loads: Vec<_> = header
            .program_headers(endian, linked)?
            .iter()
            .filter(|segment| segment.p_type(endian) == PT_LOAD)
            .collect();
        let [segment] = loads[..] else {
            anyhow::bail!("it has {} loadable segments instead of one", loads.len())
        };
        ensure!(
            segment.p_vaddr(endian) == 0,
            "its segment is at {:#x} instead of 0",
            segment.p_vaddr(endian)
        );
        let mut bytes =
            segment.data(endian, linked).ok().context("its segment is not in the file")?.to_vec();
        let len = segment.p_memsz(endian);

        let sections = header.sections(endian, linked)?;
        for section in
            sections.iter().filter(|section| section.sh_flags(endian).contains(SHF_ALLOC))
        {
            let (kind, start, alignment) =
                (section.sh_type(endian), section.sh_addr(endian), section.sh_addralign(endian));
            ensure!(
                ![SHT_REL, SHT_RELA, SHT_RELR].contains(&kind) || section.sh_size(endian) == 0,
                "it has relocations"
            );
            ensure!(
                alignment <= ALIGNMENT,
                "a section at {start:#x} is aligned to {alignment}, more than the object"
            );
            let in_file = start + section.sh_size(endian) <= bytes.len() as u64;
            ensure!(
                in_file || kind == SHT_NOBITS,
                "a section at {start:#x} is not in the file and not zeroes"
            );
        }
        // The zeroes up to the next section become part of the first, as in every loader's layout.
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        ensure!(bytes.len() as u64 <= len, "there is no memory after the file bytes: no stack");

        let table = sections.symbols(endian, linked, SHT_SYMTAB)?;
        let mut symbols = Vec::new();
        for symbol in table.iter().filter(|symbol| {
            !symbol.is_undefined(endian) && symbol.st_shndx(endian).0 < SHN_LORESERVE
        }) {
            let name = table.symbol_name(endian, symbol)?.to_vec();
            symbols.push(Symbol {
                name,
                kind: symbol.st_type(),
                at: symbol.st_value(endian),
                len: symbol.st_size(endian),
            });
        }
        Ok(Self { bytes, len, entry: header.e_entry(endian), symbols })
    }

    /// Writes the value of a symbol of exactly this size.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let symbol = self.symbol(name)?;
        ensure!(
            symbol.len == value.len() as u64,
            "symbol {name} has {} bytes, {} are given",
            symbol.len,
            value.len()
        );
        let at = symbol.at as usize;
        let place = self
            .bytes
            .get_mut(at..at + value.len())
            .with_context(|| format!("symbol {name} is not in the file"))?;
        place.copy_from_slice(value);
        Ok(())
    }

    /// The object with the entry point `entry` and these global symbols.
    pub fn object(
        &self,
        entry: &str,
        symbols: impl Iterator<Item = &'static str>,
    ) -> Result<Vec<u8>> {
        ensure!(
            self.symbol(entry)?.at == self.entry,
            "the program is entered at {:#x}, not at {entry}",
            self.entry
        );
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = ET_REL;
        builder.header.e_machine = EM_X86_64;
        // Kernels that do not look up the symbol use this offset in the first section of code.
        builder.header.e_entry = self.entry;

        let mut section = |name: &'static str, kind, flags, alignment, data| {
            let section = builder.sections.add();
            (section.name, section.sh_type, section.sh_flags) = (name.into(), kind, flags);
            (section.sh_addralign, section.data) = (alignment, data);
            section.id()
        };
        let (written, none) = (SHF_ALLOC | SHF_WRITE, SectionFlags(0));
        let bytes = SectionData::Data(self.bytes.as_slice().into());
        let image = section(".text", SHT_PROGBITS, written | SHF_EXECINSTR, ALIGNMENT, bytes);
        let rest = SectionData::UninitializedData(self.len - self.bytes.len() as u64);
        let zeroes = section(".bss", SHT_NOBITS, written, ALIGNMENT, rest);
        section(".symtab", SHT_SYMTAB, none, 8, SectionData::Symbol);
        section(".strtab", SHT_STRTAB, none, 1, SectionData::String);
        section(".shstrtab", SHT_STRTAB, none, 1, SectionData::SectionString);
        for name in symbols {
            let Symbol { kind, at, len, .. } = *self.symbol(name)?;
            let file_len = self.bytes.len() as u64;
            let (section, value) =
                if at < file_len { (image, at) } else { (zeroes, at - file_len) };
            let symbol = builder.symbols.add();
            symbol.name = name.into();
            symbol.section = Some(section);
            symbol.set_st_info(STB_GLOBAL, kind);
            symbol.st_value = value;
            symbol.st_size = len;
        }
        builder.set_section_sizes();
        let mut object = Vec::new();
        builder.write(&mut object).context("cannot write the object")?;
        Ok(object)
    }

    fn symbol(&self, name: &str) -> Result<&Symbol> {
        let mut named = self.symbols.iter().filter(|symbol| symbol.name == name.as_bytes());
        let (Some(symbol), None) = (named.next(), named.next()) else {
            anyhow::bail!("it does not have exactly one symbol {name}")
        };
        Ok(symbol)
    }
}

//! For tests: the smallest objects that are accepted as purgatories.

use object::elf::{
    EM_X86_64, ET_REL, FileType, Machine, RelocationType, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE,
    SHT_NOBITS, SHT_NULL, SHT_PROGBITS, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, STB_GLOBAL, SectionFlags,
    SectionType, SymbolBind, SymbolInfo,
};
use object::pod::bytes_of;
use object::{I64, LittleEndian, U32, U64, elf};

use crate::example;

/// A section of the program.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: &'static str,
    pub kind: SectionType,
    pub flags: SectionFlags,
    pub alignment: u64,
    /// Its bytes. For a section without bytes in the file, only the length counts.
    pub bytes: Vec<u8>,
}

/// A symbol.
#[derive(Clone, Debug)]
pub struct Name {
    pub name: &'static str,
    pub binding: SymbolBind,
    /// Section index; 0 is SHN_UNDEF.
    pub section: u16,
    pub value: u64,
    pub len: u64,
}

/// A relocation of [`TEXT`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub at: u64,
    pub kind: RelocationType,
    /// Symbol index.
    pub symbol: u32,
    pub addend: i64,
}

/// An object, in parts that a test can damage.
#[derive(Clone, Debug)]
pub struct Object {
    pub machine: Machine,
    pub file_type: FileType,
    /// From index 1 on.
    pub parts: Vec<Part>,
    /// From index 1 on.
    pub symbols: Vec<Name>,
    pub relocations: Vec<Entry>,
    pub relocation_kind: SectionType,
    /// The section that is relocated.
    pub relocated: u32,
    /// The section that the relocations use as their symbol table. `None`: the object's own.
    pub relocation_symbols: Option<u32>,
}

/// Index of the code.
pub const TEXT: u16 = 1;
/// Index of the section that is not loaded.
pub const COMMENT: u16 = 2;
/// Index of the zeroes, which come before the data in the section headers and after it in memory.
pub const BSS: u16 = 3;
/// Index of the data.
pub const DATA: u16 = 4;

/// Offset of the data: after 40 bytes of code, at the next multiple of 32.
pub const DATA_AT: u64 = 64;
/// Offset of the zeroes: after 16 bytes of data, at the next multiple of 256.
pub const BSS_AT: u64 = 256;

/// The byte in symbols that were not written.
pub const UNWRITTEN: u8 = 0xee;

/// Offset of the section of [`Object::with_written`]: after the data.
pub const WRITTEN_AT: u64 = DATA_AT + 16;

/// Indices of symbols of [`object()`].
pub const START: u32 = 1;
pub const TABLE: u32 = 2;

/// A valid object: code, a comment, zeroes and data, and a symbol in each loaded section.
pub fn object() -> Object {
    let part = |name, kind, flags, alignment, bytes| Part { name, kind, flags, alignment, bytes };
    let name = |name, section, value, len| Name { name, binding: STB_GLOBAL, section, value, len };
    Object {
        machine: EM_X86_64,
        file_type: ET_REL,
        parts: vec![
            part(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16, example::pattern(40)),
            part(".comment", SHT_PROGBITS, SectionFlags(0), 0, vec![0xcc; 5]),
            part(".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 256, vec![0; 1000]),
            part(".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 32, example::pattern(16)),
        ],
        symbols: vec![
            name("purgatory_start", TEXT, 8, 0),
            name("table", DATA, 4, 8),
            name("stack_end", BSS, 1000, 0),
            name("stack", BSS, 0, 1000),
        ],
        relocations: Vec::new(),
        relocation_kind: SHT_RELA,
        relocated: TEXT.into(),
        relocation_symbols: None,
    }
}

impl Object {
    /// With one relocation of the code.
    pub fn relocated(mut self, at: u64, kind: RelocationType, symbol: u32, addend: i64) -> Self {
        self.relocations.push(Entry { at, kind, symbol, addend });
        self
    }

    /// With one more symbol, which gets the index 5.
    pub fn with_symbol(mut self, name: &'static str, section: u16, value: u64) -> Self {
        self.symbols.push(Name { name, binding: STB_GLOBAL, section, value, len: 0 });
        self
    }

    /// With one more section at the end for these symbols, given by name and size. It is filled
    /// with [`UNWRITTEN`].
    pub fn with_written(mut self, symbols: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        let mut bytes = Vec::new();
        let section = self.parts.len() as u16 + 1;
        for (name, len) in symbols {
            let value = bytes.len() as u64;
            self.symbols.push(Name { name, binding: STB_GLOBAL, section, value, len });
            bytes.resize((value + len) as usize, UNWRITTEN);
        }
        self.parts.push(Part {
            name: ".written",
            kind: SHT_PROGBITS,
            flags: SHF_ALLOC | SHF_WRITE,
            alignment: 1,
            bytes,
        });
        self
    }

    /// The file's bytes: header, sections, relocations, symbols, names, section headers.
    pub fn bytes(&self) -> Vec<u8> {
        let mut names = vec![0];
        let mut named = |text: &str| {
            let at = names.len() as u32;
            names.extend(text.as_bytes());
            names.push(0);
            at
        };
        let first_table = self.parts.len() as u32 + 1;
        let mut file = vec![0; 64];
        let mut append = |bytes: &[u8]| {
            file.resize(file.len().next_multiple_of(8), 0);
            let at = file.len() as u64;
            file.extend(bytes);
            (at, bytes.len() as u64)
        };

        let mut headers = vec![example::section(0, SHT_NULL, 0, (0, 0), 0, 0)];
        for part in &self.parts {
            let (at, _) = append(if part.kind == SHT_NOBITS { &[] } else { &part.bytes });
            let mut header = example::section(
                named(part.name),
                part.kind,
                0,
                (at, part.bytes.len() as u64),
                0,
                0,
            );
            header.sh_flags = U64::new(LittleEndian, part.flags);
            header.sh_addralign = U64::new(LittleEndian, part.alignment);
            headers.push(header);
        }
        let entries: Vec<u8> =
            self.relocations.iter().flat_map(|entry| bytes_of(&entry.rela()).to_vec()).collect();
        let link = self.relocation_symbols.unwrap_or(first_table + 1);
        let mut rela = example::section(
            named(".rela.text"),
            self.relocation_kind,
            0,
            append(&entries),
            link,
            24,
        );
        rela.sh_info = U32::new(LittleEndian, self.relocated);
        headers.push(rela);
        let mut symbols = bytes_of(&example::symbol(0, 0)).to_vec();
        for name in &self.symbols {
            let mut symbol = example::symbol(named(name.name), name.section);
            symbol.st_info = SymbolInfo(name.binding.0 << 4);
            symbol.st_value = U64::new(LittleEndian, name.value);
            symbol.st_size = U64::new(LittleEndian, name.len);
            symbols.extend(bytes_of(&symbol));
        }
        headers.push(example::section(
            named(".symtab"),
            SHT_SYMTAB,
            0,
            append(&symbols),
            first_table + 2,
            24,
        ));
        let strtab = named(".strtab");
        headers.push(example::section(strtab, SHT_STRTAB, 0, append(&names), 0, 0));

        let table: Vec<u8> = headers.iter().flat_map(bytes_of).copied().collect();
        let (table_at, _) = append(&table);
        let names_at = (first_table + 2) as u16;
        let header = example::file_header(
            self.machine,
            self.file_type,
            table_at,
            headers.len() as u16,
            names_at,
        );
        file[..64].copy_from_slice(bytes_of(&header));
        file
    }
}

impl Entry {
    fn rela(self) -> elf::Rela64<LittleEndian> {
        elf::Rela64 {
            r_offset: U64::new(LittleEndian, self.at),
            r_info: elf::Rela64::r_info(LittleEndian, false, self.symbol, self.kind),
            r_addend: I64::new(LittleEndian, self.addend),
        }
    }
}

//! Foreign purgatories. An accepted object is laid out as the kernel lays it out. At any address,
//! exactly its own relocations are applied, or one does not fit and the object is not bound.

mod seeds;

use loader::purgatory::relocatable::{Defect, ENTRY_SYMBOL, Relocatable};
use loader::request::InputFile;

use crate::Answer;
use crate::bytes::word;
pub use seeds::seeds;

/// No purgatory is larger in memory.
const MOST: u128 = 1 << 20;
const SHT_SYMTAB: u128 = 2;
const SHT_RELA: u128 = 4;
const SHT_NOBITS: u128 = 8;
/// SHT_REL, SHT_CREL.
const OTHER_RELOCATIONS: [u128; 2] = [9, 0x4000_0014];
const SHT_RELR: u128 = 19;
const SHF_ALLOC: u128 = 2;
const SHF_EXECINSTR: u128 = 4;
const SHN_ABS: u128 = 0xfff1;
const STB_GLOBAL: u128 = 1;
/// The lowest address, one below 2 GiB, one below 4 GiB, and one far above.
const ADDRESSES: [u64; 4] = [0, 0x7ff0_0000, 0xfff0_0000, 0x7f_4320_0000];

/// Checks one file.
pub fn check(data: &[u8]) -> Answer {
    let file = InputFile { path: "purgatory.ro".into(), bytes: data.to_vec() };
    match Relocatable::parse(&file) {
        Ok(program) => {
            let object = Object::read(data);
            object.is_laid_out(&program);
            object.can_be_entered(&program);
            ADDRESSES.iter().for_each(|&address| object.is_bound(&program, address));
            Answer::Taken
        }
        Err(error) => {
            match error.defect {
                Defect::NotElf { .. } => assert!(!data.starts_with(b"\x7fELF")),
                Defect::ElfHeader { field: "machine", found, .. } => {
                    assert_eq!(word(data, 18, 2), Some(found.into()))
                }
                Defect::ElfHeader { found, .. } => {
                    assert_eq!(word(data, 16, 2), Some(found.into()))
                }
                Defect::Alignment { alignment, .. } => assert!(!alignment.is_power_of_two()),
                Defect::Overflow { .. }
                | Defect::Address { .. }
                | Defect::SymbolSize { .. }
                | Defect::SymbolNotInFile { .. } => {
                    panic!("nothing was bound: {error}")
                }
                _ => {}
            }
            Answer::Refused
        }
    }
}

/// A section header, and the place of the section in the image.
struct Section {
    kind: u128,
    flags: u128,
    offset: u128,
    len: u128,
    link: u128,
    info: u128,
    alignment: u128,
    /// `None` if it is not loaded.
    place: Option<u128>,
}

impl Section {
    fn in_file(&self) -> bool {
        self.kind != SHT_NOBITS
    }
}

/// An accepted file.
struct Object<'a> {
    data: &'a [u8],
    sections: Vec<Section>,
    file_len: u128,
    len: u128,
}

impl<'a> Object<'a> {
    fn read(data: &'a [u8]) -> Self {
        let field = |at, len| word(data, at, len).expect("an accepted file has its headers");
        assert_eq!(
            (field(0, 4), field(4, 3)),
            (0x464c_457f, 0x01_01_02),
            "64 bits, little-endian, version 1"
        );
        assert_eq!((field(16, 2), field(18, 2)), (1, 62), "ET_REL, EM_X86_64");
        let (table, count) = (field(40, 8), field(60, 2));
        // A number that exceeds 16 bits is in section header 0 (elf(5): SHN_LORESERVE).
        let count = if count == 0 && table != 0 { field(table + 32, 8) } else { count };
        let header = |index| {
            let at = table + index * 64;
            Section {
                kind: field(at + 4, 4),
                flags: field(at + 8, 8),
                offset: field(at + 24, 8),
                len: field(at + 32, 8),
                link: field(at + 40, 4),
                info: field(at + 44, 4),
                alignment: field(at + 48, 8),
                place: None,
            }
        };
        let mut sections: Vec<Section> = (0..count).map(header).collect();
        let mut end = 0;
        let mut file_len = 0;
        for in_file in [true, false] {
            let part = || {
                |section: &&mut Section| {
                    section.flags & SHF_ALLOC != 0 && section.in_file() == in_file
                }
            };
            if !in_file {
                let widest = sections
                    .iter_mut()
                    .filter(part())
                    .map(|section| section.alignment)
                    .max()
                    .unwrap_or(1);
                end = round_up(end, widest);
                file_len = end;
            }
            for section in sections.iter_mut().filter(part()) {
                end = round_up(end, section.alignment);
                section.place = Some(end);
                end += section.len;
            }
        }
        Self { data, sections, file_len, len: end }
    }

    fn is_laid_out(&self, program: &Relocatable) {
        assert!(self.len <= MOST, "too large");
        assert_eq!((program.file_len().into(), program.len().into()), (self.file_len, self.len));
        let widest = self
            .sections
            .iter()
            .filter(|section| section.place.is_some())
            .map(|section| section.alignment)
            .max();
        assert_eq!(u128::from(program.alignment()), widest.unwrap_or(1));
    }

    /// Offsets of the entries of the first symbol table.
    fn symbols(&self) -> Vec<u128> {
        let table = self
            .sections
            .iter()
            .find(|section| section.kind == SHT_SYMTAB)
            .expect("a symbol table");
        (0..table.len / 24).map(|index| table.offset + index * 24).collect()
    }

    fn field(&self, at: u128, len: u128) -> u128 {
        word(self.data, at, len).expect("an accepted file has its headers")
    }

    /// The entry point is a global symbol of that name, inside a section of code.
    fn can_be_entered(&self, program: &Relocatable) {
        let names = self
            .sections
            .iter()
            .find(|section| section.kind == SHT_SYMTAB)
            .expect("a symbol table")
            .link;
        let names = self.sections[names as usize].offset;
        let is_entry = |&symbol: &u128| {
            let name = (names + self.field(symbol, 4)) as usize;
            let named = self.data.get(name..).is_some_and(|text| {
                text.split(|&byte| byte == 0).next() == Some(ENTRY_SYMBOL.as_bytes())
            });
            let section = self.sections.get(self.field(symbol + 6, 2) as usize);
            let value = self.field(symbol + 8, 8);
            let code =
                |section: &Section| section.flags & SHF_EXECINSTR != 0 && value < section.len;
            let here = section
                .filter(|section| code(section))
                .and_then(|section| section.place)
                .map(|place| place + value);
            named
                && self.field(symbol + 4, 1) >> 4 == STB_GLOBAL
                && here == Some(program.entry().into())
        };
        assert!(
            self.symbols().iter().any(is_entry),
            "execution would begin at {:#x}",
            program.entry()
        );
    }

    fn is_bound(&self, program: &Relocatable, address: u64) {
        let fits_there = u128::from(address).is_multiple_of(program.alignment().into());
        let image = fits_there.then(|| self.relocated(address.into())).flatten();
        match (program.bind(address), image) {
            (Ok(bound), Some(image)) => assert!(bound.bytes() == image, "another image"),
            (Err(error), None) => match error.defect {
                Defect::Address { .. } => assert!(!fits_there),
                Defect::Overflow { .. } => assert!(fits_there),
                other => panic!("{other}"),
            },
            (Ok(_), None) => panic!("bound to {address:#x} although a relocation does not fit"),
            (Err(error), Some(_)) => panic!("not bound to {address:#x}: {}", error.defect),
        }
    }

    /// The image for this address; `None` if a relocation does not fit.
    fn relocated(&self, address: u128) -> Option<Vec<u8>> {
        let mut image = vec![0; self.file_len as usize];
        // An empty section may have any offset.
        for section in self.sections.iter().filter(|section| section.in_file() && section.len > 0) {
            if let Some(place) = section.place {
                let bytes = &self.data[section.offset as usize..][..section.len as usize];
                image[place as usize..][..bytes.len()].copy_from_slice(bytes);
            }
        }
        let mut fits = true;
        let symbols = self.symbols();
        for section in &self.sections {
            assert!(section.kind != SHT_RELR, "packed relocations");
            let changed = (SHT_RELA == section.kind || OTHER_RELOCATIONS.contains(&section.kind))
                .then(|| &self.sections[section.info as usize])
                .filter(|changed| changed.place.is_some());
            let Some(changed) = changed else { continue };
            assert!(section.kind == SHT_RELA, "relocations without addend");
            for entry in (0..section.len / 24).map(|index| section.offset + index * 24) {
                let (at, kind, index) =
                    (self.field(entry, 8), self.field(entry + 8, 4), self.field(entry + 12, 4));
                let len = match kind {
                    0 => continue,
                    1 => 8,
                    2 | 4 | 10 | 11 => 4,
                    other => panic!("a relocation of type {other} was accepted"),
                };
                assert!(changed.in_file() && at + len <= changed.len, "outside its section");
                let symbol = symbols[index as usize];
                let (shndx, value) = (self.field(symbol + 6, 2), self.field(symbol + 8, 8));
                let base = if shndx == SHN_ABS {
                    0
                } else {
                    assert!((1..0xff00).contains(&shndx), "a symbol without a section");
                    address
                        + self.sections[shndx as usize].place.expect("a symbol in a loaded section")
                };
                let at = changed.place.expect("it is loaded") + at;
                // 64-bit sums wrap. Here they are reduced at the end.
                let sum = base + value + self.field(entry + 16, 8);
                let sum =
                    if kind == 2 || kind == 4 { sum + (1 << 64) - (address + at) } else { sum }
                        % (1 << 64);
                let (from_zero, from_below) =
                    (sum < 1 << 32, !((1 << 31)..(1 << 64) - (1 << 31)).contains(&sum));
                fits &= match kind {
                    1 => true,
                    10 => from_zero,
                    _ => from_below,
                };
                image[at as usize..][..len as usize]
                    .copy_from_slice(&sum.to_le_bytes()[..len as usize]);
            }
        }
        fits.then_some(image)
    }
}

fn round_up(end: u128, alignment: u128) -> u128 {
    end.div_ceil(alignment) * alignment
}

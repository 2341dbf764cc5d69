//! Objects made with one mistake each.

use super::*;
use crate::build::drop_in::DROP_INS;
use object::Endianness;
use object::build::elf::{Builder, SectionData, SectionId};
use object::elf::{
    EM_X86_64, ET_REL, R_X86_64_64, SHF_WRITE, SHN_ABS, SHT_PROGBITS, SHT_STRTAB, STB_LOCAL,
    STT_NOTYPE, SymbolSection,
};

/// Linux's drop-in.
const DROP_IN: &DropIn = &DROP_INS[0];

/// Bytes of the section with code and data.
const LEN: u64 = 1024;

/// A valid object for Linux, and the offsets of its sections.
struct Made {
    builder: Builder<'static>,
    image: SectionId,
    zeroes: SectionId,
}

fn made() -> Made {
    let mut builder = Builder::new(Endianness::Little, true);
    (builder.header.e_type, builder.header.e_machine, builder.header.e_entry) =
        (ET_REL, EM_X86_64, 8);
    let mut section = |name: &'static str, kind, flags, data| {
        let section = builder.sections.add();
        (section.name, section.sh_type, section.sh_flags, section.sh_addralign) =
            (name.into(), kind, flags, 8);
        section.data = data;
        section.id()
    };
    let none = object::elf::SectionFlags(0);
    let image = section(
        ".text",
        SHT_PROGBITS,
        SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR,
        SectionData::Data(vec![0x90; LEN as usize].into()),
    );
    let zeroes =
        section(".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, SectionData::UninitializedData(64));
    section(".symtab", SHT_SYMTAB, none, SectionData::Symbol);
    section(".strtab", SHT_STRTAB, none, SectionData::String);
    section(".shstrtab", SHT_STRTAB, none, SectionData::SectionString);
    let mut made = Made { builder, image, zeroes };
    made.symbol(ENTRY, image, 8, 0);
    made.symbol(STACK_END, zeroes, 64, 0);
    let mut at = 64;
    for (name, size) in DROP_IN.written() {
        made.symbol(name, image, at, size);
        at += size;
    }
    made
}

impl Made {
    fn symbol(&mut self, name: &'static str, section: SectionId, value: u64, size: u64) {
        let symbol = self.builder.symbols.add();
        (symbol.name, symbol.section, symbol.st_value, symbol.st_size) =
            (name.into(), Some(section), value, size);
        symbol.set_st_info(STB_GLOBAL, STT_NOTYPE);
    }

    fn named(&mut self, name: &str) -> &mut object::build::elf::Symbol<'static> {
        self.builder
            .symbols
            .iter_mut()
            .find(|symbol| symbol.name.as_slice() == name.as_bytes())
            .unwrap()
    }

    fn object(mut self) -> Vec<u8> {
        self.builder.set_section_sizes();
        let mut object = Vec::new();
        self.builder.write(&mut object).unwrap();
        object
    }

    fn faults(self) -> Vec<String> {
        faults(&self.object(), DROP_IN).unwrap()
    }
}

#[test]
fn good_object_is_accepted() {
    assert_eq!(made().faults(), [""; 0]);
}

#[test]
fn every_mistake_is_found_and_named() {
    type Mistake = fn(&mut Made);
    let mistakes: [(&str, Mistake); 16] = [
        ("it is not an object", |made| made.builder.header.e_type = object::elf::ET_DYN),
        ("has 2000 bytes, the host's loader writes 136", |made| {
            made.named("entry64_regs").st_size = 2000
        }),
        ("entry64_regs reaches out of its section", |made| {
            made.named("entry64_regs").st_value = LEN - 8
        }),
        ("no symbol purgatory_sha_regions", |made| {
            made.named("purgatory_sha_regions").delete = true
        }),
        ("purgatory_sha256_digest is not in the file", |made| {
            let zeroes = made.zeroes;
            (
                made.named("purgatory_sha256_digest").section,
                made.named("purgatory_sha256_digest").st_value,
            ) = (Some(zeroes), 0);
        }),
        ("symbol entry64_regs is not global", |made| {
            made.named("entry64_regs").set_st_info(STB_LOCAL, STT_NOTYPE)
        }),
        ("symbol stray is in no section", |made| {
            let image = made.image;
            made.symbol("stray", image, 0, 0);
            made.named("stray").section = None;
        }),
        ("symbol stray is in no section", |made| {
            let image = made.image;
            made.symbol("stray", image, 0, 0);
            (made.named("stray").section, made.named("stray").st_shndx) =
                (None, SymbolSection(SHN_ABS.0));
        }),
        ("symbol entry64_regs exists twice", |made| {
            let image = made.image;
            made.symbol("entry64_regs", image, 64, 136);
        }),
        ("there is no symbol stack_end", |made| made.named(STACK_END).delete = true),
        ("there is no symbol purgatory_start", |made| made.named(ENTRY).delete = true),
        ("purgatory_start is not in code", |made| made.named(ENTRY).st_value = LEN),
        ("its entry point is 0x9, but purgatory_start is at 0x8", |made| {
            made.builder.header.e_entry = 9
        }),
        ("section .text has the address 0x1000", |made| {
            made.builder.sections.get_mut(made.image).sh_addr = 0x1000
        }),
        ("section .text starts with ELF's magic", |made| {
            let bytes = [b"\x7fELF".as_slice(), &[0x90; LEN as usize - 4]].concat();
            made.builder.sections.get_mut(made.image).data = SectionData::Data(bytes.into());
        }),
        ("2 sections are executable", |made| {
            let zeroes = made.zeroes;
            made.builder.sections.get_mut(zeroes).sh_flags |= SHF_EXECINSTR;
        }),
    ];
    for (expected, mistake) in mistakes {
        let mut made = made();
        mistake(&mut made);
        let faults = made.faults();
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
}

#[test]
fn section_without_an_alignment_is_found() {
    let mut object = made().object();
    // e_shoff of Elf64_Ehdr; sh_addralign of the first Elf64_Shdr after the empty one (elf.h).
    let headers = u64::from_le_bytes(*object[40..].first_chunk().unwrap()) as usize;
    object[headers + 64 + 48..][..8].fill(0);
    assert_eq!(faults(&object, DROP_IN).unwrap(), ["section .text is aligned to 0"]);
}

#[test]
fn relocations_are_found_whatever_they_change() {
    let mut made = made();
    let symbol = made.builder.symbols.iter().next().unwrap().id();
    let symtab =
        made.builder.sections.iter().find(|section| section.sh_type == SHT_SYMTAB).unwrap().id();
    let section = made.builder.sections.add();
    (section.name, section.sh_type, section.sh_addralign) = (".rela.text".into(), SHT_RELA, 8);
    (section.sh_info_section, section.sh_link_section) = (Some(made.image), Some(symtab));
    let relocation = object::build::elf::Relocation {
        r_offset: 0,
        symbol: Some(symbol),
        r_type: R_X86_64_64,
        r_addend: 0,
    };
    section.data = SectionData::Relocation(vec![relocation]);
    assert_eq!(
        made.faults(),
        ["section .rela.text has relocations, which the linker must resolve"]
    );
}

#[test]
fn object_that_is_too_large_is_found() {
    let mut made = made();
    made.builder.sections.get_mut(made.image).data = SectionData::Data(vec![0x90; 17_000].into());
    let faults = made.faults();
    assert!(faults.len() == 1 && faults[0].contains("more than the 15856 allowed"), "{faults:?}");
}

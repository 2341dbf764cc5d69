//! The purgatory's file. An accepted file
//! * keeps every rule of a program that runs at any address;
//! * becomes the bytes of its two segments;
//! * can be bound to an image that the purgatory's own code accepts.

use std::ops::Range;

use digest::Engine;
use handoff::Block;
use loader::purgatory::{Error, Program, parse};
use loader::request::InputFile;
use purgatory::verify::seal_holds;

use crate::bytes::word;
use crate::machine::{MACHINE, accepted, request};
use crate::{Answer, Seed};

/// No purgatory of ours is larger in memory.
const MOST: u128 = 1 << 20;
const PT_LOAD: u128 = 1;
/// SHT_REL, SHT_RELA, SHT_RELR.
const RELOCATIONS: [u128; 3] = [9, 4, 19];
/// SHT_SYMTAB, SHT_DYNSYM.
const SYMBOLS: [u128; 2] = [2, 11];

/// Checks one file.
pub fn check(data: &[u8]) -> Answer {
    let file = InputFile { path: "purgatory.elf".into(), bytes: data.to_vec() };
    match parse(&file) {
        Ok(program) => {
            keeps_the_rules(data, &program);
            can_be_bound(file, &program);
            Answer::Taken
        }
        Err(error) => {
            // The claims of an error, as far as they need no knowledge of sections.
            match error {
                Error::NotElf { .. } => assert!(!data.starts_with(b"\x7fELF")),
                Error::ElfHeader { field: "machine", found, .. } => {
                    assert_eq!(word(data, 18, 2), Some(found.into()))
                }
                Error::ElfHeader { found, .. } => assert_eq!(word(data, 16, 2), Some(found.into())),
                _ => assert!(data.starts_with(b"\x7fELF")),
            }
            Answer::Refused
        }
    }
}

/// A table of equal entries: where it begins, bytes of an entry, how many.
struct Table(u128, u128, u128);

impl Table {
    fn entries(self) -> impl Iterator<Item = u128> {
        (0..self.2).map(move |index| self.0 + index * self.1)
    }
}

fn keeps_the_rules(data: &[u8], program: &Program) {
    let field = |at, len| word(data, at, len).expect("an accepted file has its headers");
    assert_eq!(
        (field(0, 4), field(4, 3)),
        (0x464c_457f, 0x01_01_02),
        "64 bits, little-endian, version 1"
    );
    assert_eq!((field(16, 2), field(18, 2)), (3, 62), "ET_DYN, EM_X86_64");
    let (phoff, phentsize, phnum) = (field(32, 8), field(54, 2), field(56, 2));
    let (shoff, shentsize, shnum, shstrndx) =
        (field(40, 8), field(58, 2), field(60, 2), field(62, 2));
    // Numbers that exceed 16 bits are in section header 0 (elf(5): PN_XNUM,
    // SHN_LORESERVE, SHN_XINDEX).
    let phnum = if phnum == 0xffff { field(shoff + 44, 4) } else { phnum };
    let shnum = if shnum == 0 && shoff != 0 { field(shoff + 32, 8) } else { shnum };
    let shstrndx = if shstrndx == 0xffff { field(shoff + 40, 4) } else { shstrndx };
    assert!(phentsize == 56 && shentsize == 64, "sizes of headers");

    // Flags, file offset, address, bytes in the file, bytes in memory.
    let loads: Vec<[u128; 5]> = Table(phoff, 56, phnum)
        .entries()
        .filter(|&at| field(at, 4) == PT_LOAD)
        .map(|at| {
            [
                field(at + 4, 4),
                field(at + 8, 8),
                field(at + 16, 8),
                field(at + 32, 8),
                field(at + 40, 8),
            ]
        })
        .collect();
    let [
        [text_flags, text_offset, text_at, text_filesz, text_memsz],
        [data_flags, data_offset, data_at, data_filesz, data_memsz],
    ] = loads[..]
    else {
        panic!("{} loadable segments", loads.len());
    };
    assert_eq!((text_flags % 8, data_flags % 8), (5, 6), "r-x, rw-");
    assert!(text_at == 0 && text_memsz <= data_at && data_at + data_memsz <= MOST, "layout");
    assert!(
        text_filesz <= text_memsz && data_filesz <= data_memsz,
        "larger in the file than in memory"
    );

    let mut image = vec![0; (data_at + data_memsz) as usize];
    for (at, offset, len) in
        [(text_at, text_offset, text_filesz), (data_at, data_offset, data_filesz)]
    {
        image[at as usize..][..len as usize]
            .copy_from_slice(&data[offset as usize..][..len as usize]);
    }
    assert!(program.image() == image, "the image is not the segments");
    assert_eq!(program.len(), image.len() as u64);
    assert_eq!(program.text(), 0..text_filesz as u64);
    assert_eq!(u128::from(program.entry()), field(24, 8));
    assert!(program.text().contains(&program.entry()), "execution would begin outside the text");

    let sections: Vec<u128> = Table(shoff, 64, shnum).entries().collect();
    let names =
        sections.get(shstrndx as usize).map(|&at| range(field(at + 24, 8), field(at + 32, 8)));
    // The names of most sections are never read, so they may be anywhere.
    let is_named = |section, name: &[u8]| {
        let names = names.clone().and_then(|names| data.get(names));
        let from_here = names.and_then(|names| names.get(field(section, 4) as usize..));
        from_here.is_some_and(|text| text.split(|&byte| byte == 0).next() == Some(name))
    };
    for &section in &sections {
        assert!(
            !RELOCATIONS.contains(&field(section + 4, 4)) || field(section + 32, 8) == 0,
            "it has relocations"
        );
    }
    for kind in SYMBOLS {
        // There is at most one table of a kind (gABI, "Sections").
        let Some(&table) = sections.iter().find(|&&section| field(section + 4, 4) == kind) else {
            continue;
        };
        let symbols = Table(field(table + 24, 8), 24, field(table + 32, 8) / 24);
        assert!(
            symbols.entries().skip(1).all(|symbol| field(symbol + 6, 2) != 0),
            "a symbol is undefined"
        );
    }
    let block = sections
        .iter()
        .find(|&&section| is_named(section, b".handoff"))
        .expect("a place for the block");
    let (start, len) = (field(block + 16, 8), field(block + 32, 8));
    assert_eq!(
        (u128::from(program.handoff()), size_of::<Block>() as u128),
        (start, len),
        "the block's place"
    );
    assert!(
        data_at <= start && start + len <= data_at + data_filesz,
        "the block is outside the loaded, writable bytes"
    );
}

fn range(start: u128, len: u128) -> Range<usize> {
    start as usize..(start + len) as usize
}

/// The purgatory accepts the image that the loader builds around it.
fn can_be_bound(file: InputFile, program: &Program) {
    let request = request(file);
    let image = match loader::build(&request, &MACHINE) {
        Ok(image) => image,
        Err(error) => {
            assert!(
                program.image().starts_with(b"\x7fELF"),
                "accepted, but cannot be bound: {error}"
            );
            return;
        }
    };
    let handoff = accepted(&image, program);
    let sealed = image.block().expect("an image around a purgatory of ours");
    let at = sealed.purgatory.start.get();
    let segment = image
        .segments()
        .iter()
        .find(|segment| segment.range().start() == at)
        .expect("the purgatory's segment");
    let table = &segment.bytes()[(handoff.leaf_table.start() - at) as usize..]
        [..handoff.leaf_table.len() as usize];
    assert!(seal_holds(Engine::soft(), sealed, table), "the seal does not hold");
    assert_eq!(image.entry(), at + program.entry());
    let (before, rest) =
        segment.bytes()[..program.len() as usize].split_at(program.handoff() as usize);
    let (block, after) = rest.split_at(size_of::<Block>());
    let block_at = program.handoff() as usize;
    assert!(
        before == &program.image()[..block_at]
            && after == &program.image()[block_at + block.len()..],
        "other bytes changed"
    );
    assert!(block == zerocopy::IntoBytes::as_bytes(sealed), "the block is in another place");
}

/// A purgatory with a few bytes of text, a block, one symbol and this number of relocations.
pub fn elf(relocations: u64, undefined: bool) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.text\0.handoff\0.symtab\0.strtab\0.rela.dyn\0_start\0";
    const TEXT_AT: u64 = 64 + 2 * 56;
    const TEXT_LEN: u64 = 40;
    const DATA_AT: u64 = TEXT_AT + TEXT_LEN;
    const BLOCK_LEN: u64 = size_of::<Block>() as u64;
    let names_at = DATA_AT + BLOCK_LEN;
    let symbols_at = names_at + NAMES.len() as u64;
    let relocations_at = symbols_at + 2 * 24;
    let sections_at = relocations_at + relocations * 24;

    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    let mut words =
        |values: &[u64]| bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    words(&[8, 64, sections_at]);
    // e_flags, e_ehsize and so on: four 16-bit numbers each.
    words(&[64 << 32 | 56 << 48, 2 | 64 << 16 | 6 << 32 | 4 << 48]);
    words(&[1 | 5 << 32, TEXT_AT, 0, 0, TEXT_LEN, TEXT_LEN, 4096]);
    words(&[1 | 6 << 32, DATA_AT, 0x1000, 0x1000, BLOCK_LEN, BLOCK_LEN + 0x200, 4096]);
    bytes.extend([0x90; TEXT_LEN as usize]);
    bytes.extend([0; BLOCK_LEN as usize]);
    bytes.extend(NAMES);
    let mut words =
        |values: &[u64]| bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let section_of_symbol = if undefined { 0 } else { 1 };
    words(&[0, 0, 0]);
    words(&[42 | 0x10 << 32 | section_of_symbol << 48, 8, 0]);
    (0..relocations).for_each(|_| words(&[0, 8, 0]));
    // Name and type, flags, address, offset, size, link and info, alignment, size of an entry.
    words(&[0; 8]);
    words(&[1 | 1 << 32, 6, 0, TEXT_AT, TEXT_LEN, 0, 1, 0]);
    words(&[7 | 1 << 32, 3, 0x1000, DATA_AT, BLOCK_LEN, 0, 1, 0]);
    words(&[16 | 2 << 32, 0, 0, symbols_at, 48, 4 | 1 << 32, 8, 24]);
    words(&[24 | 3 << 32, 0, 0, names_at, NAMES.len() as u64, 0, 1, 0]);
    words(&[32 | 4 << 32, 2, 0, relocations_at, relocations * 24, 3, 8, 24]);
    bytes
}

/// A purgatory, one whose text looks like an ELF file, and two that were linked with wrong options.
pub fn seeds() -> Vec<Seed> {
    let mut like_elf = elf(0, false);
    like_elf[64 + 2 * 56..][..4].copy_from_slice(b"\x7fELF");
    vec![
        Seed::taken("purgatory", elf(0, false)),
        Seed::taken("text-like-elf", like_elf),
        Seed::refused("relocations", elf(2, false)),
        Seed::refused("undefined", elf(0, true)),
    ]
}

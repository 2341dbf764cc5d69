//! A sound purgatory is accepted, and one that breaks a rule is rejected for that rule.

mod properties;

use object::elf::{EM_386, ET_EXEC, PF_R, PF_W, PF_X};

use super::*;
use crate::example::{self, Elf, purgatory};
use crate::purgatory::TRAILER_ALIGN;

fn file(bytes: Vec<u8>) -> InputFile {
    InputFile { path: "purgatory.elf".into(), bytes }
}

fn refused(spoil: impl FnOnce(&mut Elf)) -> Error {
    let mut elf = purgatory();
    spoil(&mut elf);
    parse(&file(elf.bytes())).unwrap_err()
}

#[test]
fn good_purgatory_is_taken_apart() {
    let program = parse(&file(purgatory().bytes())).unwrap();
    assert_eq!((program.entry(), program.handoff(), program.text()), (0x10, 0x2000, 0..5000));
    assert_eq!(program.text_bytes(), example::pattern(5000));
    assert_eq!(program.len(), 0x2000 + size_of::<Block>() as u64 + 3000);
    assert!(program.image()[5000..].iter().all(|&byte| byte == 0), "the gap, the block and bss");
}

#[test]
fn file_other_than_elf_is_refused() {
    for bytes in [&b""[..], b"\x7fEL", b"MZ and so on", b"#!/bin/sh"] {
        assert!(matches!(parse(&file(bytes.to_vec())), Err(Error::NotElf { .. })), "{bytes:?}");
    }
}

#[test]
fn foreign_elf_files_are_refused() {
    assert!(matches!(
        refused(|elf| elf.machine = EM_386),
        Error::ElfHeader { field: "machine", found: 3, .. }
    ));
    assert!(matches!(
        refused(|elf| elf.file_type = ET_EXEC),
        Error::ElfHeader { field: "type", found: 2, .. }
    ));
    assert!(matches!(refused(|elf| elf.handoff_name = ".data"), Error::NoHandoff { .. }));
    // 32 bits: object refuses the header of another class.
    let mut bytes = purgatory().bytes();
    bytes[4] = 1;
    assert!(matches!(parse(&file(bytes)), Err(Error::Damaged { what: "header", .. })));
}

#[test]
fn purgatory_that_needs_a_linker_is_refused() {
    assert!(matches!(
        refused(|elf| elf.relocations = 2),
        Error::Relocations { bytes: 48, section, .. } if section == ".rela.dyn"
    ));
    assert!(matches!(
        refused(|elf| elf.undefined = true),
        Error::Undefined { symbol, .. } if symbol == "memcpy"
    ));
}

#[test]
fn purgatory_for_another_block_is_refused() {
    let larger = size_of::<Block>() + 8;
    assert!(matches!(
        refused(|elf| elf.handoff = vec![0; larger]),
        Error::Version { field: "size", found, .. } if found == larger as u64
    ));
    let newer = refused(|elf| {
        elf.handoff[..8].copy_from_slice(&MAGIC);
        elf.handoff[8] = VERSION as u8 + 1;
    });
    let (ours, next) = (u64::from(VERSION), u64::from(VERSION) + 1);
    assert!(matches!(
        newer,
        Error::Version { field: "version", found, expected, .. }
            if (found, expected) == (next, ours)
    ));
}

#[test]
fn purgatory_of_another_layout_is_refused() {
    let layout = |spoil: fn(&mut Elf)| assert!(matches!(refused(spoil), Error::Layout { .. }));
    layout(|elf| elf.entry = 5000);
    layout(|elf| elf.text_flags = PF_R | PF_W | PF_X);
    layout(|elf| elf.bss = u64::MAX / 2);
    layout(|elf| elf.bss = MAX_LEN);
    layout(|elf| elf.data_addr = 0x1000);
    layout(|elf| elf.handoff_addr = 0x1000);
    layout(|elf| elf.handoff_addr = u64::MAX - 8);
}

#[test]
fn truncated_purgatory_is_refused_wherever_it_ends() {
    let bytes = purgatory().bytes();
    for len in 0..bytes.len() {
        assert!(parse(&file(bytes[..len].to_vec())).is_err(), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn flipped_bits_in_the_headers_never_panic() {
    let good = purgatory().bytes();
    let tables = (0..176).chain(good.len() - 7 * 64..good.len());
    for (at, bit) in tables.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << bit;
        if let Ok(program) = parse(&file(bytes)) {
            assert!(
                program.len() <= MAX_LEN && program.text().contains(&program.entry()),
                "bit {bit} of byte {at:#x}"
            );
            assert!(
                program.handoff() + size_of::<Block>() as u64 <= program.len(),
                "bit {bit} of byte {at:#x}"
            );
        }
    }
}

#[test]
fn trailer_follows_the_program_without_overlap() {
    let program = parse(&file(purgatory().bytes())).unwrap();
    let trailer = program.trailer(3, 500);
    assert!(
        trailer.leaf_table >= program.len() && trailer.leaf_table.is_multiple_of(TRAILER_ALIGN)
    );
    assert!(
        trailer.elfcorehdr_copy >= trailer.leaf_table + 96
            && trailer.elfcorehdr_copy.is_multiple_of(TRAILER_ALIGN)
    );
    assert_eq!(trailer.end, trailer.elfcorehdr_copy + 500);
}

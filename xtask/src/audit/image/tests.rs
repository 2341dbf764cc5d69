//! Files that are no purgatory, each for one reason.

use super::*;

#[test]
fn an_ordinary_program_breaks_every_rule() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let faults = Image::parse(&own).unwrap().faults().join("\n");
    for fault in [
        ".rela.dyn has ",
        "is undefined",
        "PT_LOADs; there must be two",
        "no section .handoff",
        ".data holds",
        "more than the",
    ] {
        assert!(faults.contains(fault), "{fault} is not in:\n{faults}");
    }
}

/// The smallest purgatory. A test spoils one of its fields.
struct Made {
    text: &'static [u8],
    text_at: u64,
    flags: [u64; 2],
    handoff: usize,
}

const RIGHT: Made =
    Made { text: b"\x0f\x0b\x0f\x0b", text_at: 0, flags: [5, 6], handoff: size_of::<Block>() };

impl Made {
    /// An ELF file with two segments of one section each, field by field as the gABI lays them out.
    fn elf(&self) -> Vec<u8> {
        const NAMES: &[u8] = b"\0.text\0.handoff\0.shstrtab\0";
        const DATA_AT: u64 = 0x1000;
        let (text, handoff) = (self.text.len() as u64, self.handoff as u64);
        let text_in_file = 64 + 2 * 56;
        let handoff_in_file = text_in_file + text;
        let names_in_file = handoff_in_file + handoff;
        let sections_in_file = names_in_file + NAMES.len() as u64;
        // e_type ET_DYN, e_machine EM_X86_64, …, two program headers, four section headers, the
        // last with the names.
        let mut elf = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9]].concat();
        let header = [(3, 2), (62, 2), (1, 4), (0, 8), (64, 8), (sections_in_file, 8), (0, 4)];
        put(&mut elf, &header);
        put(&mut elf, &[(64, 2), (56, 2), (2, 2), (64, 2), (4, 2), (3, 2)]);
        let segments = [(text_in_file, self.text_at, text), (handoff_in_file, DATA_AT, handoff)];
        for (flags, (offset, at, size)) in self.flags.into_iter().zip(segments) {
            put(
                &mut elf,
                &[
                    (1, 4),
                    (flags, 4),
                    (offset, 8),
                    (at, 8),
                    (at, 8),
                    (size, 8),
                    (size, 8),
                    (0x1000, 8),
                ],
            );
        }
        elf.extend_from_slice(self.text);
        elf.resize(elf.len() + self.handoff, 0);
        elf.extend_from_slice(NAMES);
        // PROGBITS with ALLOC and EXECINSTR or WRITE; STRTAB.
        for (name, kind, flags, (offset, at, size)) in [
            (0, 0, 0, (0, 0, 0)),
            (1, 1, 6, segments[0]),
            (7, 1, 3, segments[1]),
            (16, 3, 0, (names_in_file, 0, NAMES.len() as u64)),
        ] {
            put(
                &mut elf,
                &[
                    (name, 4),
                    (kind, 4),
                    (flags, 8),
                    (at, 8),
                    (offset, 8),
                    (size, 8),
                    (0, 4),
                    (0, 4),
                    (1, 8),
                    (0, 8),
                ],
            );
        }
        elf
    }

    fn faults(&self) -> Vec<String> {
        Image::parse(&self.elf()).unwrap().faults()
    }
}

/// Values, each with its width in bytes.
fn put(elf: &mut Vec<u8>, fields: &[(u64, usize)]) {
    fields.iter().for_each(|(value, width)| elf.extend_from_slice(&value.to_le_bytes()[..*width]));
}

#[track_caller]
fn only_fault(made: &Made, expected: &str) {
    let faults = made.faults();
    assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:?}");
}

#[test]
fn the_smallest_purgatory_is_accepted() {
    assert_eq!(RIGHT.faults(), [""; 0]);
    assert_eq!(
        Image::parse(&RIGHT.elf()).unwrap().loaded_size(),
        0x1000 + size_of::<Block>() as u64
    );
}

#[test]
fn segments_with_other_permissions_are_found() {
    for flags in [[7, 6], [5, 7], [4, 6], [5, 4], [6, 5]] {
        only_fault(&Made { flags, ..RIGHT }, "must be read+execute and read+write");
    }
}

#[test]
fn a_first_segment_that_is_not_at_0_is_found() {
    only_fault(&Made { text_at: 0x10, ..RIGHT }, "the first segment is at 0x10");
}

#[test]
fn a_first_segment_that_looks_like_an_elfcorehdr_is_found() {
    only_fault(&Made { text: b"\x7fELF", ..RIGHT }, "starts with ELF's magic");
    assert_eq!(Made { text: b"\x7fELG", ..RIGHT }.faults(), [""; 0]);
}

#[test]
fn a_section_for_the_block_of_another_size_is_found() {
    for handoff in [size_of::<Block>() - 1, size_of::<Block>() + 1] {
        only_fault(&Made { handoff, ..RIGHT }, "section .handoff has");
    }
}

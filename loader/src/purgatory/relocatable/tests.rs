mod relocations; // the value and place of each relocation, and rejected ones

use object::elf::{
    EM_386, ET_DYN, R_X86_64_64, R_X86_64_PC32, SHF_ALLOC, SHN_ABS, STB_LOCAL, STB_WEAK,
};

use super::example::{BSS, BSS_AT, COMMENT, DATA, DATA_AT, Object, START, TABLE, TEXT, object};
use super::*;
use crate::example::pattern;
use crate::purgatory::MAX_LEN;

/// An address that every relocation can reach.
const LOW: u64 = 0x10_0000;
/// Where kernels put purgatories on machines with more than 4 GiB.
const HIGH: u64 = 0x23_4560_0000;
fn file(bytes: Vec<u8>) -> InputFile {
    InputFile { path: "purgatory.ro".into(), bytes }
}

fn parsed(object: &Object) -> Relocatable {
    Relocatable::parse(&file(object.bytes())).unwrap()
}

#[track_caller]
fn refused(spoil: impl FnOnce(&mut Object)) -> Defect {
    let mut object = object();
    spoil(&mut object);
    Relocatable::parse(&file(object.bytes())).unwrap_err().defect
}

#[test]
fn sections_are_laid_out_in_the_order_of_their_headers_and_those_without_bytes_last() {
    let program = parsed(&object());
    assert_eq!(
        (program.file_len(), program.len(), program.alignment()),
        (BSS_AT, BSS_AT + 1000, 256)
    );
    let mut expected = pattern(40);
    expected.resize(DATA_AT as usize, 0);
    expected.extend(pattern(16));
    expected.resize(BSS_AT as usize, 0);
    assert_eq!(program.image, expected);
    assert_eq!(program.bind(LOW).unwrap().bytes(), expected);
    assert_eq!(program.entry(), 8);
}

#[test]
fn alignment_of_the_part_in_the_file_counts_for_the_whole() {
    let mut object = object();
    object.parts[usize::from(DATA) - 1].alignment = 0x1000;
    let program = parsed(&object);
    assert_eq!(
        (program.file_len(), program.len(), program.alignment()),
        (0x1100, 0x1100 + 1000, 0x1000)
    );
}

#[test]
fn section_whose_alignment_is_not_a_power_of_two_is_refused_by_name() {
    for (section, alignment) in [(TEXT, 0), (BSS, 0), (DATA, 3), (TEXT, u64::MAX)] {
        let defect = refused(|object| object.parts[usize::from(section) - 1].alignment = alignment);
        let name = object().parts[usize::from(section) - 1].name;
        assert!(
            matches!(
                &defect,
                Defect::Alignment { section, alignment: a }
                    if section == name && *a == alignment
            ),
            "{defect}"
        );
    }
}

#[test]
fn object_that_is_too_large_for_a_purgatory_is_refused() {
    for alignment in [MAX_LEN * 2, 1 << 63] {
        let defect = refused(|object| object.parts[usize::from(BSS) - 1].alignment = alignment);
        assert!(matches!(defect, Defect::TooLarge { .. }), "{defect}");
    }
    let defect = refused(|object| {
        object.parts[usize::from(BSS) - 1].bytes = vec![0; (MAX_LEN - BSS_AT) as usize + 1]
    });
    assert!(matches!(&defect, Defect::TooLarge { section, .. } if section == ".bss"), "{defect}");
    let mut fits = object();
    fits.parts[usize::from(BSS) - 1].bytes = vec![0; (MAX_LEN - BSS_AT) as usize];
    assert_eq!(parsed(&fits).len(), MAX_LEN);
}

#[test]
fn files_that_are_not_objects_for_x86_64_are_refused() {
    for bytes in [&b""[..], b"\x7fEL", b"MZ and so on"] {
        let error = Relocatable::parse(&file(bytes.to_vec())).unwrap_err();
        assert!(matches!(error.defect, Defect::NotElf { .. }), "{bytes:?}");
        assert_eq!(error.to_string(), "purgatory.ro cannot be used as a relocatable purgatory");
    }
    assert!(matches!(
        refused(|object| object.machine = EM_386),
        Defect::ElfHeader { field: "machine", found: 3, .. }
    ));
    assert!(matches!(
        refused(|object| object.file_type = ET_DYN),
        Defect::ElfHeader { field: "type", found: 3, .. }
    ));
}

#[test]
fn global_symbols_of_loaded_sections_are_found() {
    let mut object =
        object().with_symbol("number", SHN_ABS.0, 1).with_symbol("outside", COMMENT, 0);
    for (name, binding) in [("local", STB_LOCAL), ("weak", STB_WEAK)] {
        object = object.with_symbol(name, TEXT, 0);
        object.symbols.last_mut().unwrap().binding = binding;
    }
    // If two symbols have the same name, the kernel uses the first.
    object = object.with_symbol("table", TEXT, 0);
    let program = parsed(&object);
    let facts = |name| {
        program.symbol(name).map(|symbol| (symbol.offset(), symbol.len(), symbol.is_in_file()))
    };
    assert_eq!(facts("table").unwrap(), (DATA_AT + 4, 8, true));
    assert_eq!(facts("stack_end").unwrap(), (BSS_AT + 1000, 0, false));
    assert_eq!(facts("stack").unwrap(), (BSS_AT, 1000, false));
    assert_eq!(program.bind(HIGH).unwrap().address_of("stack_end").unwrap(), HIGH + BSS_AT + 1000);
    assert_eq!(program.bind(HIGH).unwrap().entry(), HIGH + 8);
    for missing in ["number", "outside", "local", "weak", "absent"] {
        let error = facts(missing).unwrap_err();
        assert!(
            matches!(&error.defect, Defect::NoSymbol { symbol } if symbol == missing),
            "{missing}"
        );
    }
}

#[test]
fn symbol_that_reaches_beyond_its_section_is_refused() {
    for (value, len) in [(9, 8), (17, 0), (u64::MAX, 2)] {
        let defect =
            refused(|object| (object.symbols[1].value, object.symbols[1].len) = (value, len));
        assert!(
            matches!(&defect, Defect::SymbolOutside { symbol } if symbol == "table"),
            "{defect}"
        );
    }
}

#[test]
fn entry_point_must_be_there_and_in_code() {
    let defect = refused(|object| object.symbols[0].name = "_start");
    assert!(matches!(&defect, Defect::NoSymbol { symbol } if symbol == ENTRY_SYMBOL), "{defect}");
    assert!(matches!(refused(|object| object.symbols[0].section = DATA), Defect::EntryNotCode));
    assert!(matches!(refused(|object| object.symbols[0].value = 40), Defect::EntryNotCode));
    assert!(matches!(refused(|object| object.parts[0].flags = SHF_ALLOC), Defect::EntryNotCode));
}

#[test]
fn symbol_is_written_whole_and_after_its_relocations() {
    let mut object = object().relocated(4, R_X86_64_64, START, 0);
    object.relocated = DATA.into();
    let program = parsed(&object);
    let mut bound = program.bind(HIGH).unwrap();
    assert_eq!(bound.get("table").unwrap(), (HIGH + 8).to_le_bytes());
    let before = bound.bytes().to_vec();
    bound.set("table", b"wordword").unwrap();
    assert_eq!(bound.get("table").unwrap(), b"wordword");
    let at = DATA_AT as usize + 4;
    assert_eq!(
        (&bound.bytes()[..at], &bound.bytes()[at + 8..]),
        (&before[..at], &before[at + 8..])
    );
}

#[test]
fn symbol_is_not_written_with_another_size_or_where_the_file_has_no_bytes() {
    let program = parsed(&object());
    let mut bound = program.bind(LOW).unwrap();
    for given in [0, 7, 9] {
        let error = bound.set("table", &vec![1; given as usize]).unwrap_err();
        assert!(matches!(
            &error.defect,
            Defect::SymbolSize { symbol, found: 8, given: g }
                if symbol == "table" && *g == given
        ));
    }
    let error = bound.set("stack", &[1; 1000]).unwrap_err();
    assert!(matches!(&error.defect, Defect::SymbolNotInFile { symbol } if symbol == "stack"));
    assert!(matches!(bound.get("stack").unwrap_err().defect, Defect::SymbolNotInFile { .. }));
    assert!(matches!(bound.set("absent", &[]).unwrap_err().defect, Defect::NoSymbol { .. }));
    assert_eq!(bound.bytes(), program.image);
}

#[test]
fn address_that_is_not_aligned_or_too_high_is_refused() {
    let program = parsed(&object());
    for address in [1, 128, !255, !1023] {
        let error = program.bind(address).unwrap_err();
        assert!(
            matches!(
                error.defect,
                Defect::Address { address: a, alignment: 256, .. }
                    if a == address
            ),
            "{address:#x}"
        );
    }
    program.bind(256).unwrap();
}

#[test]
fn truncated_object_is_refused_wherever_it_ends() {
    let bytes = object().relocated(16, R_X86_64_64, TABLE, 0).bytes();
    for len in 0..bytes.len() {
        assert!(
            Relocatable::parse(&file(bytes[..len].to_vec())).is_err(),
            "{len} of {} bytes",
            bytes.len()
        );
    }
}

#[test]
fn flipped_bits_never_panic() {
    let good = object()
        .relocated(16, R_X86_64_64, TABLE, 0)
        .relocated(24, R_X86_64_PC32, START, 0)
        .bytes();
    for (at, bit) in (0..good.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << bit;
        if let Ok(program) = Relocatable::parse(&file(bytes)) {
            assert!(
                program.file_len() <= program.len() && program.len() <= MAX_LEN,
                "bit {bit} of byte {at:#x}"
            );
            assert!(program.entry() < program.file_len(), "bit {bit} of byte {at:#x}");
            let _ = program.bind(program.alignment());
        }
    }
}

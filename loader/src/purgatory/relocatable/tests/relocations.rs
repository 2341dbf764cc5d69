//! Each type at both ends of what fits, and each reason to refuse one.

use object::elf::{
    R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_GOTPC64, R_X86_64_GOTPCREL, R_X86_64_NONE,
    R_X86_64_PC32, R_X86_64_PC64, R_X86_64_PLT32, R_X86_64_REX_GOTPCRELX, RelocationType, SHN_ABS,
    SHN_COMMON, SHN_UNDEF, SHN_XINDEX, SHT_CREL, SHT_REL, SHT_RELA, SHT_RELR,
};

use super::super::example::{self, BSS, COMMENT, DATA_AT, Object, START, TABLE, object};
use super::{Defect, HIGH, LOW, parsed, refused};

/// Index of the symbol that [`Object::with_symbol`] adds.
const ADDED: u32 = 5;

/// The `LEN` bytes of the code at `at` after relocation. Everything else must stay unchanged.
#[track_caller]
fn bound<const LEN: usize>(object: &Object, address: u64, at: usize) -> [u8; LEN] {
    let program = parsed(object);
    let image = program.bind(address).unwrap().into_bytes();
    let field = image[at..at + LEN].try_into().unwrap();
    assert_eq!(
        (&image[..at], &image[at + LEN..]),
        (&program.image[..at], &program.image[at + LEN..])
    );
    field
}

/// The value that did not fit.
#[track_caller]
fn overflow(object: &Object, address: u64) -> (&'static str, u64, u64) {
    match parsed(object).bind(address).unwrap_err().defect {
        Defect::Overflow { kind, at, value, .. } => (kind, at, value),
        other => panic!("{other}"),
    }
}

#[test]
fn absolute_64_bits_are_written_wherever_it_is_bound() {
    let object = object().relocated(16, R_X86_64_64, TABLE, -2);
    for address in [LOW, HIGH] {
        assert_eq!(u64::from_le_bytes(bound(&object, address, 16)), address + DATA_AT + 4 - 2);
    }
    // The sum may be before the image, and even before address 0.
    let before = example::object().relocated(16, R_X86_64_64, TABLE, i64::MIN);
    assert_eq!(u64::from_le_bytes(bound(&before, 0, 16)), (DATA_AT + 4).wrapping_add(1 << 63));
}

#[test]
fn absolute_32_bits_end_at_4_gib() {
    let to_4_gib = (1 << 32) - (DATA_AT + 4) as i64;
    let most = object().relocated(16, R_X86_64_32, TABLE, to_4_gib - 1);
    assert_eq!(u32::from_le_bytes(bound(&most, 0, 16)), u32::MAX);
    assert_eq!(overflow(&most, 0x100), ("R_X86_64_32", 16, (1 << 32) + 0xff));
    let beyond = object().relocated(16, R_X86_64_32, TABLE, to_4_gib);
    assert_eq!(overflow(&beyond, 0), ("R_X86_64_32", 16, 1 << 32));
    let negative = object().relocated(16, R_X86_64_32, TABLE, -(DATA_AT as i64) - 5);
    assert_eq!(overflow(&negative, 0), ("R_X86_64_32", 16, u64::MAX));
}

#[test]
fn absolute_32_bits_with_sign_end_at_2_gib_on_both_sides() {
    let to = |value: i64| object().relocated(16, R_X86_64_32S, TABLE, value - (DATA_AT + 4) as i64);
    for value in [i32::MAX, i32::MIN, -1] {
        assert_eq!(i32::from_le_bytes(bound(&to(value.into()), 0, 16)), value);
    }
    assert_eq!(overflow(&to(1 << 31), 0), ("R_X86_64_32S", 16, 1 << 31));
    assert_eq!(overflow(&to(-(1 << 31) - 1), 0), ("R_X86_64_32S", 16, 0xffff_ffff_7fff_ffff));
    assert_eq!(overflow(&to(0), 1 << 31).2, 1 << 31);
}

#[test]
fn relative_32_bits_do_not_depend_on_the_address() {
    for kind in [R_X86_64_PC32, R_X86_64_PLT32] {
        let object = object().relocated(20, kind, START, -4);
        for address in [LOW, HIGH, !0xfff] {
            assert_eq!(i32::from_le_bytes(bound(&object, address, 20)), 8 - 4 - 20);
        }
    }
}

#[test]
fn relative_32_bits_end_at_2_gib_on_both_sides() {
    for (kind, name) in [(R_X86_64_PC32, "R_X86_64_PC32"), (R_X86_64_PLT32, "R_X86_64_PLT32")] {
        let by = |distance: i64| object().relocated(20, kind, START, distance + 20 - 8);
        for distance in [i32::MAX, i32::MIN] {
            assert_eq!(i32::from_le_bytes(bound(&by(distance.into()), HIGH, 20)), distance);
        }
        assert_eq!(overflow(&by(1 << 31), HIGH), (name, 20, 1 << 31));
        assert_eq!(overflow(&by(-(1 << 31) - 1), LOW), (name, 20, 0xffff_ffff_7fff_ffff));
    }
}

#[test]
fn symbol_without_section_is_a_number_wherever_the_image_is_bound() {
    let absolute = |kind: RelocationType| {
        let object = object().with_symbol("number", SHN_ABS.0, 0x1234);
        object.relocated(16, kind, ADDED, 1)
    };
    assert_eq!(u64::from_le_bytes(bound(&absolute(R_X86_64_64), HIGH, 16)), 0x1235);
    assert_eq!(u32::from_le_bytes(bound(&absolute(R_X86_64_32), HIGH, 16)), 0x1235);
    assert_eq!(overflow(&absolute(R_X86_64_PC32), HIGH).2, 0x1235_u64.wrapping_sub(HIGH + 16));
}

#[test]
fn relocation_of_type_none_changes_nothing() {
    // It refers to the first symbol of every table, which is undefined.
    let object = object().relocated(u64::MAX, R_X86_64_NONE, 0, 7);
    let program = parsed(&object);
    assert_eq!(program.bind(HIGH).unwrap().bytes(), program.image);
}

#[test]
fn relocation_that_needs_a_linker_is_refused_by_its_name() {
    for (kind, name) in [
        (R_X86_64_GOTPCREL, "R_X86_64_GOTPCREL"),
        (R_X86_64_REX_GOTPCRELX, "R_X86_64_REX_GOTPCRELX"),
        (R_X86_64_GOTPC64, "R_X86_64_GOTPC64"),
        (R_X86_64_PC64, "R_X86_64_PC64"),
        (RelocationType(9999), "relocation type 9999"),
    ] {
        let defect = refused(|object| *object = object.clone().relocated(16, kind, START, 0));
        let said = defect.to_string();
        assert!(
            matches!(
                &defect,
                Defect::RelocationType { section, at: 16, kind }
                    if section == ".text" && kind == name
            ),
            "{said}"
        );
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn relocations_without_addend_or_in_a_packed_form_are_refused() {
    for (kind, name) in [(SHT_REL, "SHT_REL"), (SHT_CREL, "SHT_CREL"), (SHT_RELR, "SHT_RELR")] {
        let defect = refused(|object| object.relocation_kind = kind);
        assert!(
            matches!(
                &defect,
                Defect::RelocationSection { section, kind }
                    if section == ".rela.text" && *kind == name
            ),
            "{defect}"
        );
    }
}

#[test]
fn relocations_of_unloaded_sections_are_ignored() {
    for kind in [SHT_REL, SHT_RELA] {
        let mut object = object().relocated(16, R_X86_64_GOTPCREL, 9999, 0);
        object.relocation_kind = kind;
        object.relocated = COMMENT.into();
        assert_eq!(parsed(&object).bind(LOW).unwrap().bytes(), parsed(&example::object()).image);
    }
}

#[test]
fn relocation_against_a_symbol_without_a_place_is_refused_by_its_name() {
    for (section, reason) in [
        (SHN_UNDEF.0, "not defined"),
        (SHN_COMMON.0, "common"),
        (COMMENT, "not in a section"),
        (SHN_XINDEX.0, "not in a section"),
        (99, "not in a section"),
    ] {
        let defect = refused(|object| {
            *object = object.clone().with_symbol("nowhere", section, 0).relocated(
                16,
                R_X86_64_64,
                ADDED,
                0,
            )
        });
        assert!(
            matches!(
                &defect,
                Defect::Target { symbol, what }
                    if symbol == "nowhere" && what.starts_with(reason)
            ),
            "{defect}"
        );
    }
    // A section symbol has the section's name only.
    let defect = refused(|object| {
        *object = object.clone().with_symbol("", COMMENT, 0).relocated(16, R_X86_64_64, ADDED, 0)
    });
    assert!(matches!(&defect, Defect::Target { symbol, .. } if symbol == ".comment"), "{defect}");
}

#[test]
fn relocation_outside_the_bytes_of_its_section_is_refused() {
    for (kind, len) in [(R_X86_64_64, 8), (R_X86_64_32, 4), (R_X86_64_PC32, 4)] {
        let last = object().relocated(40 - len, kind, START, 0);
        parsed(&last).bind(LOW).unwrap();
        for at in [40 - len + 1, 40, u64::MAX] {
            let defect = refused(|object| *object = object.clone().relocated(at, kind, START, 0));
            assert!(
                matches!(
                    &defect,
                    Defect::RelocationOutside { section, at: a }
                        if section == ".text" && *a == at
                ),
                "{defect}"
            );
        }
    }
    let defect = refused(|object| {
        *object = object.clone().relocated(0, R_X86_64_64, START, 0);
        object.relocated = BSS.into();
    });
    assert!(
        matches!(&defect, Defect::RelocationOutside { section, at: 0 } if section == ".bss"),
        "{defect}"
    );
}

#[test]
fn relocations_that_refer_to_missing_sections_or_symbols_are_refused() {
    let what = |spoil: fn(&mut Object)| match refused(spoil) {
        Defect::Dangling { section, what, index } => {
            assert_eq!(section, ".rela.text");
            (what, index)
        }
        other => panic!("{other}"),
    };
    assert_eq!(what(|object| object.relocated = 77), ("section", 77));
    assert_eq!(what(|object| object.relocation_symbols = Some(1)), ("symbol table", 1));
    assert_eq!(
        what(|object| *object = object.clone().relocated(0, R_X86_64_64, 66, 0)),
        ("symbol", 66)
    );
}

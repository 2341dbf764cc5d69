//! The contract of an object, the symbols that it must have, and their values.

use object::elf::{R_X86_64_64, SHT_NOBITS};

use super::*;
use crate::purgatory::relocatable::Defect;
use crate::purgatory::relocatable::example::{Object, UNWRITTEN, WRITTEN_AT, object};
use crate::purgatory::{Kind, read};

const AT: u64 = 0x12_3456_7000;

fn symbols(contract: &'static Contract) -> impl Iterator<Item = (&'static str, u64)> {
    contract.written.iter().map(|written| (written.symbol, written.len))
}

fn parse(object: &Object) -> Result<Foreign, Error> {
    Foreign::parse(&InputFile { path: "purgatory.ro".into(), bytes: object.bytes() })
}

fn values(regions: &[PhysRange]) -> SymbolValues<'_> {
    SymbolValues {
        regions,
        digest: [0xd1; 32],
        kernel_entry: 1,
        boot_params: 2,
        command_line_end: 3,
        console: Some(0x3f8),
    }
}

#[test]
fn contract_follows_from_the_table_of_regions_alone() {
    for contract in CONTRACTS {
        let foreign = parse(&object().with_written(symbols(contract))).unwrap();
        assert_eq!(foreign.contract(), contract);
    }
    assert!(matches!(parse(&object()), Err(Error::NoContract { .. })));
    let both = object()
        .with_written(symbols(&LINUX))
        .with_written(symbols(&KEXEC_TOOLS).filter(|(name, _)| *name != ENTRY_REGS));
    assert!(matches!(parse(&both), Err(Error::Ambiguous { .. })));
    // The object may have symbols of the other loader that this one ignores.
    let rest =
        symbols(&KEXEC_TOOLS).filter(|(name, _)| ![ENTRY_REGS, "sha256_regions"].contains(name));
    assert_eq!(
        parse(&object().with_written(symbols(&LINUX)).with_written(rest)).unwrap().contract(),
        &LINUX
    );
}

#[test]
fn object_is_a_foreign_purgatory_and_a_linked_file_is_ours() {
    let file = |bytes| InputFile { path: "purgatory".into(), bytes };
    assert!(matches!(
        read(&file(object().with_written(symbols(&LINUX)).bytes())),
        Ok(Kind::Foreign(_))
    ));
    assert!(matches!(
        read(&file(object().bytes())),
        Err(crate::purgatory::Error::Object(Error::NoContract { .. }))
    ));
    assert!(matches!(read(&file(crate::example::purgatory().bytes())), Ok(Kind::Ours(_))));
    assert!(matches!(read(&file(b"MZ".to_vec())), Err(crate::purgatory::Error::NotElf { .. })));
}

#[test]
fn symbol_that_is_missing_or_has_another_size_or_no_bytes_is_refused_by_name() {
    for contract in CONTRACTS {
        for (spoilt, _) in symbols(contract).filter(|(name, _)| *name != contract.regions()) {
            let without =
                object().with_written(symbols(contract).filter(|(name, _)| *name != spoilt));
            let Err(Error::Relocatable(error)) = parse(&without) else { panic!("{spoilt}") };
            assert!(
                matches!(&error.defect, Defect::NoSymbol { symbol } if symbol == spoilt),
                "{}",
                error.defect
            );
        }
        for (spoilt, len) in symbols(contract) {
            let longer = object().with_written(
                symbols(contract).map(|(name, len)| (name, len + u64::from(name == spoilt))),
            );
            let Err(Error::Relocatable(error)) = parse(&longer) else { panic!("{spoilt}") };
            let expected = (len + 1, len);
            assert!(matches!(
                &error.defect,
                Defect::SymbolSize { symbol, found, given }
                    if symbol == spoilt && (*found, *given) == expected
            ));
        }
        let mut zeroes = object().with_written(symbols(contract));
        zeroes.parts.last_mut().unwrap().kind = SHT_NOBITS;
        let Err(Error::Relocatable(error)) = parse(&zeroes) else { panic!("{}", contract.name) };
        assert!(
            matches!(&error.defect, Defect::SymbolNotInFile { symbol } if symbol == ENTRY_REGS),
            "{}",
            error.defect
        );

        let mut without = object().with_written(symbols(contract));
        without.symbols.retain(|name| name.name != STACK_END);
        let Err(Error::Relocatable(error)) = parse(&without) else { panic!("{}", contract.name) };
        assert!(
            matches!(&error.defect, Defect::NoSymbol { symbol } if symbol == STACK_END),
            "{}",
            error.defect
        );
    }
}

#[test]
fn sixteen_regions_fit_and_seventeen_are_refused() {
    let region = |index: u64| PhysRange::with_len(0x1000 * (index + 1), 0x1000).unwrap();
    let regions: Vec<PhysRange> = (0..17).map(region).collect();
    for contract in CONTRACTS {
        let foreign = parse(&object().with_written(symbols(contract))).unwrap();
        let bytes = foreign.bind(AT, &values(&regions[..16])).unwrap();
        let table = foreign.program().symbol(contract.regions()).unwrap().offset() as usize;
        let words: Vec<u64> = bytes[table..][..256]
            .chunks(8)
            .map(|w| u64::from_le_bytes(w.try_into().unwrap()))
            .collect();
        let expected: Vec<u64> =
            regions[..16].iter().flat_map(|region| [region.start(), region.len()]).collect();
        assert_eq!(words, expected);
        let error = foreign.bind(AT, &values(&regions)).unwrap_err();
        assert!(matches!(error, Error::TooManyRegions { found: 17, .. }), "{error}");
        assert!(error.to_string().contains("16 regions at most, and this image has 17"), "{error}");
    }
}

#[test]
fn symbols_are_written_after_their_relocations_and_nothing_else_is() {
    for contract in CONTRACTS {
        // As in both peers: an address in `entry64_regs`, which is the first symbol in its section.
        let mut object = object().with_written(symbols(contract)).relocated(128, R_X86_64_64, 1, 0);
        object.relocated = object.parts.len() as u32;
        let foreign = parse(&object).unwrap();
        let bytes = foreign.bind(AT, &values(&[])).unwrap();
        assert_eq!(bytes[WRITTEN_AT as usize + 128..][..8], 1_u64.to_le_bytes(), "RIP is written");
        let before = foreign.program().bind(AT).unwrap().into_bytes();
        assert_eq!(bytes[..WRITTEN_AT as usize], before[..WRITTEN_AT as usize]);
        let written: usize = symbols(contract).map(|(_, len)| len as usize).sum();
        let after = WRITTEN_AT as usize + written;
        assert_eq!(bytes[after..], before[after..]);
        // Thirteen registers stay as they were built.
        let kept = bytes[WRITTEN_AT as usize..].iter().filter(|&&byte| byte == UNWRITTEN).count();
        assert_eq!(kept, 13 * 8, "{}", contract.name);
    }
}

#[test]
fn registers_are_seventeen_names_each_of_them_once() {
    for contract in CONTRACTS {
        let mut names = contract.registers;
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert!(["rbx", "rsp", "rsi", "rip"].iter().all(|name| names.contains(name)), "{names:?}");
    }
}

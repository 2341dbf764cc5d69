//! Purgatories with segments of any size at any address. Each is taken apart into its parts, or
//! refused for a rule that it breaks.

use object::elf::{FileType, Machine, ProgramFlags};
use proptest::option::weighted;
use proptest::prelude::*;

use super::*;

const BLOCK_LEN: usize = size_of::<Block>();
/// Offset of the version in a block.
const VERSION_AT: std::ops::Range<usize> = 8..12;

fn elves() -> impl Strategy<Value = Elf> {
    let kind =
        (weighted(0.05, any::<u16>()), weighted(0.05, any::<u16>()), weighted(0.05, 0..8u32));
    let flaws = (weighted(0.05, 1..4usize), prop::bool::weighted(0.05), prop::bool::weighted(0.05));
    // The gap may be negative: then the segments overlap, or the file is for an address below 0.
    let sizes = (1..0x2800usize, weighted(0.05, 0..0x400usize), -0x100i64..0x1800, 0..0x4000u64);
    let full = weighted(0.1, 0..3u64);
    let places =
        (any::<prop::sample::Index>(), weighted(0.05, 0..0x3000u64), weighted(0.05, any::<i8>()));
    let version =
        prop_oneof![2 => Just(None), 6 => Just(Some(VERSION)), 1 => any::<u32>().prop_map(Some)];
    (kind, flaws, sizes, places, (version, full)).prop_map(
        |(kind, flaws, sizes, places, (version, full))| {
            let (text_len, handoff_len, gap, bss) = sizes;
            let (inside_text, any_entry, handoff_moved) = places;
            let (relocations, undefined, nameless) = (flaws.0.unwrap_or(0), flaws.1, flaws.2);
            let mut handoff = vec![0; handoff_len.unwrap_or(BLOCK_LEN)];
            if let (Some(version), true) = (version, handoff.len() >= VERSION_AT.end) {
                handoff[..VERSION_AT.start].copy_from_slice(&MAGIC);
                handoff[VERSION_AT].copy_from_slice(&version.to_le_bytes());
            }
            let data_addr = (text_len as u64).saturating_add_signed(gap);
            // Most have a few KiB, as ours has. Some are close to the limit.
            let bss =
                full.map_or(bss, |over| MAX_LEN - data_addr - handoff.len() as u64 + over - 1);
            Elf {
                machine: kind.0.map_or(elf::EM_X86_64, Machine),
                file_type: kind.1.map_or(elf::ET_DYN, FileType),
                text_flags: kind.2.map_or(PF_R | PF_X, ProgramFlags),
                entry: any_entry.unwrap_or(inside_text.index(text_len) as u64),
                text: example::pattern(text_len),
                handoff_name: if nameless { ".data" } else { HANDOFF_SECTION },
                handoff_addr: data_addr.wrapping_add_signed(handoff_moved.unwrap_or(0).into()),
                handoff,
                data_addr,
                bss,
                undefined,
                relocations,
            }
        },
    )
}

/// The rules that it breaks, by a word of the error.
fn broken(elf: &Elf) -> Vec<&'static str> {
    let (text_len, handoff_len) = (elf.text.len() as u64, elf.handoff.len() as u64);
    let version = elf
        .handoff
        .strip_prefix(&MAGIC)
        .map(|rest| u32::from_le_bytes(*rest.first_chunk().unwrap()));
    [
        ("machine", elf.machine == EM_X86_64_NUMBER),
        ("type", elf.file_type == ET_DYN_NUMBER),
        ("relocations", elf.relocations == 0),
        ("undefined", !elf.undefined),
        ("layout", elf.text_flags == PF_R | PF_X),
        ("layout", text_len <= elf.data_addr && elf.data_addr + handoff_len + elf.bss <= MAX_LEN),
        ("layout", elf.entry < text_len),
        ("no section", elf.handoff_name == HANDOFF_SECTION),
        ("size", handoff_len == BLOCK_LEN as u64),
        ("layout", elf.handoff_addr == elf.data_addr),
        ("version", version.is_none_or(|version| version == VERSION)),
    ]
    .into_iter()
    .filter_map(|(rule, kept)| (!kept).then_some(rule))
    .collect()
}

const EM_X86_64_NUMBER: Machine = Machine(62);
const ET_DYN_NUMBER: FileType = FileType(3);

fn rule(error: &Error) -> &'static str {
    match error {
        Error::ElfHeader { field, .. } | Error::Version { field, .. } => field,
        Error::Relocations { .. } => "relocations",
        Error::Undefined { .. } => "undefined",
        Error::Layout { .. } => "layout",
        Error::NoHandoff { .. } => "no section",
        Error::NotElf { .. } | Error::Damaged { .. } | Error::Object(_) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn purgatory_is_taken_apart_or_refused_for_a_rule_that_it_breaks(elf in elves()) {
        let broken = broken(&elf);
        match parse(&file(elf.bytes())) {
            Ok(program) => {
                prop_assert!(broken.is_empty(), "taken although it breaks {:?}", broken);
                let mut image = elf.text.clone();
                image.resize(elf.data_addr as usize, 0);
                image.extend(&elf.handoff);
                image.resize(image.len() + elf.bss as usize, 0);
                prop_assert!(program.image() == image);
                let facts = (program.entry(), program.handoff(), program.text());
                prop_assert_eq!(facts, (elf.entry, elf.data_addr, 0..elf.text.len() as u64));
            }
            Err(error) => {
                prop_assert!(broken.contains(&rule(&error)), "{} instead of {:?}", error, broken)
            }
        }
    }
}

#[test]
fn tried_purgatories_are_often_accepted_and_often_refused() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let right = (0..1000)
        .filter(|_| broken(&elves().new_tree(&mut runner).unwrap().current()).is_empty())
        .count();
    assert!((200..800).contains(&right), "{right} of 1000 are right");
}

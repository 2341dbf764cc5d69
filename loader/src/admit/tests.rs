use super::*;
use crate::machine::example;
use crate::request;

const REGION: PhysRange = PhysRange::new(0x3000_0000, 0x4000_0000).unwrap();
const PLENTY: u64 = 1 << 40;

fn segment<'a>(name: &'static str, start: u64, len: u64, bytes: &'a [u8]) -> Candidate<'a> {
    Candidate {
        name,
        range: PhysRange::with_len(start, len).unwrap(),
        bytes,
        elfcorehdr: name == "elfcorehdr",
    }
}

fn good() -> Vec<Candidate<'static>> {
    vec![
        segment("elfcorehdr", 0x3000_0000, 0x1000, b"\x7fELF and so on"),
        segment("kernel", 0x3020_0000, 0x20_0000, b"code"),
        segment("initrd", 0x3040_0000, 0x1000, b"070701"),
    ]
}

#[test]
fn well_formed_segments_are_admitted() {
    assert_eq!(check_segments(&good(), REGION, PLENTY), Ok(()));
}

#[test]
fn seventeenth_segment_is_refused() {
    let mut segments: Vec<_> = (1..17)
        .map(|page| segment("kernel", 0x3000_0000 + page * 0x1000, 0x1000, b"code"))
        .collect();
    assert_eq!(check_segments(&segments, REGION, PLENTY), Ok(()));
    segments.push(segment("kernel", 0x3100_0000, 0x1000, b"code"));
    assert_eq!(check_segments(&segments, REGION, PLENTY), Err(Error::TooManySegments(17)));
}

#[test]
fn only_the_elfcorehdr_begins_with_elf_magic() {
    let mut segments = good();
    segments[2].bytes = b"\x7fELF";
    assert_eq!(
        check_segments(&segments, REGION, PLENTY),
        Err(Error::ElfMagic { name: "initrd", range: segments[2].range })
    );
    let mut segments = good();
    segments[0].bytes = b"not ELF";
    assert_eq!(
        check_segments(&segments, REGION, PLENTY),
        Err(Error::NoElfMagic { range: segments[0].range })
    );
}

#[test]
fn misplaced_segments_are_refused() {
    let with = |start, len| {
        let mut segments = good();
        segments[2].range = PhysRange::with_len(start, len).unwrap();
        check_segments(&segments, REGION, PLENTY)
    };
    assert!(matches!(with(0x3040_0001, 0x1000), Err(Error::Unaligned { .. })));
    assert!(matches!(with(0x3040_0000, 0x1001), Err(Error::Unaligned { .. })));
    assert!(matches!(with(0x2fff_f000, 0x1000), Err(Error::Outside { .. })));
    assert!(matches!(with(0x3fff_f000, 0x2000), Err(Error::Outside { .. })));
    assert!(matches!(with(0x3030_0000, 0x1000), Err(Error::Overlap { other: "kernel", .. })));
    assert!(matches!(with(0x3040_0000, 0), Err(Error::Overfull { file_len: 6, .. })));
}

#[test]
fn black_box_outside_of_free_crash_memory_is_refused() {
    let segments: Vec<PhysRange> = good().iter().map(|segment| segment.range).collect();
    let check = |records: [u64; 2], copy: (u64, u64)| {
        let mut black_box = BlackBox::default();
        for (to, at) in black_box.records.iter_mut().zip(records) {
            *to = at.into();
        }
        black_box.log_copies[0] = handoff::PhysSpan::new(copy.0, copy.1);
        check_black_box(Some(&black_box), &segments, REGION)
    };
    assert_eq!(check([0x3100_0000, 0x3200_0000], (0x3200_1000, 0x2000)), Ok(()));
    for (records, copy) in [
        ([0x3100_0001, 0], (0, 0)),
        ([0x2fff_f000, 0], (0, 0)),
        ([0x4000_0000, 0], (0, 0)),
        ([u64::MAX - 0xfff, 0], (0, 0)),
        ([0x3030_0000, 0], (0, 0)),
        ([0x3100_0000, 0x3100_0000], (0, 0)),
        ([0x3100_0000, 0], (0x30ff_f000, 0x2000)),
        ([0x3100_0000, 0], (0x3200_0000, 0x2001)),
    ] {
        assert!(matches!(check(records, copy), Err(Error::BlackBox { .. })), "{records:x?}");
    }
}

#[test]
fn memory_that_the_kernel_manages_counts_and_not_what_iomem_shows() {
    let request = request::example();
    let mut machine = example::machine();
    let image = crate::build(&request, &machine).unwrap();
    let len: u64 = image.segments().iter().map(|segment| segment.range().len()).sum();
    machine.total_ram = 2 * len;
    assert!(crate::build(&request, &machine).is_ok());
    machine.total_ram -= 2;
    let refused = crate::build(&request, &machine).unwrap_err();
    let expected = Error::HalfOfRam { what: "the whole image", len, limit: len - 1 };
    assert!(matches!(&refused, crate::Error::Admit(error) if *error == expected), "{refused}");
}

#[test]
fn half_of_ram_bounds_each_segment_and_their_sum() {
    assert_eq!(check_segments(&good(), REGION, 0x20_2000), Ok(()));
    let total = check_segments(&good(), REGION, 0x20_1fff);
    assert_eq!(
        total,
        Err(Error::HalfOfRam { what: "the whole image", len: 0x20_2000, limit: 0x20_1fff })
    );
    let one = check_segments(&good(), REGION, 0x1f_ffff);
    assert_eq!(one, Err(Error::HalfOfRam { what: "kernel", len: 0x20_0000, limit: 0x1f_ffff }));
}

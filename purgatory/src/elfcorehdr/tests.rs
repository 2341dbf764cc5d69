//! Headers as Linux writes them, and each guarantee of the writer broken once.

mod properties;

extern crate std;
use super::*;
use std::vec::Vec;

const LIMIT: u64 = 1 << 46;
const MEMSZ: usize = 0xe_1000;
const PAGE_OFFSET: u64 = 0xffff_8880_0000_0000;

/// 256 MiB at 0x2900_0000.
fn crash_region() -> Span {
    Span::new(0x2900_0000, 0x1000_0000).unwrap()
}

/// Writes an elfcorehdr as `crash_prepare_elf64_headers` does: `cpus` notes, vmcoreinfo, the
/// kernel's text, then `ranges`.
fn linux_header(cpus: u64, ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut programs: Vec<[u64; 7]> =
        (0..cpus).map(|cpu| note(0x3ec0_4a00 + cpu * 0x1000, 368)).collect();
    programs.push(note(0x0182_4000, 0x1024));
    programs.push(load(0x1c00_0000, 0x0340_0000, 0xffff_ffff_9a00_0000));
    programs
        .extend(ranges.iter().map(|&(start, end)| load(start, end - start, PAGE_OFFSET + start)));

    assembled(&programs, MEMSZ)
}

/// A segment of `len` bytes with these program headers.
fn assembled(programs: &[[u64; 7]], len: usize) -> Vec<u8> {
    let mut bytes = std::vec![0; len];
    bytes[..7].copy_from_slice(&IDENT);
    bytes[16..20].copy_from_slice(&[4, 0, 62, 0]);
    bytes[20] = 1;
    bytes[32] = 64;
    bytes[52..56].copy_from_slice(&[64, 0, 56, 0]);
    bytes[56..58].copy_from_slice(&(programs.len() as u16).to_le_bytes());
    for (index, program) in programs.iter().enumerate() {
        for (word, value) in program.iter().enumerate() {
            bytes[64 + index * 56 + word * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

/// Type and flags, offset, virtual and physical address, file and memory size, alignment.
fn note(paddr: u64, size: u64) -> [u64; 7] {
    [u64::from(PT_NOTE), paddr, 0, paddr, size, size, 0]
}

fn load(paddr: u64, size: u64, vaddr: u64) -> [u64; 7] {
    [u64::from(PT_LOAD) | 7 << 32, paddr, vaddr, paddr, size, size, 0]
}

fn good() -> Vec<u8> {
    linux_header(2, &[(0x10_0000, 0x2900_0000), (0x3900_0000, 0x3ffd_f000)])
}

fn verdict(bytes: &[u8]) -> Result<(), Defect> {
    check(bytes, crash_region(), LIMIT)
}

#[test]
fn header_of_linux_passes() {
    assert_eq!(verdict(&good()), Ok(()));
    assert_eq!(verdict(&linux_header(2, &[(0x10_0000, 0x2900_0000)])), Ok(()));
}

#[test]
fn header_rewritten_for_more_cpus_and_memory_passes() {
    // Miri takes half a minute for as many as there may be.
    let (cpus, dimms) = if cfg!(miri) { (82, 40) } else { (8192, 4000) };
    let mut ranges: Vec<(u64, u64)> = (0..dimms)
        .map(|dimm| (0x1_0000_0000 + dimm * 0x1000_0000, 0x1_0800_0000 + dimm * 0x1000_0000))
        .collect();
    ranges.insert(0, (0x10_0000, 0x2900_0000));
    assert_eq!(verdict(&linux_header(cpus, &ranges)), Ok(()));
}

#[test]
fn remains_of_a_longer_header_after_the_padding_pass() {
    let mut bytes = good();
    bytes[8192] = 0x55;
    assert_eq!(verdict(&bytes), Ok(()));
}

#[test]
fn everything_the_writer_guarantees_is_checked() {
    type Damage = (&'static str, Defect, fn(&mut Vec<u8>));
    const FIRST_LOAD: usize = 64 + 3 * 56;
    const RAM_LOAD: usize = FIRST_LOAD + 56;
    let damages: &[Damage] = &[
        ("magic", Defect::Magic, |b| b[0] = 0x7e),
        ("class", Defect::Magic, |b| b[4] = 1),
        ("byte order", Defect::Magic, |b| b[5] = 2),
        ("an executable", Defect::Type, |b| b[16] = 2),
        ("another machine", Defect::Type, |b| b[18] = 183),
        ("header offset", Defect::HeaderSizes, |b| b[33] = 1),
        ("header size", Defect::HeaderSizes, |b| b[52] = 52),
        ("program header size", Defect::HeaderSizes, |b| b[54] = 32),
        ("no program header", Defect::Count, |b| b[56] = 0),
        ("PN_XNUM", Defect::Count, |b| b[56..58].fill(0xff)),
        ("more than the segment holds", Defect::Count, |b| b[57] = 0x80),
        ("one too many", Defect::Kind, |b| b[56] += 1),
        ("one too few", Defect::AfterLast, |b| b[56] -= 1),
        ("a PT_NULL", Defect::Kind, |b| b[RAM_LOAD] = 0),
        ("a note after a load", Defect::Order, |b| b[RAM_LOAD] = 4),
        ("a note that became a load", Defect::Order, |b| b[64] = 1),
        ("offset", Defect::Disagreement, |b| b[RAM_LOAD + 8 + 3] ^= 1),
        ("physical address", Defect::Disagreement, |b| b[RAM_LOAD + 24 + 2] ^= 1),
        ("file size", Defect::Disagreement, |b| b[RAM_LOAD + 32] ^= 1),
        ("memory size of a note", Defect::Disagreement, |b| b[64 + 40] ^= 1),
        ("a range that wraps", Defect::Range, |b| {
            b[RAM_LOAD + 32..RAM_LOAD + 40].fill(0xff);
            b[RAM_LOAD + 40..RAM_LOAD + 48].fill(0xff);
        }),
        ("a range above physical memory", Defect::Range, |b| {
            b[RAM_LOAD + 8 + 6] = 1;
            b[RAM_LOAD + 24 + 6] = 1;
        }),
        ("an empty range", Defect::Range, |b| b[RAM_LOAD + 32..RAM_LOAD + 48].fill(0)),
        ("a load in the crash region", Defect::CrashRegion, |b| {
            b[RAM_LOAD + 32 + 3] = 0x30;
            b[RAM_LOAD + 40 + 3] = 0x30;
        }),
        ("virtual address of a range", Defect::VirtualAddress, |b| b[RAM_LOAD + 16 + 4] ^= 1),
        ("virtual address of the last range", Defect::VirtualAddress, |b| {
            b[RAM_LOAD + 56 + 16 + 2] ^= 1
        }),
        ("virtual address of every range", Defect::VirtualAddress, |b| {
            b[RAM_LOAD + 16 + 1] ^= 0x10;
            b[RAM_LOAD + 56 + 16 + 1] ^= 0x10;
        }),
        ("virtual address of the text", Defect::VirtualAddress, |b| b[FIRST_LOAD + 16 + 7] ^= 0x80),
        ("a range over another", Defect::Ascent, |b| {
            b.copy_within(RAM_LOAD..RAM_LOAD + 56, RAM_LOAD + 56)
        }),
        ("ranges that descend", Defect::Ascent, |b| {
            let first = b[RAM_LOAD..RAM_LOAD + 56].to_vec();
            b.copy_within(RAM_LOAD + 56..RAM_LOAD + 112, RAM_LOAD);
            b[RAM_LOAD + 56..RAM_LOAD + 112].copy_from_slice(&first);
        }),
        ("nothing but the text", Defect::Missing, |b| {
            b[56] = 4;
            b[RAM_LOAD..].fill(0);
        }),
    ];
    // Miri is slow: it tries every fifth.
    for (what, expected, damage) in damages.iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
        let mut bytes = good();
        damage(&mut bytes);
        assert_eq!(verdict(&bytes), Err(*expected), "{what}");
    }
}

#[test]
fn header_without_notes_or_without_memory_is_broken() {
    let mut only_loads = good();
    only_loads.drain(64..64 + 3 * 56);
    only_loads[56] -= 3;
    only_loads.resize(MEMSZ, 0);
    assert_eq!(verdict(&only_loads), Err(Defect::Missing));
    let mut only_notes = good();
    only_notes[56] = 3;
    only_notes[64 + 3 * 56..].fill(0);
    assert_eq!(verdict(&only_notes), Err(Defect::Missing));
}

#[test]
fn broken_header_is_replaced_by_the_copy_and_zeroes() {
    let copy = &good()[..64 + 6 * 56];
    let mut segment = linux_header(
        2,
        &[(0x10_0000, 0x2900_0000), (0x3900_0000, 0x3ffd_f000), (0x1_0000_0000, 0x1_4000_0000)],
    );
    assert_eq!(mend(&mut segment, Some(copy), crash_region(), LIMIT), Mended::Sound);
    segment[0] ^= 1;
    assert_eq!(
        mend(&mut segment, Some(copy), crash_region(), LIMIT),
        Mended::Restored(Defect::Magic)
    );
    assert_eq!(segment, good());
    assert_eq!(verdict(&segment), Ok(()));
}

#[test]
fn broken_header_without_a_sound_copy_is_left_unchanged() {
    let mut segment = good();
    segment[56] = 0;
    let before = segment.clone();
    assert_eq!(mend(&mut segment, None, crash_region(), LIMIT), Mended::Broken(Defect::Count));
    assert_eq!(segment, before);
}

#[test]
fn segment_shorter_than_its_headers_is_broken() {
    let bytes = good();
    for len in [0, 1, 63, 64, 119, 64 + 5 * 56 - 1] {
        assert_eq!(verdict(&bytes[..len]), Err(Defect::Count), "{len} bytes");
    }
}

//! The block.
//!
//! * No bytes make the check panic, wherever the purgatory is.
//! * An accepted block keeps every rule of `handoff`, and no part of it is where the purgatory
//!   writes.

use std::mem::offset_of;

use handoff::block::VERSION;
use handoff::report::FIELD_LEN;
use handoff::{Block, EngineId, OnCorrupt, Permissions, RegionKind};
use purgatory::received::{Handoff, Itself, Span, receive};
use zerocopy::{FromBytes, IntoBytes};

use crate::bytes::{prefix, word};
use crate::machine::{LEAST_CRASH_REGION, block};
use crate::{Answer, Seed};

const BLOCK_LEN: usize = size_of::<Block>();
const REGIONS_AT: usize = offset_of!(Block, regions);
const PLACE_LEN: usize = 24;
/// The crash region of the good block.
const CRASH: (u64, u64) = (0x1_7000_0000, LEAST_CRASH_REGION);
const PHYS_LIMIT: u64 = 1 << 46;

/// Checks two blocks:
/// * the one in `data`, after the purgatory's place: its start, the offset of the part that it
///   writes, and its length, of eight bytes each;
/// * a good block with some bytes changed. Each three bytes of `data` are an offset and a value.
pub fn check(data: &[u8]) -> Answer {
    let (place, rest) = prefix::<PLACE_LEN>(data);
    let (raw, _) = prefix::<BLOCK_LEN>(rest);
    let [start, written_offset, image_len] =
        [0, 8, 16].map(|at| word(&place, at, 8).expect("24 bytes") as u64);
    // The linker script puts written memory after the rest.
    let itself = Itself { start, written_offset: written_offset.min(image_len), image_len };
    let answer = check_one(&raw, &itself);

    let (good, itself) = block(CRASH.0, CRASH.1, PHYS_LIMIT);
    let mut changed: [u8; BLOCK_LEN] = good.as_bytes().try_into().expect("a block");
    for change in data.chunks_exact(3) {
        changed[usize::from(u16::from_le_bytes([change[0], change[1]])) % BLOCK_LEN] = change[2];
    }
    check_one(&changed, &itself);
    answer
}

fn check_one(raw: &[u8; BLOCK_LEN], itself: &Itself) -> Answer {
    let block = Block::read_from_bytes(raw).expect("any bytes of the size are a block");
    match receive(&block, itself) {
        Ok(handoff) => {
            keeps_the_rules(raw, itself, &handoff);
            Answer::Taken
        }
        Err(_) => Answer::Refused,
    }
}

/// Start and end.
type Range = (u128, u128);

fn inside((start, end): Range, (outer_start, outer_end): Range) -> bool {
    outer_start <= start && start <= end && end <= outer_end
}

fn apart(one: Range, other: Range) -> bool {
    one.1 <= other.0 || other.1 <= one.0
}

/// Checks every rule on the bytes.
fn keeps_the_rules(raw: &[u8], itself: &Itself, handoff: &Handoff) {
    let at = |offset, len| word(raw, offset, len).expect("inside the block");
    let span = |offset| (at(offset, 8), at(offset, 8) + at(offset + 8, 8));
    let (purgatory, crash, table, elfcorehdr, report) =
        (span(0x30), span(0x40), span(0x50), span(0x88), span(0xa0));
    let own_start = u128::from(itself.start);
    let written =
        (own_start + u128::from(itself.written_offset), own_start + u128::from(itself.image_len));

    assert_eq!(
        (&raw[..8], at(8, 4), at(12, 4)),
        (&b"kdpurg\r\n"[..], VERSION.into(), BLOCK_LEN as u128),
        "magic, version, size"
    );
    assert!(at(0x84, 4) == 0, "reserved bytes");
    assert!(
        purgatory.0 == own_start && own_start % 4096 == 0 && written.1 <= purgatory.1,
        "bound elsewhere"
    );
    assert!(
        crash.0 > 0 && crash.1 <= at(0x98, 8) && at(0x98, 8) <= 1 << 52 && inside(purgatory, crash),
        "crash region"
    );
    assert!(inside(elfcorehdr, crash) && apart(elfcorehdr, purgatory), "elfcorehdr");
    let leaf_size = at(0x60, 4);
    assert!((12..=26).any(|bits| leaf_size == 1 << bits), "leaf size");
    let unknown_permissions = at(0x6c, 4) & !u128::from(Permissions::ALL.bits());
    let numbered = |offset, all: usize| (1..=all as u128).contains(&at(offset, 4));
    assert!(numbered(0x68, EngineId::ALL.len()) && unknown_permissions == 0, "engine, permissions");
    assert!(numbered(0x78, OnCorrupt::ALL.len()), "policy");
    assert!(at(0x7c, 4) <= 3_600_000 && (1..=10_000_000).contains(&at(0x80, 4)), "delay, TSC");
    match at(0x70, 4) {
        0 => assert_eq!(at(0x74, 4), 0, "a port without a console"),
        kind => assert!(
            kind == 1 && at(0x6c, 4) & 2 != 0 && (1..=0xfff8).contains(&at(0x74, 4)),
            "console"
        ),
    }

    let count = at(0x64, 4);
    assert!(
        (1..=16).contains(&count)
            && raw[REGIONS_AT + count as usize * 32..].iter().all(|&byte| byte == 0),
        "regions"
    );
    // Kind, memory, hashed part.
    let regions: Vec<(u128, Range, Range)> = (0..count)
        .map(|index| {
            let entry = REGIONS_AT as u128 + index * 32;
            let (start, file_len, mem_len) = (at(entry, 8), at(entry + 8, 8), at(entry + 16, 8));
            assert!(file_len <= mem_len && mem_len > 0 && at(entry + 28, 4) == 0, "region {index}");
            (at(entry + 24, 4), (start, start + mem_len), (start, start + file_len))
        })
        .collect();
    for (index, &(kind, memory, _)) in regions.iter().enumerate() {
        assert!((1..=6).contains(&kind) && inside(memory, crash), "region {index}");
        assert!(
            apart(memory, written) && apart(memory, elfcorehdr) && apart(memory, table),
            "region {index} overlaps written memory"
        );
        assert_eq!(inside(memory, purgatory), kind == 1 || kind == 6, "region {index}");
        assert!(inside(memory, purgatory) || apart(memory, purgatory), "region {index}");
        let others = &regions[index + 1..];
        assert!(
            others.iter().all(|other| other.0 != kind && apart(other.1, memory)),
            "region {index} overlaps another, or is of its kind"
        );
    }
    let of_kind = |wanted: RegionKind| regions.iter().find(|region| region.0 == wanted as u128);
    let own = of_kind(RegionKind::Purgatory).expect("the purgatory's own text");
    assert!(own.1.1 <= written.0, "a digest covers written memory");
    let copy = of_kind(RegionKind::ElfcorehdrCopy).expect("a copy of the elfcorehdr");
    assert!(copy.1 == copy.2 && copy.1.1 - copy.1.0 <= elfcorehdr.1 - elfcorehdr.0, "copy");
    let leaves: u128 =
        regions.iter().map(|(_, _, file)| (file.1 - file.0).div_ceil(leaf_size)).sum();
    assert!(
        table.1 - table.0 == leaves * 32 && inside(table, purgatory) && apart(table, written),
        "leaf table"
    );
    assert!(table.0 >= written.1 && copy.1.0 >= written.1, "inside the image");
    let file_of =
        |kind| of_kind(kind).map(|region| region.2).expect("the region that the block points into");
    assert!(
        inside(report, file_of(RegionKind::CommandLine))
            && report.1 - report.0 == FIELD_LEN as u128,
        "report"
    );
    let (rip, rsi) = (at(0xb0, 8), at(0xb8, 8));
    assert!(inside((rip, rip + 1), file_of(RegionKind::Kernel)), "entry point");
    assert!(inside((rsi, rsi + 4096), file_of(RegionKind::BootParams)), "boot parameters");

    let wide = |span: Span| (u128::from(span.start()), u128::from(span.end()));
    assert_eq!(
        handoff
            .regions()
            .map(|region| (wide(region.memory), wide(region.file())))
            .collect::<Vec<_>>(),
        regions.iter().map(|region| (region.1, region.2)).collect::<Vec<_>>()
    );
    assert!(
        handoff
            .regions()
            .all(|region| wide(region.tail()) == (wide(region.file()).1, wide(region.memory).1))
    );
    assert_eq!(
        [
            handoff.leaf_table,
            handoff.crash_region,
            handoff.elfcorehdr,
            handoff.elfcorehdr_copy,
            handoff.report
        ]
        .map(wide),
        [table, crash, elfcorehdr, copy.1, report]
    );
    let numbers = [handoff.phys_limit, handoff.entry_rip, handoff.entry_rsi].map(u128::from);
    assert_eq!(numbers, [at(0x98, 8), rip, rsi]);
    let words = [
        handoff.leaf_size,
        handoff.engine as u32,
        handoff.permissions.bits(),
        handoff.on_corrupt as u32,
        handoff.tsc_khz,
    ];
    assert_eq!(words.map(u128::from), [0x60, 0x68, 0x6c, 0x78, 0x80].map(|offset| at(offset, 4)));
}

fn seed((block, itself): (Block, Itself)) -> Vec<u8> {
    let place = [itself.start, itself.written_offset, itself.image_len].map(u64::to_le_bytes);
    [place.as_flattened(), block.as_bytes()].concat()
}

/// A block as the loader makes it, one at the end of physical memory, one without an initrd, and
/// two invalid ones.
pub fn seeds() -> Vec<Seed> {
    let good = || block(CRASH.0, CRASH.1, PHYS_LIMIT);
    let (mut no_initrd, itself) = good();
    // The last region takes the place of the initrd, which has one leaf.
    no_initrd.regions[2] = no_initrd.regions[5];
    no_initrd.regions[5] = zerocopy::FromZeros::new_zeroed();
    no_initrd.region_count = 5.into();
    no_initrd.leaf_table.len -= 32;
    let mut overlapping = good();
    overlapping.0.regions[1].start = overlapping.0.regions[3].start;
    vec![
        Seed::taken("good", seed(good())),
        Seed::taken(
            "highest",
            seed(block((1 << 52) - LEAST_CRASH_REGION, LEAST_CRASH_REGION, 1 << 52)),
        ),
        Seed::taken("without-initrd", seed((no_initrd, itself))),
        Seed::refused("overlapping", seed(overlapping)),
        Seed::refused("blank", seed((Block::blank(), itself))),
    ]
}

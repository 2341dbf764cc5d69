//! An image in a host buffer instead of physical memory; the regions' addresses are offsets into
//! it.

extern crate std;
use super::*;
use crate::received::tests::good_block;
use crate::received::{Itself, receive};
use digest::digest_leaves;
use std::vec::Vec;
use zerocopy::little_endian::{U32, U64};

/// A small image: the tests' good block with its regions shrunk, so that every byte can be touched.
struct Image {
    memory: Vec<u8>,
    handoff: Handoff,
    block: Block,
    leaf_table: Vec<u8>,
}

const LEAF: u32 = 4096;
const BASE: u64 = 0x1_7000_0000;

fn image() -> Image {
    let mut block = good_block();
    const PLACES: [(u64, u64, u64); 3] =
        [(0x0800_0000, 0x1000, 0x1000), (0x20_0000, 0x2801, 0x6000), (0x30_0000, 0x1000, 0x1000)];
    // Miri takes a second for twenty blocks.
    const FEW: [(u64, u64, u64); 5] = [
        (0x0800_0000, 0x40, 0x40),
        (0x20_0000, 0x241, 0x1000),
        (0x30_0000, 0x40, 0x40),
        (0x0600_0000, 0x1000, 0x1000),
        (0x0600_2000, 0xc0, 0xc0),
    ];
    let places: &[(u64, u64, u64)] = if cfg!(miri) { &FEW } else { &PLACES };
    for (region, &(offset, file_len, mem_len)) in block.regions.iter_mut().zip(places) {
        let kind = RegionKind::from_wire(region.kind.get()).unwrap();
        *region = handoff::Region::new(kind, BASE + offset, file_len, mem_len);
    }
    let leaves: u64 = block
        .regions
        .iter()
        .map(|region| handoff::region::leaves_in(region.file_len.get(), LEAF))
        .sum();
    block.leaf_size = U32::new(LEAF);
    block.leaf_table.len = U64::new(leaves * 32);
    block.entry.rip = U64::new(BASE + 0x20_0200);
    let handoff = receive(
        &block,
        &Itself { start: BASE + 0x0800_0000, written_offset: 0x8000, image_len: 0xc000 },
    )
    .unwrap();

    let mut memory = std::vec![0; 0x0801_0000];
    for region in handoff.regions() {
        for address in region.file().start()..region.file().end() {
            memory[(address - BASE) as usize] =
                (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
    }
    let mut leaf_table = std::vec![0; leaves as usize * 32];
    let files =
        handoff.regions().flat_map(|region| slice(&memory, region.file()).chunks(LEAF as usize));
    digest_leaves(Engine::soft(), files, |position, digest| {
        leaf_table[position * 32..][..32].copy_from_slice(&digest)
    });
    Image { memory, handoff, block, leaf_table }
}

fn slice(memory: &[u8], span: Span) -> &[u8] {
    &memory[(span.start() - BASE) as usize..][..span.len() as usize]
}

impl Image {
    fn differences(&self) -> Vec<(Place, Verdict)> {
        let mut found = Vec::new();
        let read = |span| slice(&self.memory, span);
        regions(
            &self.handoff,
            Engine::soft(),
            &self.leaf_table,
            &Reading::new(),
            read,
            |place, difference| found.push((place, difference.verdict())),
        );
        found
    }
}

#[test]
#[cfg_attr(miri, ignore = "hashes the image twice")]
fn untouched_image_has_no_difference() {
    assert_eq!(image().differences(), []);
}

#[test]
#[cfg_attr(miri, ignore = "hashes the image sixteen times")]
fn flipped_bit_in_any_file_byte_names_its_leaf() {
    let mut image = image();
    let regions: Vec<crate::received::ProvenRegion> = image.handoff.regions().copied().collect();
    for region in regions {
        let file = region.file();
        for offset in
            [0, file.len() / 2, file.len() - 1, 4095.min(file.len() - 1), 4096.min(file.len() - 1)]
        {
            let address = file.start() + offset;
            image.memory[(address - BASE) as usize] ^= 0x10;
            let start = file.start() + offset / 4096 * 4096;
            let place = Place { kind: region.kind, start, end: file.end().min(start + 4096) };
            assert_eq!(
                image.differences(),
                [(place, Verdict::SegmentCorrupt)],
                "{:?} + {offset:#x}",
                region.kind
            );
            image.memory[(address - BASE) as usize] ^= 0x10;
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "hashes the image five times")]
fn flipped_bit_in_the_kernels_zero_tail_names_its_page() {
    let mut image = image();
    let tail = image.handoff.regions().nth(1).unwrap().tail();
    for offset in [0, 1, tail.len() / 2, tail.len() - 1] {
        let address = tail.start() + offset;
        image.memory[(address - BASE) as usize] = 1;
        let place =
            Place { kind: RegionKind::Kernel, start: address, end: (address / 4096 + 1) * 4096 };
        assert_eq!(image.differences(), [(place, Verdict::ZeroTail)]);
        image.memory[(address - BASE) as usize] = 0;
    }
}

#[test]
#[cfg_attr(miri, ignore = "hashes the image three times")]
fn digest_that_differs_in_one_byte_only_is_refused() {
    let mut image = image();
    for byte in [0, 31] {
        image.leaf_table[byte] ^= 1;
        assert_eq!(image.differences().len(), 1, "byte {byte}");
        image.leaf_table[byte] ^= 1;
    }
}

#[test]
#[cfg_attr(miri, ignore = "hashes the image twice, as the next test does")]
fn two_corrupt_segments_are_both_named() {
    let mut image = image();
    let starts: Vec<u64> = image.handoff.regions().map(|region| region.memory.start()).collect();
    image.memory[(starts[1] - BASE) as usize] ^= 1;
    image.memory[(starts[2] - BASE) as usize] ^= 1;
    let mut findings = Findings::default();
    let read = |span| slice(&image.memory, span);
    regions(
        &image.handoff,
        Engine::soft(),
        &image.leaf_table,
        &Reading::new(),
        read,
        |place, difference| {
            findings.count(&place, &difference);
        },
    );
    // The shorter of two leaves that started together ends first.
    let mut named: Vec<_> = findings.regions().collect();
    assert!(findings.first().is_some_and(|first| first == (named[0].0, Verdict::SegmentCorrupt)));
    named.sort_by_key(|&(kind, _)| kind as u32);
    assert_eq!(named, [(RegionKind::Kernel, 1), (RegionKind::Initrd, 1)]);
    assert!(findings.names(RegionKind::Initrd) && !findings.names(RegionKind::Purgatory));
}

#[test]
fn every_span_is_known_as_being_read_while_it_is() {
    let mut image = image();
    let (kernel, tail) = {
        let region = image.handoff.regions().nth(1).unwrap();
        (region.file(), region.tail())
    };
    image.memory[(tail.end() - 1 - BASE) as usize] = 1;
    // Of the leaves that start together, the longest are in work when the shorter ones have ended.
    for region in image.handoff.regions() {
        image.memory[(region.file().start() - BASE) as usize] ^= 1;
    }
    let (reading, mut at_difference, at_tail) =
        (Reading::new(), Vec::new(), std::cell::RefCell::new(Vec::new()));
    let read = |span: Span| {
        if span == tail {
            at_tail.borrow_mut().extend(reading.spans());
        }
        slice(&image.memory, span)
    };
    regions(&image.handoff, Engine::soft(), &image.leaf_table, &reading, read, |place, _| {
        at_difference.push((place, reading.spans().collect::<Vec<_>>()));
    });
    assert_eq!(
        (at_tail.borrow().len(), at_tail.borrow()[0].clone()),
        (1, tail.start()..tail.end())
    );
    let first = kernel.start()..kernel.end().min(kernel.start() + u64::from(LEAF));
    assert!(
        at_difference
            .iter()
            .any(|(place, spans)| place.kind != RegionKind::Kernel && spans.contains(&first))
    );
    assert!(
        at_difference.iter().all(|(place, spans)| !spans.contains(&(place.start..place.end))),
        "ended"
    );
    assert_eq!(reading.spans().count(), 0);
}

#[test]
#[cfg_attr(miri, ignore = "hashes the block nine hundred times")]
fn seal_covers_every_byte_of_block_and_table() {
    use zerocopy::IntoBytes;
    let Image { mut block, mut leaf_table, .. } = image();
    let mut hasher = Sha256::new(Engine::soft());
    block.sealed_bytes().into_iter().for_each(|bytes| hasher.update(bytes));
    hasher.update(&leaf_table);
    block.seal = hasher.finish();
    assert!(seal_holds(Engine::soft(), &block, &leaf_table));
    for byte in 0..size_of::<Block>() {
        block.as_mut_bytes()[byte] ^= 0x80;
        assert!(!seal_holds(Engine::soft(), &block, &leaf_table), "byte {byte:#x} of the block");
        block.as_mut_bytes()[byte] ^= 0x80;
    }
    for byte in 0..leaf_table.len() {
        leaf_table[byte] ^= 1;
        assert!(!seal_holds(Engine::soft(), &block, &leaf_table), "byte {byte:#x} of the table");
        leaf_table[byte] ^= 1;
    }
}

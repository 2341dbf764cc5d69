//! Blocks of every layout, with every byte changed once. If the changed block is accepted, only the
//! changed field differs. No span that is read or hashed overlaps what the purgatory writes.

extern crate std;
use std::vec::Vec;

use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::*;

const BLOCK_LEN: usize = size_of::<Block>();

/// The facts in a block, by name.
fn facts(handoff: &Handoff) -> [(&'static str, Vec<u64>); 14] {
    let span = |span: Span| std::vec![span.start(), span.len()];
    let regions = handoff.regions().flat_map(|region| {
        [region.kind as u64, region.memory.start(), region.memory.len(), region.file_len]
    });
    [
        ("regions", regions.collect()),
        ("leaf_table", span(handoff.leaf_table)),
        ("leaf_size", std::vec![handoff.leaf_size.into()]),
        ("engine", std::vec![handoff.engine as u64]),
        ("permissions", std::vec![handoff.permissions.bits().into()]),
        ("on_corrupt", std::vec![handoff.on_corrupt as u64]),
        ("crash_region", span(handoff.crash_region)),
        ("phys_limit", std::vec![handoff.phys_limit]),
        ("elfcorehdr", span(handoff.elfcorehdr)),
        ("elfcorehdr_copy", span(handoff.elfcorehdr_copy)),
        ("report", span(handoff.report)),
        ("entry", std::vec![handoff.entry_rip, handoff.entry_rsi]),
        ("tsc_khz", std::vec![handoff.tsc_khz.into()]),
        ("black_box", black_box::facts(&handoff.black_box)),
    ]
}

/// The facts that the byte at this offset of a block may change. Bytes that change no fact are
/// checked, or used unproven, or only sealed.
fn facts_of(offset: usize) -> &'static [&'static str] {
    match offset {
        0x40..0x50 => &["crash_region"],
        0x50..0x60 => &["leaf_table"],
        0x60..0x64 => &["leaf_size"],
        0x68..0x6c => &["engine"],
        0x6c..0x70 => &["permissions"],
        0x78..0x7c => &["on_corrupt"],
        0x80..0x84 => &["tsc_khz"],
        0x88..0x98 => &["elfcorehdr"],
        0x98..0xa0 => &["phys_limit"],
        0xa0..0xb0 => &["report"],
        0xb0..0xc0 => &["entry"],
        0xc0..0x180 => &["black_box"],
        0x180.. => &["regions", "elfcorehdr_copy"],
        _ => &[],
    }
}

/// Changes one byte of a good block. Returns whether the block was still accepted.
fn change(block: &Block, itself: &Itself, offset: usize, difference: u8) -> bool {
    let before = facts(&receive(block, itself).expect("a good block"));
    let mut bytes: [u8; BLOCK_LEN] = block.as_bytes().try_into().unwrap();
    bytes[offset] ^= difference;
    let Ok(changed) = receive(&Block::read_from_bytes(&bytes).unwrap(), itself) else {
        return false;
    };
    writes_nowhere_else(&changed, itself);
    for (old, new) in before.iter().zip(facts(&changed)) {
        let allowed = facts_of(offset).contains(&new.0);
        assert!(
            allowed || *old == new,
            "byte {offset:#x} ^ {difference:#x} changes {}: {:?}",
            new.0,
            new.1
        );
    }
    true
}

/// The purgatory writes its block, bss and stacks, the report, and a header to restore: nothing
/// that it reads or hashes lies there, but the report in the command line, which is filled in after
/// that was hashed. Records and copies of the log are inside the crash region, and nothing else is
/// there.
fn writes_nowhere_else(handoff: &Handoff, itself: &Itself) {
    let range = |span: Span| span.start()..span.end();
    let own = itself.start + itself.written_offset..itself.start + itself.image_len;
    let apart = |one: &core::ops::Range<u64>, other: &core::ops::Range<u64>| {
        one.end <= other.start || other.end <= one.start
    };
    let elfcorehdr = range(handoff.elfcorehdr);
    assert!(
        apart(&own, &elfcorehdr)
            && apart(&own, &range(handoff.leaf_table))
            && apart(&elfcorehdr, &range(handoff.leaf_table))
    );
    let written = black_box::written(&handoff.black_box);
    let purgatory = itself.start..itself.start + itself.image_len;
    for (index, span) in written.iter().enumerate() {
        let span = range(*span);
        assert!(
            apart(&span, &purgatory)
                && apart(&span, &elfcorehdr)
                && apart(&span, &range(handoff.leaf_table))
        );
        assert!(handoff.regions().all(|region| apart(&span, &range(region.memory))));
        assert!(written[index + 1..].iter().all(|other| apart(&span, &range(*other))));
        assert!(
            range(handoff.crash_region).contains(&span.start)
                && span.end <= handoff.crash_region.end()
        );
    }
    for span in black_box::read(&handoff.black_box) {
        assert!(apart(&range(span), &range(handoff.crash_region)));
    }
    let report = range(handoff.report);
    for region in handoff.regions() {
        let memory = range(region.memory);
        assert!(apart(&own, &memory) && apart(&elfcorehdr, &memory), "{:?}", region.kind);
        assert!(apart(&range(handoff.leaf_table), &memory), "{:?}", region.kind);
        assert_eq!(
            apart(&report, &memory),
            region.kind != RegionKind::CommandLine,
            "{:?}",
            region.kind
        );
        assert!(
            range(handoff.crash_region).contains(&memory.start)
                && memory.end <= handoff.crash_region.end()
        );
    }
}

#[test]
fn every_byte_changed_alone_is_refused_or_changes_only_its_own_field() {
    let block = good_block();
    // Miri takes a second for five. It tries one bit of each thirty-seventh byte.
    let (differences, step) = if cfg!(miri) { (0x10..=0x10, 37) } else { (1..=u8::MAX, 1) };
    let mut taken = 0;
    for offset in (0..BLOCK_LEN).step_by(step) {
        taken += differences
            .clone()
            .filter(|&difference| change(&block, &ITSELF, offset, difference))
            .count();
    }
    // The seal alone has 32 bytes of which any value is taken here, and most others are refused.
    let tried = BLOCK_LEN / step * differences.count();
    assert!(taken > tried * 32 / BLOCK_LEN && taken < tried / 4, "{taken} of {tried} taken");
}

/// What varies from one block to another.
#[derive(Clone, Debug)]
struct Layout {
    crash_start: u64,
    /// Bytes of text, of what is written behind it, of the elfcorehdr's copy.
    purgatory: (u64, u64, u64),
    /// Pages between segments, then of each: hashed bytes and zeroes.
    segments: Vec<(u64, u64, u64)>,
    leaf_bits: u32,
    /// Whether there is an initrd.
    initrd: bool,
    /// How far the order of the regions is turned.
    turn: usize,
    /// Pages before each record page and each copy of the log, and pages of a copy beyond the
    /// first.
    black_box: ([u64; 6], u64),
    inside: [prop::sample::Index; 2],
}

fn layouts() -> impl Strategy<Value = Layout> {
    let purgatory = (1..0xc000u64, 0x400..0x8000u64, 1..0x4000u64);
    // A field must fit, and boot parameters are a page.
    let segment = || (0..20u64, 0x1000..0x200_0000u64, prop_oneof![Just(0), 1..0x200_0000u64]);
    let black_box = (prop::array::uniform6(0..3u64), 0..20u64);
    let fixed = (1..0x10_0000_0000u64, 12..27u32, any::<bool>(), 0..6usize, black_box);
    (fixed, purgatory, prop::collection::vec(segment(), 5), any::<[prop::sample::Index; 2]>())
        .prop_map(|((start, leaf_bits, initrd, turn, black_box), purgatory, segments, inside)| {
            Layout {
                crash_start: start * PAGE_SIZE,
                purgatory,
                segments,
                leaf_bits,
                initrd,
                turn,
                black_box,
                inside,
            }
        })
}

impl Layout {
    /// The block, and where its purgatory finds itself.
    fn block(&self) -> (Block, Itself) {
        let pages = |len: u64| len.next_multiple_of(PAGE_SIZE);
        let mut at = self.crash_start;
        let mut take = |&(gap, file_len, zeroes): &(u64, u64, u64)| {
            let start = at + gap * PAGE_SIZE;
            at = pages(start + file_len + zeroes);
            (start, file_len, file_len + zeroes)
        };
        let [elfcorehdr, kernel, initrd, boot_params, command_line] =
            [0, 1, 2, 3, 4].map(|index| take(&self.segments[index]));
        let (text_len, written, copy_len) = self.purgatory;
        let start = at;
        let image_len = text_len + written;
        let leaf_size = 1 << self.leaf_bits;
        let region = |kind, (start, file_len, mem_len)| Region::new(kind, start, file_len, mem_len);
        let in_copy = copy_len.min(elfcorehdr.2);
        let mut regions = std::vec![
            region(RegionKind::Purgatory, (start, text_len, text_len)),
            region(RegionKind::Kernel, kernel),
            region(RegionKind::BootParams, boot_params),
            region(RegionKind::CommandLine, command_line),
        ];
        if self.initrd {
            regions.push(region(RegionKind::Initrd, initrd));
        }
        let leaves =
            regions.iter().map(|region| leaves_in(region.file_len.get(), leaf_size)).sum::<u64>()
                + in_copy.div_ceil(leaf_size.into());
        let table = start + image_len;
        let copy = table + leaves * 32;
        regions.push(region(RegionKind::ElfcorehdrCopy, (copy, in_copy, in_copy)));
        let count = regions.len();
        regions.rotate_left(self.turn % count);
        let end = pages(copy + in_copy);

        let mut block = good_block();
        let (gaps, more_pages) = self.black_box;
        let log_len = pages(block.black_box.log.copy_len().unwrap()) + more_pages * PAGE_SIZE;
        let crash_end = black_box::place(&mut block.black_box, end, gaps, log_len);
        block.regions = zerocopy::FromZeros::new_zeroed();
        block.regions[..count].copy_from_slice(&regions);
        block.region_count = U32::new(count as u32);
        block.purgatory = PhysSpan::new(start, end - start);
        block.crash_region = PhysSpan::new(self.crash_start, crash_end - self.crash_start);
        block.leaf_table = PhysSpan::new(table, leaves * 32);
        block.leaf_size = U32::new(leaf_size);
        block.elfcorehdr = PhysSpan::new(elfcorehdr.0, elfcorehdr.2);
        block.phys_limit = U64::new(crash_end.next_power_of_two());
        let within = |index: usize, (start, file_len, _): (u64, u64, u64), len: u64| {
            start + self.inside[index].index((file_len - len + 1) as usize) as u64
        };
        block.report = PhysSpan::new(within(0, command_line, FIELD_LEN as u64), FIELD_LEN as u64);
        block.entry =
            EntryRegs { rip: U64::new(within(1, kernel, 1)), rsi: U64::new(boot_params.0) };
        (block, Itself { start, written_offset: text_len, image_len })
    }
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 2048 });
    // Miri shows no files.
    if cfg!(miri) { ProptestConfig { failure_persistence: None, ..default } } else { default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn block_of_any_layout_is_taken_as_it_is_and_stays_so_but_for_a_changed_byte(
        layout in layouts(),
        (offset, difference) in (0..BLOCK_LEN, 1..=u8::MAX),
    ) {
        let (block, itself) = layout.block();
        let handoff = receive(&block, &itself).expect("a good block");
        writes_nowhere_else(&handoff, &itself);
        let spans = [&block.leaf_table, &block.crash_region, &block.elfcorehdr, &block.report];
        let found = [handoff.leaf_table, handoff.crash_region, handoff.elfcorehdr, handoff.report];
        prop_assert_eq!(
            found.map(|span| PhysSpan::new(span.start(), span.len())),
            spans.map(|span| *span)
        );
        let count = block.region_count.get() as usize;
        let on_the_wire = |region: &ProvenRegion| {
            Region::new(region.kind, region.memory.start(), region.file_len, region.memory.len())
        };
        let regions = handoff.regions().map(on_the_wire);
        prop_assert_eq!(regions.collect::<Vec<_>>(), &block.regions[..count]);
        change(&block, &itself, offset, difference);
    }

    #[test]
    fn block_changed_in_several_fields_lets_nothing_lie_where_the_purgatory_writes(
        layout in layouts(),
        changes in prop::collection::vec((0..BLOCK_LEN / 4, any::<u32>(), 0..3u32), 1..6),
    ) {
        let (block, itself) = layout.block();
        let mut bytes: [u8; BLOCK_LEN] = block.as_bytes().try_into().unwrap();
        for (word, value, shift) in changes {
            // Small values more often than large ones: they are steps of bytes and pages.
            let field = &mut bytes[word * 4..][..4];
            let old = u32::from_le_bytes(field.try_into().unwrap());
            field.copy_from_slice(&old.wrapping_add(value >> (shift * 10)).to_le_bytes());
        }
        if let Ok(handoff) = receive(&Block::read_from_bytes(&bytes).unwrap(), &itself) {
            writes_nowhere_else(&handoff, &itself);
        }
    }
}

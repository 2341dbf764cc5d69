//! A block that is accepted, and each of its fields broken once.

mod black_box;
mod properties;

use super::*;
use handoff::{EntryRegs, PhysSpan};
use zerocopy::little_endian::{U32, U64};

/// A crash region of 256 MiB, above 4 GiB as `crashkernel=…,high` makes them.
const CRASH: u64 = 0x1_7000_0000;
const PURGATORY: u64 = CRASH + 0x0800_0000;
pub(crate) const ITSELF: Itself =
    Itself { start: PURGATORY, written_offset: 0x8000, image_len: 0xc000 };
const LEAF: u32 = 0x4_0000;

/// A block as the loader makes it: six regions in sequence, then the table and the copy after the
/// image.
pub(crate) fn good_block() -> Block {
    let mut block = Block::blank();
    let region = Region::new;
    block.regions[0] = region(RegionKind::Purgatory, PURGATORY, 0x7800, 0x7800);
    block.regions[1] = region(RegionKind::Kernel, CRASH + 0x0100_0000, 0xb0_e200, 0x37d_c000);
    block.regions[2] = region(RegionKind::Initrd, CRASH + 0x0500_0000, 0x10_0001, 0x10_1000);
    block.regions[3] = region(RegionKind::BootParams, CRASH + 0x0600_0000, 0x2000, 0x2000);
    block.regions[4] = region(RegionKind::CommandLine, CRASH + 0x0600_2000, 0x1000, 0x1000);
    block.regions[5] = region(RegionKind::ElfcorehdrCopy, PURGATORY + 0xd000, 0x160, 0x160);
    block.region_count = U32::new(6);
    block.purgatory = PhysSpan::new(PURGATORY, 0xe000);
    block.crash_region = PhysSpan::new(CRASH, 0x1000_0000);
    let leaves: u64 =
        block.regions.iter().map(|region| leaves_in(region.file_len.get(), LEAF)).sum();
    block.leaf_table = PhysSpan::new(PURGATORY + 0xc000, leaves * 32);
    block.leaf_size = U32::new(LEAF);
    block.engine = U32::new(EngineId::Soft as u32);
    block.permissions = U32::new(Permissions::ALL.bits());
    block.console.kind = U32::new(ConsoleKind::Uart8250 as u32);
    block.console.port = U32::new(0x3f8);
    block.on_corrupt = U32::new(OnCorrupt::Reset as u32);
    block.reset_delay_ms = U32::new(10_000);
    block.tsc_khz = U32::new(2_000_000);
    block.elfcorehdr = PhysSpan::new(CRASH, 0xe_1000);
    block.phys_limit = U64::new(1 << 46);
    block.report = PhysSpan::new(CRASH + 0x0600_2000 + 0x40, FIELD_LEN as u64);
    block.entry =
        EntryRegs { rip: U64::new(CRASH + 0x0100_0200), rsi: U64::new(CRASH + 0x0600_0000) };
    block.black_box = black_box::good_black_box();
    block
}

#[test]
fn block_of_the_loader_is_accepted() {
    let handoff = receive(&good_block(), &ITSELF).expect("a good block");
    assert_eq!(handoff.regions().count(), 6);
    assert_eq!(handoff.entry_rip, CRASH + 0x0100_0200);
    assert_eq!(handoff.regions().nth(1).unwrap().tail().len(), 0x37d_c000 - 0xb0_e200);
}

/// What to break, and the verdict that names it.
type Damage = (&'static str, Verdict, fn(&mut Block));

#[test]
fn every_field_out_of_range_has_its_verdict() {
    use Verdict::*;
    let damages: &[Damage] = &[
        ("magic", BlockMagic, |b| b.magic[3] ^= 1),
        ("version 3", BlockVersion, |b| b.version = U32::new(3)),
        ("a larger size", BlockSize, |b| b.size = U32::new(b.size.get() + 8)),
        ("reserved word", BlockReserved, |b| b.reserved0 = U32::new(1)),
        ("unknown permission", BlockReserved, |b| b.permissions = U32::new(0x3f)),
        ("signals that port I/O is not allowed for", BlockBlackBox, |b| {
            b.permissions = U32::new(0);
            b.console = Default::default();
        }),
        ("bound elsewhere", BlockBinding, |b| b.purgatory.start = U64::new(PURGATORY + 4096)),
        ("segment shorter than the image", BlockBinding, |b| b.purgatory.len = U64::new(0xbfff)),
        ("segment that wraps", BlockBinding, |b| b.purgatory.len = U64::new(u64::MAX)),
        ("crash region that wraps", BlockCrashRegion, |b| b.crash_region.len = U64::new(u64::MAX)),
        ("crash region at 0", BlockCrashRegion, |b| {
            b.crash_region = PhysSpan::new(0, CRASH + 0x1000_0000)
        }),
        ("crash region without the purgatory", BlockCrashRegion, |b| {
            b.crash_region.len = U64::new(0x0800_1000)
        }),
        ("engine 0", BlockEngine, |b| b.engine = U32::new(0)),
        ("engine 99", BlockEngine, |b| b.engine = U32::new(99)),
        ("policy 0", BlockPolicy, |b| b.on_corrupt = U32::new(0)),
        ("a delay of 50 days", BlockPolicy, |b| b.reset_delay_ms = U32::new(u32::MAX)),
        ("no TSC frequency", BlockTsc, |b| b.tsc_khz = U32::new(0)),
        ("a TSC of 4 THz", BlockTsc, |b| b.tsc_khz = U32::new(u32::MAX)),
        ("console kind 2", BlockConsole, |b| b.console.kind = U32::new(2)),
        ("console port 0", BlockConsole, |b| b.console.port = U32::new(0)),
        ("console port above the I/O space", BlockConsole, |b| b.console.port = U32::new(0x1_0000)),
        ("console that port I/O is not allowed for", BlockConsole, |b| b.permissions = U32::new(0)),
        ("port without a console", BlockConsole, |b| b.console.kind = U32::new(0)),
        ("leaf size 0", BlockLeafSize, |b| b.leaf_size = U32::new(0)),
        ("leaf size not a power of two", BlockLeafSize, |b| b.leaf_size = U32::new(LEAF + 4096)),
        ("leaf size below a page", BlockLeafSize, |b| b.leaf_size = U32::new(2048)),
        ("leaf size of 2 GiB", BlockLeafSize, |b| b.leaf_size = U32::new(1 << 31)),
        ("another leaf size", BlockLeafTable, |b| b.leaf_size = U32::new(LEAF / 2)),
        ("leaf table over the image", BlockLeafTable, |b| {
            b.leaf_table.start = U64::new(PURGATORY + 0xbfff)
        }),
        ("leaf table too short", BlockLeafTable, |b| {
            b.leaf_table.len = U64::new(b.leaf_table.len.get() - 32)
        }),
        ("leaf table over the copy", BlockLeafTable, |b| {
            b.leaf_table.start = U64::new(PURGATORY + 0xd000)
        }),
        ("leaf table that wraps", BlockLeafTable, |b| b.leaf_table.start = U64::new(u64::MAX - 31)),
        ("no region", BlockRegionCount, |b| b.region_count = U32::new(0)),
        ("seventeen regions", BlockRegionCount, |b| b.region_count = U32::new(17)),
        ("more regions than all", BlockRegionCount, |b| b.region_count = U32::new(u32::MAX)),
        ("one region less than there are", BlockReserved, |b| b.region_count = U32::new(5)),
        ("one region more than there are", BlockRegion, |b| b.region_count = U32::new(7)),
        ("region of unknown kind", BlockRegion, |b| b.regions[2].kind = U32::new(77)),
        ("two regions of a kind", BlockRegion, |b| {
            b.regions[2].kind = U32::new(RegionKind::Kernel as u32)
        }),
        ("no purgatory region", BlockRegion, |b| {
            b.regions[0] = b.regions[5];
            b.regions[5] = zerocopy::FromZeros::new_zeroed();
            b.region_count = U32::new(5);
        }),
        ("region's reserved byte", BlockReserved, |b| b.regions[1].reserved = U32::new(1)),
        ("region that wraps", BlockRegion, |b| b.regions[1].mem_len = U64::new(u64::MAX)),
        ("region longer in the file than in memory", BlockRegion, |b| {
            b.regions[2].mem_len = U64::new(0x10_0000)
        }),
        ("empty region", BlockRegion, |b| {
            b.regions[2].mem_len = U64::new(0);
            b.regions[2].file_len = U64::new(0);
        }),
        ("region below the crash region", BlockRegion, |b| {
            b.regions[2].start = U64::new(CRASH - 4096)
        }),
        ("region past the crash region", BlockRegion, |b| {
            b.regions[2].start = U64::new(CRASH + 0x0fff_f000)
        }),
        ("region over the purgatory", BlockRegion, |b| b.regions[2].start = U64::new(PURGATORY)),
        ("region over the elfcorehdr", BlockRegion, |b| {
            b.regions[3].start = U64::new(CRASH + 0xe_0000)
        }),
        ("region over another", BlockRegion, |b| {
            b.regions[3].start = U64::new(CRASH + 0x0500_0000)
        }),
        ("purgatory region with what is written", BlockRegion, |b| {
            b.regions[0].mem_len = U64::new(0x8001)
        }),
        ("region with a leaf less", BlockLeafTable, |b| {
            b.regions[2].file_len = U64::new(0x10_0000)
        }),
        ("elfcorehdr that wraps", BlockElfcorehdr, |b| b.elfcorehdr.len = U64::new(u64::MAX)),
        ("elfcorehdr outside the crash region", BlockElfcorehdr, |b| {
            b.elfcorehdr.start = U64::new(0x10_0000)
        }),
        ("elfcorehdr over the purgatory", BlockElfcorehdr, |b| {
            b.elfcorehdr.start = U64::new(PURGATORY - 4096)
        }),
        ("copy outside the purgatory's segment", BlockRegion, |b| {
            b.regions[5].start = U64::new(CRASH + 0x0700_0000)
        }),
        ("copy over the stacks", BlockRegion, |b| {
            b.regions[5].start = U64::new(PURGATORY + 0xb000)
        }),
        ("copy that does not fit the elfcorehdr", BlockRegion, |b| {
            b.elfcorehdr.len = U64::new(0x100)
        }),
        ("physical limit below the crash region", BlockElfcorehdr, |b| {
            b.phys_limit = U64::new(CRASH)
        }),
        ("physical limit that no CPU has", BlockElfcorehdr, |b| {
            b.phys_limit = U64::new((1 << 52) + 1)
        }),
        ("copy with a tail", BlockRegion, |b| b.regions[5].mem_len = U64::new(0x161)),
        ("report outside the command line", BlockEntry, |b| {
            b.report.start = U64::new(CRASH + 0x0600_0000)
        }),
        ("report of another width", BlockEntry, |b| b.report.len = U64::new(FIELD_LEN as u64 - 1)),
        ("report that wraps", BlockEntry, |b| b.report.start = U64::new(u64::MAX)),
        ("entry outside the kernel", BlockEntry, |b| {
            b.entry.rip = U64::new(CRASH + 0x0100_0000 + 0xb0_e200)
        }),
        ("boot parameters outside their segment", BlockEntry, |b| {
            b.entry.rsi = U64::new(CRASH + 0x0600_1001)
        }),
    ];
    for (what, expected, damage) in damages {
        let mut block = good_block();
        damage(&mut block);
        assert_eq!(receive(&block, &ITSELF).map(|_| ()), Err(*expected), "{what}");
    }
}

#[test]
fn no_single_flipped_bit_makes_a_check_panic() {
    use zerocopy::{FromBytes, IntoBytes};
    // Miri is slow: it tries one bit of 509, which covers every bit of a byte.
    for bit in (0..size_of::<Block>() * 8).step_by(if cfg!(miri) { 509 } else { 1 }) {
        let mut block = good_block();
        block.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        // Most are rejected here, and the seal rejects the rest. Neither helps if this panics
        // first.
        let _ = receive(&block, &ITSELF);
    }
    assert!(
        Block::read_from_bytes(&[0xff; size_of::<Block>()])
            .is_ok_and(|block| receive(&block, &ITSELF).is_err())
    );
}

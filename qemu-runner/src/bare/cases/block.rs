//! Every field of the handoff block, wrong. The seal is repaired, so the field's own check must
//! notice; a few cases are about the seal itself.

use handoff::{
    ConsoleSettings, OnCorrupt, PAGE_SIZE, Permissions, PhysSpan, Region, RegionKind, Verdict,
};

use crate::bare::case::{Arrangement, Case, Ended, Expect, ordinary, rows};
use crate::bare::memory::Memory;

fn region(block: &mut handoff::Block, kind: RegionKind) -> &mut Region {
    let used = block.region_count.get() as usize;
    block.regions[..used]
        .iter_mut()
        .find(|region| region.kind.get() == kind as u32)
        .expect("the loader writes every kind")
}

macro_rules! cases {
    ($($name:literal, $verdict:ident, $summary:literal, $edit:expr;)+) => {
        &[$(Case {
            name: $name,
            summary: $summary,
            arrange: ordinary,
            damage: |memory: &mut Memory| memory.arrange_block($edit),
            expect: Expect::reset(Verdict::$verdict, &["verdict "]),
        }),+]
    };
}

/// The field alone is wrong; everything else, the seal included, is right.
pub const FIELDS: &[Case] = cases! {
    "block-magic", BlockMagic, "the block's magic is wrong", |b| b.magic[7] = b'\r';
    "block-version-0", BlockVersion, "the block's version is 0", |b| b.version = 0.into();
    "block-version-2", BlockVersion, "the block's version is of the future",
        |b| b.version = (handoff::block::VERSION + 1).into();
    "block-size", BlockSize, "the block's size is wrong", |b| b.size = 0x301.into();
    "block-reserved0", BlockReserved, "a reserved word is not zero", |b| b.reserved0 = 1.into();
    "block-black-box-without-generation", BlockBlackBox, "a record page without a generation",
        |b| b.black_box.records[0] = 1.into();
    "block-black-box-reserved", BlockBlackBox, "the black box's reserved word is not zero",
        |b| b.black_box.reserved = 1.into();
    "block-region-reserved", BlockReserved, "a region's reserved word is not zero",
        |b| region(b, RegionKind::Initrd).reserved = 1.into();
    "block-unused-region", BlockReserved, "an unused region is not zero",
        |b| b.regions[15].start = 1.into();
    "block-binding", BlockBinding, "the purgatory is said to be a page lower",
        |b| b.purgatory.start = (b.purgatory.start.get() - 0x1000).into();
    "block-binding-short", BlockBinding,
        "the purgatory's segment is said to be shorter than the purgatory",
        |b| b.purgatory.len = 0x1000.into();
    "block-binding-wraps", BlockBinding, "the purgatory's segment wraps",
        |b| b.purgatory.len = u64::MAX.into();
    "block-crash-region-0", BlockCrashRegion, "the crash region begins at address 0",
        |b| {
            let end = b.crash_region.start.get() + b.crash_region.len.get();
            b.crash_region = PhysSpan::new(0, end);
        };
    "block-crash-region-small", BlockCrashRegion, "the purgatory is outside the crash region",
        |b| b.crash_region.len = 0x1000.into();
    "block-crash-region-wraps", BlockCrashRegion, "the crash region wraps",
        |b| b.crash_region.len = u64::MAX.into();
    "block-engine-0", BlockEngine, "the engine is number 0", |b| b.engine = 0.into();
    "block-engine-unknown", BlockEngine, "the engine is one that this purgatory does not have",
        |b| b.engine = 3.into();
    "block-policy-0", BlockPolicy, "the policy is number 0", |b| b.on_corrupt = 0.into();
    "block-policy-unknown", BlockPolicy, "the policy is unknown", |b| b.on_corrupt = 4.into();
    "block-leaf-size-0", BlockLeafSize, "leaves are empty", |b| b.leaf_size = 0.into();
    "block-leaf-size-odd", BlockLeafSize, "the size of a leaf is no power of two",
        |b| b.leaf_size = 0xffff.into();
    "block-leaf-size-small", BlockLeafSize, "leaves are smaller than a page",
        |b| b.leaf_size = 2048.into();
    "block-leaf-size-large", BlockLeafSize, "leaves are larger than 64 MiB",
        |b| b.leaf_size = (128 << 20).into();
    "block-region-count-0", BlockRegionCount, "there is no region", |b| b.region_count = 0.into();
    "block-region-count-17", BlockRegionCount, "there are more regions than fit",
        |b| b.region_count = 17.into();
    "block-region-count-max", BlockRegionCount, "there are 4294967295 regions",
        |b| b.region_count = u32::MAX.into();
    "block-region-kind", BlockRegion, "a region is of no known kind",
        |b| region(b, RegionKind::Initrd).kind = 7.into();
    "block-region-twice", BlockRegion, "two regions are of the same kind",
        |b| region(b, RegionKind::Initrd).kind = (RegionKind::Kernel as u32).into();
    "block-region-wraps", BlockRegion, "a region wraps",
        |b| region(b, RegionKind::Initrd).mem_len = u64::MAX.into();
    "block-region-empty", BlockRegion, "a region is empty",
        |b| {
            region(b, RegionKind::Initrd).file_len = 0.into();
            region(b, RegionKind::Initrd).mem_len = 0.into();
        };
    "block-region-longer-than-memory", BlockRegion, "a region has more file bytes than memory",
        |b| {
            let region = region(b, RegionKind::Initrd);
            region.file_len = (region.mem_len.get() + 1).into();
        };
    "block-region-in-purgatory", BlockRegion, "the initrd overlaps the purgatory",
        |b| region(b, RegionKind::Initrd).start = b.purgatory.start;
    "block-region-in-leaf-table", BlockRegion,
        "the initrd is in the leaf table, which is the purgatory's but in no region",
        |b| {
            let start = b.leaf_table.start;
            let initrd = region(b, RegionKind::Initrd);
            (initrd.start, initrd.file_len, initrd.mem_len) = (start, 32.into(), 32.into());
        };
    "block-copy-tail", BlockRegion, "the copy of the elfcorehdr has a zero tail",
        |b| region(b, RegionKind::ElfcorehdrCopy).file_len -= 1;
    "block-copy-longer", BlockRegion, "the copy of the elfcorehdr is longer than the elfcorehdr",
        |b| b.elfcorehdr.len = 64.into();
    "block-region-in-elfcorehdr", BlockRegion, "the initrd overlaps the elfcorehdr",
        |b| region(b, RegionKind::Initrd).start = b.elfcorehdr.start;
    "block-region-overlap", BlockRegion, "the initrd overlaps the kernel",
        |b| {
            let kernel = region(b, RegionKind::Kernel).start;
            region(b, RegionKind::Initrd).start = kernel;
        };
    "block-region-outside", BlockRegion, "the initrd is outside the crash region",
        |b| region(b, RegionKind::Initrd).start = (b.crash_region.start.get() - 0x10_0000).into();
    "block-region-own-data", BlockRegion, "the purgatory's region covers what it writes",
        |b| {
            // What it writes begins in the next page, with the block.
            let text = region(b, RegionKind::Purgatory);
            let len = text.mem_len.get().next_multiple_of(PAGE_SIZE) + 64;
            (text.file_len, text.mem_len) = (len.into(), len.into());
        };
    "block-no-purgatory-region", BlockRegion, "the purgatory itself is in no region",
        |b| {
            let purgatory = *region(b, RegionKind::Purgatory);
            let used = b.region_count.get() as usize;
            let place = b.regions.iter().position(|region| *region == purgatory).unwrap_or(0);
            b.regions.copy_within(place + 1..used, place);
            b.regions[used - 1] = zerocopy::FromZeros::new_zeroed();
            b.region_count = (used as u32 - 1).into();
        };
    "block-leaf-table-short", BlockLeafTable, "the leaf table is a digest too short",
        |b| b.leaf_table.len = (b.leaf_table.len.get() - 32).into();
    "block-leaf-table-long", BlockLeafTable, "the leaf table is a digest too long",
        |b| b.leaf_table.len = (b.leaf_table.len.get() + 32).into();
    "block-leaf-table-outside", BlockLeafTable, "the leaf table is in the kernel",
        |b| b.leaf_table.start = region(b, RegionKind::Kernel).start;
    "block-leaf-table-in-copy", BlockLeafTable, "the leaf table is in the copy of the elfcorehdr",
        |b| b.leaf_table.start = region(b, RegionKind::ElfcorehdrCopy).start;
    "block-elfcorehdr-outside", BlockElfcorehdr, "the elfcorehdr is outside the crash region",
        |b| b.elfcorehdr.start = (b.crash_region.start.get() - 0x1000).into();
    "block-elfcorehdr-in-purgatory", BlockElfcorehdr, "the elfcorehdr overlaps the purgatory",
        |b| b.elfcorehdr = b.purgatory;
    "block-elfcorehdr-wraps", BlockElfcorehdr, "the elfcorehdr wraps",
        |b| b.elfcorehdr.len = u64::MAX.into();
    "block-phys-limit-low", BlockElfcorehdr, "physical memory ends below the crash region",
        |b| b.phys_limit = 0x1000.into();
    "block-phys-limit-high", BlockElfcorehdr, "physical addresses have more than 52 bits",
        |b| b.phys_limit = ((1 << 52) + 1).into();
    "block-report-outside", BlockEntry, "the report field is outside the command line",
        |b| b.report.start = (b.report.start.get() + 0x1000).into();
    "block-report-short", BlockEntry, "the report field is a byte too short",
        |b| b.report.len = 127.into();
    "block-entry-outside", BlockEntry, "the entry point is outside the kernel",
        |b| b.entry.rip = (b.crash_region.start.get() - 1).into();
    "block-boot-params-outside", BlockEntry, "the boot parameters are said to lie in the initrd",
        |b| {
            let initrd = region(b, RegionKind::Initrd).start;
            b.entry.rsi = initrd;
        };
};

/// A clock that is told to run so fast that ten seconds are over in an instant.
fn hasty(memory: &mut Memory, edit: impl FnOnce(&mut handoff::Block)) {
    memory.edit_block(|block| {
        block.tsc_khz = 1.into();
        edit(block);
    });
}

fn with_console(memory: &mut Memory, kind: u32, port: u32) {
    let console = ConsoleSettings { kind: kind.into(), port: port.into() };
    memory.arrange_block(|block| block.console = console);
}

const WITHOUT_PORT_IO: u32 = Permissions::ALL.bits() & !Permissions::PORT_IO.bits();

fn longest_delay(arrangement: &mut Arrangement) {
    arrangement.reset_delay_ms = handoff::block::MAX_RESET_DELAY_MS;
}

pub const CASES: &[Case] = rows! {
    "block-seal": "a bit of the seal was flipped",
        ordinary, |memory| memory.edit_block(|block| block.seal[31] ^= 1),
        Expect::reset(Verdict::Seal, &["verdict "]);
    "block-unsealed": "a field was changed into another value that is right in itself",
        ordinary, |memory| memory.edit_block(|block| block.phys_limit = (1 << 52).into()),
        Expect::reset(Verdict::Seal, &["verdict "]);
    "block-unsealed-halt":
        "the policy was turned into halt by a stray write: an unproven block is not obeyed",
        ordinary,
        |memory| memory.edit_block(|block| block.on_corrupt = (OnCorrupt::Halt as u32).into()),
        Expect::reset(Verdict::Seal, &["verdict "]);
    "block-unsealed-boot":
        "the policy was turned into boot by a stray write: an unproven block boots nothing",
        ordinary,
        |memory| memory.edit_block(|block| block.on_corrupt = (OnCorrupt::Boot as u32).into()),
        Expect::reset(Verdict::Seal, &["verdict "]);
    "block-delay-too-long":
        "the delay is longer than an hour: ten seconds are waited, here of a clock that runs fast",
        ordinary, |memory| hasty(memory, |block| block.reset_delay_ms = u32::MAX.into()),
        Expect {
            verdict: Verdict::BlockPolicy,
            says: &["verdict ", "resetting in 10000 ms"],
            ended: Ended::ResetAtOnce,
        };
    "block-delay-longest":
        "the delay is an hour, proven, of a clock that runs fast, and a bit of the initrd was \
         flipped",
        longest_delay,
        |memory| {
            memory.arrange_block(|block| block.tsc_khz = 1.into());
            memory.flip(RegionKind::Initrd, 0);
        },
        Expect {
            verdict: Verdict::SegmentCorrupt,
            says: &["initrd is corrupt at {initrd}-", "verdict ", "resetting in 3600000 ms"],
            ended: Ended::ResetAtOnce,
        };
    "block-delay-0": "the delay is 0 and a bit of the initrd was flipped",
        |arrangement| arrangement.reset_delay_ms = 0, |memory| memory.flip(RegionKind::Initrd, 0),
        Expect::reset(
            Verdict::SegmentCorrupt,
            &["initrd is corrupt at {initrd}-", "verdict ", "resetting in 0 ms"],
        );
    "block-tsc-0": "the time-stamp counter does not advance, so no delay can be measured",
        ordinary, |memory| memory.arrange_block(|block| block.tsc_khz = 0.into()),
        Expect { verdict: Verdict::BlockTsc, says: &["verdict "], ended: Ended::ResetAtOnce };
    "block-tsc-max": "the time-stamp counter is said to be faster than 10 GHz",
        ordinary, |memory| memory.arrange_block(|block| block.tsc_khz = u32::MAX.into()),
        Expect::reset(Verdict::BlockTsc, &["verdict "]);
    "block-console-none-with-port": "there is no console, but a port",
        ordinary,
        |memory| with_console(memory, 0, 0x3f8),
        Expect::reset(Verdict::BlockConsole, &[]);
    "block-console-kind": "the console is of an unknown kind",
        ordinary,
        |memory| with_console(memory, 2, 0),
        Expect::reset(Verdict::BlockConsole, &[]);
    "block-console-port-0": "the console's port is 0",
        ordinary, |memory| memory.arrange_block(|block| block.console.port = 0.into()),
        Expect::reset(Verdict::BlockConsole, &[]);
    "block-console-port-high": "the console's ports leave the I/O space",
        ordinary, |memory| memory.arrange_block(|block| block.console.port = 0xfff9.into()),
        Expect::reset(Verdict::BlockConsole, &[]);
    "block-console-forbidden": "there is a console, but no permission for port I/O",
        ordinary,
        |memory| memory.arrange_block(|block| block.permissions = WITHOUT_PORT_IO.into()),
        Expect::triple_fault(Verdict::BlockConsole);
    "block-permissions-unknown":
        "an unknown permission is given: nothing is permitted, so nothing can be said, and a \
         triple fault resets",
        |arrangement| arrangement.traced = Some(&[]),
        |memory| memory.arrange_block(|block| block.permissions = 0x3f.into()),
        Expect::triple_fault(Verdict::BlockReserved);
};

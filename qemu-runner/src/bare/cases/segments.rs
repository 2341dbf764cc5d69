//! Bits flipped in the loaded segments.

use handoff::{RegionKind, Verdict};

use crate::bare::case::{Case, Cpu, Expect, ordinary, rows};
use crate::bare::memory::Memory;

/// `Arrangement::leaf_size`'s default.
const LEAF: usize = 64 << 10;

/// Flips a bit of the last byte that was loaded from a file.
fn flip_last(memory: &mut Memory, kind: RegionKind) {
    let (file, _) = memory.lengths(kind);
    memory.flip(kind, file - 1);
}

fn flip_middle(memory: &mut Memory, kind: RegionKind) {
    let (file, _) = memory.lengths(kind);
    memory.flip(kind, file / 2);
}

const fn corrupt(says: &'static [&'static str]) -> Expect {
    Expect::reset(Verdict::SegmentCorrupt, says)
}

const fn not_zero(says: &'static [&'static str]) -> Expect {
    Expect::reset(Verdict::ZeroTail, says)
}

macro_rules! flipped {
    ($($kind:ident $name:literal: $first:literal, $middle:literal, $last:literal;)+) => {
        &[$(
            Case {
                name: $first,
                summary: concat!("a bit of the first byte of ", $name, " was flipped"),
                arrange: ordinary,
                damage: |memory| memory.flip(RegionKind::$kind, 0),
                expect: corrupt(&[concat!($name, " is corrupt at {", $name, "}-")]),
            },
            Case {
                name: $middle,
                summary: concat!("a bit in the middle of ", $name, " was flipped"),
                arrange: ordinary,
                damage: |memory| flip_middle(memory, RegionKind::$kind),
                expect: corrupt(&[concat!($name, " is corrupt at ")]),
            },
            Case {
                name: $last,
                summary: concat!("a bit of the last byte of ", $name, " was flipped"),
                arrange: ordinary,
                damage: |memory| flip_last(memory, RegionKind::$kind),
                expect: corrupt(&[concat!($name, " is corrupt at ")]),
            },
        )+]
    };
}

/// The first, a middle and the last byte of every kind of region.
pub const FLIPPED: &[Case] = flipped! {
    Kernel "kernel": "kernel-first", "kernel-middle", "kernel-last";
    Initrd "initrd": "initrd-first", "initrd-middle", "initrd-last";
    BootParams "boot-params": "boot-params-first", "boot-params-middle", "boot-params-last";
    CommandLine "command-line": "command-line-first", "command-line-middle", "command-line-last";
    ElfcorehdrCopy "elfcorehdr-copy": "elfcorehdr-copy-first", "elfcorehdr-copy-middle",
        "elfcorehdr-copy-last";
};

pub const CASES: &[Case] = rows! {
    "purgatory-text": "a bit of the purgatory's own handler of #DE was flipped",
        ordinary,
        |memory| {
            let stub = memory.symbol("trap_stubs");
            memory.at(stub, 1)[0] ^= 1;
        },
        corrupt(&["purgatory is corrupt at {purgatory}-"]);
    "purgatory-rodata": "a bit of the purgatory's last read-only byte was flipped",
        ordinary, |memory| flip_last(memory, RegionKind::Purgatory),
        corrupt(&["purgatory is corrupt at "]);
    "initrd-before-leaf-border": "a bit of the last byte of the initrd's first leaf was flipped",
        ordinary, |memory| memory.flip(RegionKind::Initrd, LEAF - 1),
        corrupt(&["initrd is corrupt at {initrd}-{initrd+ffff}: expected "]);
    "initrd-at-leaf-border": "a bit of the first byte of the initrd's second leaf was flipped",
        ordinary, |memory| memory.flip(RegionKind::Initrd, LEAF),
        corrupt(&["initrd is corrupt at {initrd+10000}-{initrd+1ffff}: expected "]);
    "initrd-behind-leaf-border": "a bit of the second byte of the initrd's second leaf was flipped",
        ordinary, |memory| memory.flip(RegionKind::Initrd, LEAF + 1),
        corrupt(&["initrd is corrupt at {initrd+10000}-{initrd+1ffff}: expected "]);
    "initrd-every-leaf": "a bit in every leaf of the initrd was flipped",
        ordinary, |memory| (0..10).for_each(|leaf| memory.flip(RegionKind::Initrd, leaf * LEAF)),
        corrupt(&["initrd is corrupt at ", "initrd is corrupt in 6 more places"]);
    "initrd-soft": "a bit of the initrd was flipped on a CPU without SHA-NI",
        |a| a.cpu = Cpu::WithoutShaNi, |memory| memory.flip(RegionKind::Initrd, 3 * LEAF),
        corrupt(&["initrd is corrupt at {initrd+30000}-{initrd+3ffff}: expected "]);
    "kernel-and-initrd": "a bit of the kernel and one of the initrd were flipped",
        ordinary,
        |memory| {
            memory.flip(RegionKind::Kernel, 0);
            memory.flip(RegionKind::Initrd, 0);
        },
        corrupt(&["kernel is corrupt at {kernel}-", "initrd is corrupt at {initrd}-"]);
    "kernel-tail-first": "the first byte of the kernel's zero tail is no longer zero",
        ordinary,
        |memory| {
            let (file, _) = memory.lengths(RegionKind::Kernel);
            memory.flip(RegionKind::Kernel, file);
        },
        not_zero(&["kernel is corrupt at "]);
    "kernel-tail-last": "the last byte of the kernel's zero tail is no longer zero",
        ordinary,
        |memory| {
            let (_, all) = memory.lengths(RegionKind::Kernel);
            memory.flip(RegionKind::Kernel, all - 1);
        },
        not_zero(&["kernel is corrupt at "]);
    "initrd-tail-first": "the first byte after the initrd, in its last page, is no longer zero",
        ordinary,
        |memory| {
            let (file, _) = memory.lengths(RegionKind::Initrd);
            memory.flip(RegionKind::Initrd, file);
        },
        not_zero(&["initrd is corrupt at "]);
    "leaf-and-tail":
        "a bit of the initrd was flipped, and a byte of the kernel's zero tail is not zero",
        ordinary,
        |memory| {
            let (_, all) = memory.lengths(RegionKind::Kernel);
            memory.flip(RegionKind::Kernel, all - 1);
            memory.flip(RegionKind::Initrd, 0);
        },
        corrupt(&["initrd is corrupt at {initrd}-", "kernel is corrupt at "]);
    "leaf-table": "a bit of the leaf table was flipped",
        ordinary, |memory| memory.leaf(1)[0] ^= 1,
        Expect::reset(Verdict::Seal, &["verdict 0x20 seal"]);
    "digest-first-byte": "a sealed digest differs in its first byte alone",
        ordinary,
        |memory| {
            memory.leaf(2)[0] ^= 1;
            memory.reseal();
        },
        corrupt(&["verifying "]);
    "digest-last-byte": "a sealed digest differs in its last byte alone",
        ordinary,
        |memory| {
            memory.leaf(2)[31] ^= 1;
            memory.reseal();
        },
        corrupt(&["verifying "]);
};

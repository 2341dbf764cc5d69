//! Bits flipped in what was loaded, wherever it is.

use handoff::{RegionKind, Verdict};

use crate::bare::case::{Case, Cpu, Ended, Expect, ordinary};
use crate::bare::memory::Memory;

const RESET: Ended = Ended::Reset;
/// `Arrangement::leaf_size`'s default.
const LEAF: usize = 64 << 10;

/// Flips the lowest bit of a byte of a region.
fn flip(memory: &mut Memory, kind: RegionKind, offset: usize) {
    memory.region(kind)[offset] ^= 1;
}

/// Flips a bit of the last byte that was loaded from a file.
fn flip_last(memory: &mut Memory, kind: RegionKind) {
    let (file, _) = memory.lengths(kind);
    flip(memory, kind, file - 1);
}

fn flip_middle(memory: &mut Memory, kind: RegionKind) {
    let (file, _) = memory.lengths(kind);
    flip(memory, kind, file / 2);
}

const fn corrupt(says: &'static [&'static str]) -> Expect {
    Expect { verdict: Verdict::SegmentCorrupt, says, ended: RESET }
}

const fn not_zero(says: &'static [&'static str]) -> Expect {
    Expect { verdict: Verdict::ZeroTail, says, ended: RESET }
}

macro_rules! flipped {
    ($($kind:ident $name:literal: $first:literal, $middle:literal, $last:literal;)+) => {
        &[$(
            Case {
                name: $first,
                summary: concat!("a bit of the first byte of ", $name, " was flipped"),
                arrange: ordinary,
                damage: |memory| flip(memory, RegionKind::$kind, 0),
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
    ElfcorehdrCopy "elfcorehdr-copy": "elfcorehdr-copy-first", "elfcorehdr-copy-middle", "elfcorehdr-copy-last";
};

pub const CASES: &[Case] = &[
    Case {
        name: "purgatory-text",
        summary: "a bit of the purgatory's own handler of #DE was flipped",
        arrange: ordinary,
        damage: |memory| {
            let stub = memory.symbol("trap_stubs");
            memory.at(stub, 1)[0] ^= 1;
        },
        expect: corrupt(&["purgatory is corrupt at {purgatory}-"]),
    },
    Case {
        name: "purgatory-rodata",
        summary: "a bit of the purgatory's last read-only byte was flipped",
        arrange: ordinary,
        damage: |memory| flip_last(memory, RegionKind::Purgatory),
        expect: corrupt(&["purgatory is corrupt at "]),
    },
    Case {
        name: "initrd-before-leaf-border",
        summary: "a bit of the last byte of the initrd's first leaf was flipped",
        arrange: ordinary,
        damage: |memory| flip(memory, RegionKind::Initrd, LEAF - 1),
        expect: corrupt(&["initrd is corrupt at {initrd}-{initrd+ffff}: expected "]),
    },
    Case {
        name: "initrd-at-leaf-border",
        summary: "a bit of the first byte of the initrd's second leaf was flipped",
        arrange: ordinary,
        damage: |memory| flip(memory, RegionKind::Initrd, LEAF),
        expect: corrupt(&["initrd is corrupt at {initrd+10000}-{initrd+1ffff}: expected "]),
    },
    Case {
        name: "initrd-behind-leaf-border",
        summary: "a bit of the second byte of the initrd's second leaf was flipped",
        arrange: ordinary,
        damage: |memory| flip(memory, RegionKind::Initrd, LEAF + 1),
        expect: corrupt(&["initrd is corrupt at {initrd+10000}-{initrd+1ffff}: expected "]),
    },
    Case {
        name: "initrd-every-leaf",
        summary: "a bit in every leaf of the initrd was flipped",
        arrange: ordinary,
        damage: |memory| (0..10).for_each(|leaf| flip(memory, RegionKind::Initrd, leaf * LEAF)),
        expect: corrupt(&["initrd is corrupt at ", "initrd is corrupt in 6 more places"]),
    },
    Case {
        name: "initrd-soft",
        summary: "a bit of the initrd was flipped on a CPU without SHA-NI",
        arrange: |a| a.cpu = Cpu::WithoutShaNi,
        damage: |memory| flip(memory, RegionKind::Initrd, 3 * LEAF),
        expect: corrupt(&["initrd is corrupt at {initrd+30000}-{initrd+3ffff}: expected "]),
    },
    Case {
        name: "kernel-and-initrd",
        summary: "a bit of the kernel and one of the initrd were flipped",
        arrange: ordinary,
        damage: |memory| {
            flip(memory, RegionKind::Kernel, 0);
            flip(memory, RegionKind::Initrd, 0);
        },
        expect: corrupt(&["kernel is corrupt at {kernel}-", "initrd is corrupt at {initrd}-"]),
    },
    Case {
        name: "kernel-tail-first",
        summary: "the first byte of the kernel's zero tail is no longer zero",
        arrange: ordinary,
        damage: |memory| {
            let (file, _) = memory.lengths(RegionKind::Kernel);
            flip(memory, RegionKind::Kernel, file);
        },
        expect: not_zero(&["kernel is corrupt at "]),
    },
    Case {
        name: "kernel-tail-last",
        summary: "the last byte of the kernel's zero tail is no longer zero",
        arrange: ordinary,
        damage: |memory| {
            let (_, all) = memory.lengths(RegionKind::Kernel);
            flip(memory, RegionKind::Kernel, all - 1);
        },
        expect: not_zero(&["kernel is corrupt at "]),
    },
    Case {
        name: "initrd-tail-first",
        summary: "the first byte after the initrd, in its last page, is no longer zero",
        arrange: ordinary,
        damage: |memory| {
            let (file, _) = memory.lengths(RegionKind::Initrd);
            flip(memory, RegionKind::Initrd, file);
        },
        expect: not_zero(&["initrd is corrupt at "]),
    },
    Case {
        name: "leaf-and-tail",
        summary: "a bit of the initrd was flipped, and a byte of the kernel's zero tail is not zero",
        arrange: ordinary,
        damage: |memory| {
            let (_, all) = memory.lengths(RegionKind::Kernel);
            flip(memory, RegionKind::Kernel, all - 1);
            flip(memory, RegionKind::Initrd, 0);
        },
        expect: corrupt(&["initrd is corrupt at {initrd}-", "kernel is corrupt at "]),
    },
    Case {
        name: "leaf-table",
        summary: "a bit of the leaf table was flipped",
        arrange: ordinary,
        damage: |memory| memory.leaf(1)[0] ^= 1,
        expect: Expect { verdict: Verdict::Seal, says: &["verdict 0x20 seal"], ended: RESET },
    },
    Case {
        name: "digest-first-byte",
        summary: "a sealed digest differs in its first byte alone",
        arrange: ordinary,
        damage: |memory| {
            memory.leaf(2)[0] ^= 1;
            memory.reseal();
        },
        expect: corrupt(&["verifying "]),
    },
    Case {
        name: "digest-last-byte",
        summary: "a sealed digest differs in its last byte alone",
        arrange: ordinary,
        damage: |memory| {
            memory.leaf(2)[31] ^= 1;
            memory.reseal();
        },
        expect: corrupt(&["verifying "]),
    },
];

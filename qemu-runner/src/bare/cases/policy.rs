//! What to do when something is wrong: as the block says, once the block is proven; a reset until then, whatever it says.

use handoff::report::Elfcorehdr;
use handoff::{OnCorrupt, RegionKind, Verdict};
use orders::Ending;

use crate::bare::case::{Arrangement, Case, Ended, Expect, Reported, SOUND, untouched};
use crate::bare::memory::Memory;

fn halt(arrangement: &mut Arrangement) {
    arrangement.on_corrupt = OnCorrupt::Halt;
}

fn boot(arrangement: &mut Arrangement) {
    arrangement.on_corrupt = OnCorrupt::Boot;
}

fn flip_initrd(memory: &mut Memory) {
    memory.region(RegionKind::Initrd)[0] ^= 1;
}

/// The first byte behind the initrd, in its last page.
fn flip_tail(memory: &mut Memory) {
    let (file, _) = memory.lengths(RegionKind::Initrd);
    memory.region(RegionKind::Initrd)[file] ^= 1;
}

fn raise_undefined(memory: &mut Memory) {
    let at = memory.function("story4tell");
    memory.at(at, 2).copy_from_slice(b"\x0f\x0b"); // ud2
}

const fn sound() -> Expect {
    Expect { verdict: Verdict::Ok, says: &["verdict ", "report ok,"], ended: Ended::Booted(SOUND) }
}

/// Reset although something else is asked for.
const fn reset(verdict: Verdict) -> Expect {
    Expect { verdict, says: &["verdict "], ended: Ended::Reset }
}

const fn halted(verdict: Verdict) -> Expect {
    Expect { verdict, says: &["verdict ", "halted, as configured"], ended: Ended::Halted }
}

const fn nevertheless(verdict: Verdict, reported: Reported, ending: Ending, says: &'static [&'static str]) -> Expect {
    Expect { verdict, says, ended: Ended::BootedNevertheless(reported, ending) }
}

const INITRD: Reported = Reported { segment: Some(RegionKind::Initrd), ..SOUND };

pub const CASES: &[Case] = &[
    Case {
        name: "halt-sound",
        summary: "the machine is to halt when something is wrong, and nothing is",
        arrange: halt,
        damage: untouched,
        expect: sound(),
    },
    Case {
        name: "halt-initrd",
        summary: "a bit of the initrd was flipped, and the machine is to halt",
        arrange: halt,
        damage: flip_initrd,
        expect: halted(Verdict::SegmentCorrupt),
    },
    Case {
        name: "halt-tail",
        summary: "the initrd's tail is not zero, and the machine is to halt",
        arrange: halt,
        damage: flip_tail,
        expect: halted(Verdict::ZeroTail),
    },
    Case {
        name: "halt-leaf-table",
        summary: "the machine is to halt, but the leaf table was changed, so nothing is proven",
        arrange: halt,
        damage: |memory| memory.leaf(0)[0] ^= 1,
        expect: reset(Verdict::Seal),
    },
    Case {
        name: "halt-block",
        summary: "the machine is to halt, but the block makes no sense",
        arrange: halt,
        damage: |memory| memory.edit_block(|block| block.region_count = 0.into()),
        expect: reset(Verdict::BlockRegionCount),
    },
    Case {
        name: "halt-exception",
        summary: "the machine is to halt, but an exception is raised, so nothing is proven",
        arrange: halt,
        damage: raise_undefined,
        expect: reset(Verdict::Exception),
    },
    Case {
        name: "boot-sound",
        summary: "the machine is to boot whatever is corrupt, and nothing is",
        arrange: boot,
        damage: untouched,
        expect: sound(),
    },
    Case {
        name: "boot-initrd",
        summary: "a bit of the initrd was flipped, and the machine is to boot nevertheless",
        arrange: boot,
        damage: flip_initrd,
        expect: nevertheless(
            Verdict::SegmentCorrupt,
            INITRD,
            Ending::Contents,
            &[
                "initrd is corrupt at {initrd}-",
                "verdict ",
                "booting anyway, as configured",
                "report segment-corrupt,segment:initrd",
            ],
        ),
    },
    Case {
        name: "boot-tail",
        summary: "the initrd's tail is not zero, and the machine is to boot nevertheless",
        arrange: boot,
        damage: flip_tail,
        expect: nevertheless(
            Verdict::ZeroTail,
            INITRD,
            Ending::Contents,
            &["verdict ", "booting anyway, as configured", "report zero-tail,segment:initrd"],
        ),
    },
    Case {
        name: "boot-elfcorehdr-and-copy",
        summary: "elfcorehdr and its copy are broken, and the machine is to boot nevertheless",
        arrange: boot,
        damage: |memory| {
            memory.elfcorehdr()[0] ^= 1;
            memory.region(RegionKind::ElfcorehdrCopy)[0] ^= 1;
        },
        expect: nevertheless(
            Verdict::SegmentCorrupt,
            Reported { segment: Some(RegionKind::ElfcorehdrCopy), elfcorehdr: Elfcorehdr::Broken, ..SOUND },
            Ending::Elfcorehdr,
            &[
                "elfcorehdr is broken (not the identification of a 64-bit ELF file), and its copy is corrupt: left as it is",
                "verdict ",
                "booting anyway, as configured",
            ],
        ),
    },
    Case {
        name: "boot-elfcorehdr",
        summary: "the elfcorehdr and the initrd are damaged, and the machine is to boot nevertheless: the copy is put back",
        arrange: boot,
        damage: |memory| {
            memory.elfcorehdr()[0] ^= 1;
            flip_initrd(memory);
        },
        expect: nevertheless(
            Verdict::SegmentCorrupt,
            Reported { elfcorehdr: Elfcorehdr::Restored, ..INITRD },
            Ending::Contents,
            &["elfcorehdr was broken (not the identification of a 64-bit ELF file); restored the copy made at load", "verdict "],
        ),
    },
    Case {
        name: "boot-leaf-table",
        summary: "the machine is to boot whatever is corrupt, but the leaf table was changed, so nothing is proven",
        arrange: boot,
        damage: |memory| memory.leaf(0)[0] ^= 1,
        expect: reset(Verdict::Seal),
    },
    Case {
        name: "boot-block",
        summary: "the machine is to boot whatever is corrupt, but the block makes no sense, although it is sealed",
        arrange: boot,
        damage: |memory| memory.arrange_block(|block| block.entry.rip = 0.into()),
        expect: reset(Verdict::BlockEntry),
    },
    Case {
        name: "boot-exception",
        summary: "the machine is to boot whatever is corrupt, but an exception is raised",
        arrange: boot,
        damage: raise_undefined,
        expect: reset(Verdict::Exception),
    },
];

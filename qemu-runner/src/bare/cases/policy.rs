//! The policy on corruption. It is the block's once the block is proven; until then, it is a reset.

use handoff::report::Elfcorehdr;
use handoff::{OnCorrupt, RegionKind, Verdict};
use orders::Ending;

use crate::bare::case::{
    Arrangement, Case, Ended, Expect, Reported, SOUND, flip_initrd, rows, untouched,
};
use crate::bare::memory::Memory;

fn halt(arrangement: &mut Arrangement) {
    arrangement.on_corrupt = OnCorrupt::Halt;
}

fn boot(arrangement: &mut Arrangement) {
    arrangement.on_corrupt = OnCorrupt::Boot;
}

/// The first byte after the initrd, in its last page.
fn flip_tail(memory: &mut Memory) {
    let (file, _) = memory.lengths(RegionKind::Initrd);
    memory.flip(RegionKind::Initrd, file);
}

fn raise_undefined(memory: &mut Memory) {
    memory.overwrite("story4tell", b"\x0f\x0b"); // ud2
}

const fn sound() -> Expect {
    Expect::sound(&["verdict ", "report ok,"])
}

/// Reset although something else is asked for.
const fn reset(verdict: Verdict) -> Expect {
    Expect::reset(verdict, &["verdict "])
}

const fn halted(verdict: Verdict) -> Expect {
    Expect { verdict, says: &["verdict ", "halted, as configured"], ended: Ended::Halted }
}

const fn boots_anyway(
    verdict: Verdict,
    reported: Reported,
    ending: Ending,
    says: &'static [&'static str],
) -> Expect {
    Expect { verdict, says, ended: Ended::BootedNevertheless(reported, ending) }
}

const COPY: Reported =
    Reported { segment: Some(RegionKind::ElfcorehdrCopy), elfcorehdr: Elfcorehdr::Broken, ..SOUND };
const INITRD: Reported = Reported { segment: Some(RegionKind::Initrd), ..SOUND };

pub const CASES: &[Case] = rows! {
    "halt-sound": "the policy is to halt on corruption, and nothing is corrupt",
        halt, untouched, sound();
    "halt-initrd": "a bit of the initrd was flipped, and the policy is to halt",
        halt, flip_initrd, halted(Verdict::SegmentCorrupt);
    "halt-tail": "the initrd's tail is not zero, and the policy is to halt",
        halt, flip_tail, halted(Verdict::ZeroTail);
    "halt-leaf-table":
        "the policy is to halt, but the leaf table was changed, so nothing is proven",
        halt, |memory| memory.leaf(0)[0] ^= 1, reset(Verdict::Seal);
    "halt-block": "the policy is to halt, but the block makes no sense",
        halt, |memory| memory.edit_block(|block| block.region_count = 0.into()),
        reset(Verdict::BlockRegionCount);
    "halt-exception": "the policy is to halt, but an exception is raised, so nothing is proven",
        halt, raise_undefined, reset(Verdict::Exception);
    "boot-sound": "the policy is to boot, and nothing is corrupt",
        boot, untouched, sound();
    "boot-initrd": "a bit of the initrd was flipped, and the policy is to boot",
        boot, flip_initrd,
        boots_anyway(
            Verdict::SegmentCorrupt,
            INITRD,
            Ending::Contents,
            &[
                "initrd is corrupt at {initrd}-",
                "verdict ",
                "booting anyway, as configured",
                "report segment-corrupt,segment:initrd",
            ],
        );
    "boot-tail": "the initrd's tail is not zero, and the policy is to boot",
        boot, flip_tail,
        boots_anyway(
            Verdict::ZeroTail,
            INITRD,
            Ending::Contents,
            &["verdict ", "booting anyway, as configured", "report zero-tail,segment:initrd"],
        );
    "boot-elfcorehdr-and-copy": "elfcorehdr and its copy are broken, and the policy is to boot",
        boot,
        |memory| {
            memory.elfcorehdr()[0] ^= 1;
            memory.flip(RegionKind::ElfcorehdrCopy, 0);
        },
        boots_anyway(
            Verdict::SegmentCorrupt,
            COPY,
            Ending::Elfcorehdr,
            &[
                "elfcorehdr is broken (not the identification of a 64-bit ELF file), and its copy \
                 is corrupt: left as it is",
                "verdict ",
                "booting anyway, as configured",
            ],
        );
    "boot-elfcorehdr":
        "the elfcorehdr and the initrd are damaged, and the policy is to boot: the copy is put \
         back",
        boot,
        |memory| {
            memory.elfcorehdr()[0] ^= 1;
            flip_initrd(memory);
        },
        boots_anyway(
            Verdict::SegmentCorrupt,
            Reported { elfcorehdr: Elfcorehdr::Restored, ..INITRD },
            Ending::Contents,
            &["elfcorehdr was broken (not the identification of a 64-bit ELF file); restored the \
               copy made at load", "verdict "],
        );
    "boot-leaf-table":
        "the policy is to boot, but the leaf table was changed, so nothing is proven",
        boot, |memory| memory.leaf(0)[0] ^= 1, reset(Verdict::Seal);
    "boot-block": "the policy is to boot, but the block makes no sense, although it is sealed",
        boot, |memory| memory.arrange_block(|block| block.entry.rip = 0.into()),
        reset(Verdict::BlockEntry);
    "boot-exception": "the policy is to boot, but an exception is raised",
        boot, raise_undefined, reset(Verdict::Exception);
};

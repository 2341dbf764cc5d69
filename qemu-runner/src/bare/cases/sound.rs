//! Nothing is wrong, on every kind of machine; and consoles that are, which changes nothing but what is heard.

use handoff::{EngineId, OnCorrupt, RegionKind, Verdict};
use loader::request::EngineChoice;
use orders::StepKind;
use orders::orders::Tables;

use crate::bare::case::{ABSENT, Case, Cpu, Ended, Expect, Reported, SOUND, ordinary, untouched};
use crate::bare::memory::Memory;

const fn boots(says: &'static [&'static str]) -> Expect {
    Expect { verdict: Verdict::Ok, says, ended: Ended::Booted(SOUND) }
}

const fn boots_with(engine: EngineId, says: &'static [&'static str]) -> Expect {
    Expect { verdict: Verdict::Ok, says, ended: Ended::Booted(Reported { engine: Some(engine), ..SOUND }) }
}

const fn resets_in_silence() -> Expect {
    Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::Reset }
}

fn flip_initrd(memory: &mut Memory) {
    memory.region(RegionKind::Initrd)[0] ^= 1;
}

pub const CASES: &[Case] = &[
    Case {
        name: "sound",
        summary: "nothing is wrong, entered as by Linux 6.12: GDT and IDT are invalid",
        arrange: ordinary,
        damage: untouched,
        expect: boots_with(EngineId::ShaNi, &["verifying ", "verdict 0x0 ok", "report ok,engine:sha-ni"]),
    },
    Case {
        name: "sound-own-tables",
        summary: "nothing is wrong, entered as by Linux 7.2: GDT and IDT are the kernel's",
        arrange: |a| a.tables = Tables::Own,
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-la57",
        summary: "five levels of page tables are in use",
        arrange: |a| (a.cpu, a.la57) = (Cpu::La57, true),
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-la57-own-tables",
        summary: "five levels of page tables are in use, with the kernel's own GDT and IDT",
        arrange: |a| (a.cpu, a.la57, a.tables) = (Cpu::La57, true, Tables::Own),
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-2m-pages",
        summary: "the CPU has no 1 GiB pages",
        arrange: |a| a.cpu = Cpu::WithoutGibPages,
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-soft",
        summary: "the CPU has no SHA-NI",
        arrange: |a| a.cpu = Cpu::WithoutShaNi,
        damage: untouched,
        expect: boots_with(EngineId::Soft, &["verifying "]),
    },
    Case {
        name: "sound-soft-asked-for",
        summary: "the portable engine was asked for",
        arrange: |a| a.engine = EngineChoice::Only(EngineId::Soft),
        damage: untouched,
        expect: boots_with(EngineId::Soft, &["verifying "]),
    },
    Case {
        name: "sound-engine-lost",
        summary: "the machine was moved after loading to a CPU without SHA-NI",
        arrange: |a| (a.built_on, a.cpu) = (Some(Cpu::Full), Cpu::WithoutShaNi),
        damage: untouched,
        expect: boots_with(EngineId::Soft, &["verifying ", "verdict 0x0 ok", "report ok,engine:soft"]),
    },
    Case {
        name: "sound-4k-leaves",
        summary: "leaves are as small as they can be",
        arrange: |a| a.leaf_size = 4096,
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-64m-leaves",
        summary: "leaves are as large as they can be",
        arrange: |a| a.leaf_size = 64 << 20,
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-rewritten",
        summary: "the kernel has rewritten the elfcorehdr",
        arrange: |a| a.steps = vec![StepKind::Rewrite],
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-rewritten-100-cpus",
        summary: "the kernel has rewritten the elfcorehdr for 100 possible CPUs",
        arrange: |a| (a.possible_cpus, a.steps) = (100, vec![StepKind::Rewrite]),
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-rewritten-8192-cpus",
        summary: "the kernel has rewritten the elfcorehdr for 8192 possible CPUs",
        arrange: |a| (a.possible_cpus, a.steps) = (8192, vec![StepKind::Rewrite]),
        damage: untouched,
        expect: boots(&["verifying "]),
    },
    Case {
        name: "sound-silent",
        summary: "no console was asked for",
        arrange: |a| a.console = None,
        damage: untouched,
        expect: boots(&[]),
    },
    Case {
        name: "sound-uart-absent",
        summary: "there is no UART at the console's port",
        arrange: |a| a.console = Some(ABSENT),
        damage: untouched,
        expect: boots(&[]),
    },
    Case {
        name: "sound-uart-stuck",
        summary: "the UART never takes a byte",
        arrange: |a| a.stuck_console = true,
        damage: untouched,
        expect: boots(&[]),
    },
    Case {
        name: "uart-absent-initrd",
        summary: "there is no UART at the console's port, and a bit of the initrd was flipped",
        arrange: |a| a.console = Some(ABSENT),
        damage: flip_initrd,
        expect: resets_in_silence(),
    },
    Case {
        name: "uart-stuck-initrd",
        summary: "the UART never takes a byte, and a bit of the initrd was flipped",
        arrange: |a| a.stuck_console = true,
        damage: flip_initrd,
        expect: resets_in_silence(),
    },
    Case {
        name: "uart-stuck-halt",
        summary: "the UART never takes a byte, a bit of the initrd was flipped, and the policy is to halt",
        arrange: |a| (a.stuck_console, a.on_corrupt) = (true, OnCorrupt::Halt),
        damage: flip_initrd,
        expect: Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::Halted },
    },
];

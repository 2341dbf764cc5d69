//! Sound images on every kind of machine; and broken consoles, which change only what is printed.

use handoff::{EngineId, OnCorrupt, Verdict};
use loader::request::EngineChoice;
use orders::{Step, Tables};

use crate::bare::case::{
    ABSENT, Case, Cpu, Ended, Expect, Reported, SOUND, flip_initrd, ordinary, rows, untouched,
};

const fn boots(says: &'static [&'static str]) -> Expect {
    Expect::sound(says)
}

const fn boots_with(engine: EngineId, says: &'static [&'static str]) -> Expect {
    Expect {
        verdict: Verdict::Ok,
        says,
        ended: Ended::Booted(Reported { engine: Some(engine), ..SOUND }),
    }
}

const fn resets_in_silence() -> Expect {
    Expect::reset(Verdict::SegmentCorrupt, &[])
}

pub const CASES: &[Case] = rows! {
    "sound": "nothing is wrong, entered as by Linux 6.12: GDT and IDT are invalid",
        ordinary, untouched,
        boots_with(EngineId::ShaNi, &["verifying ", "verdict 0x0 ok", "report ok,engine:sha-ni"]);
    "sound-own-tables": "nothing is wrong, entered as by Linux 7.2: GDT and IDT are the kernel's",
        |a| a.tables = Tables::Own, untouched, boots(&["verifying "]);
    "sound-la57": "five levels of page tables are in use",
        |a| (a.cpu, a.la57) = (Cpu::La57, true), untouched, boots(&["verifying "]);
    "sound-la57-own-tables":
        "five levels of page tables are in use, with the kernel's own GDT and IDT",
        |a| (a.cpu, a.la57, a.tables) = (Cpu::La57, true, Tables::Own), untouched,
        boots(&["verifying "]);
    "sound-2m-pages": "the CPU has no 1 GiB pages",
        |a| a.cpu = Cpu::WithoutGibPages, untouched, boots(&["verifying "]);
    "sound-soft": "the CPU has no SHA-NI",
        |a| a.cpu = Cpu::WithoutShaNi, untouched, boots_with(EngineId::Soft, &["verifying "]);
    "sound-soft-asked-for": "the portable engine was asked for",
        |a| a.engine = EngineChoice::Only(EngineId::Soft), untouched,
        boots_with(EngineId::Soft, &["verifying "]);
    "sound-engine-lost": "the machine was moved after loading to a CPU without SHA-NI",
        |a| (a.built_on, a.cpu) = (Some(Cpu::Full), Cpu::WithoutShaNi), untouched,
        boots_with(EngineId::Soft, &["verifying ", "verdict 0x0 ok", "report ok,engine:soft"]);
    "sound-4k-leaves": "leaves are as small as they can be",
        |a| a.leaf_size = 4096, untouched, boots(&["verifying "]);
    "sound-64m-leaves": "leaves are as large as they can be",
        |a| a.leaf_size = 64 << 20, untouched, boots(&["verifying "]);
    "sound-rewritten": "the kernel has rewritten the elfcorehdr",
        |a| a.steps = vec![Step::Rewrite], untouched, boots(&["verifying "]);
    "sound-rewritten-100-cpus": "the kernel has rewritten the elfcorehdr for 100 possible CPUs",
        |a| (a.possible_cpus, a.steps) = (100, vec![Step::Rewrite]), untouched,
        boots(&["verifying "]);
    "sound-rewritten-8192-cpus": "the kernel has rewritten the elfcorehdr for 8192 possible CPUs",
        |a| (a.possible_cpus, a.steps) = (8192, vec![Step::Rewrite]), untouched,
        boots(&["verifying "]);
    "sound-silent": "no console was asked for",
        |a| a.console = None, untouched, boots(&[]);
    "sound-uart-absent": "there is no UART at the console's port",
        |a| a.console = Some(ABSENT), untouched, boots(&[]);
    "sound-uart-stuck": "the UART never takes a byte",
        |a| a.stuck_console = true, untouched, boots(&[]);
    "uart-absent-initrd":
        "there is no UART at the console's port, and a bit of the initrd was flipped",
        |a| a.console = Some(ABSENT), flip_initrd, resets_in_silence();
    "uart-stuck-initrd": "the UART never takes a byte, and a bit of the initrd was flipped",
        |a| a.stuck_console = true, flip_initrd, resets_in_silence();
    "uart-stuck-halt":
        "the UART never takes a byte, a bit of the initrd was flipped, and the policy is to halt",
        |a| (a.stuck_console, a.on_corrupt) = (true, OnCorrupt::Halt), flip_initrd,
        Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::Halted };
};

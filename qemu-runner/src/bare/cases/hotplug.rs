//! Other CPUs, NMIs, and CPUs and memory that come and go before the panic: with a sound image,
//! then with a damaged one.

use handoff::report::Elfcorehdr;
use handoff::{EngineId, RegionKind, Verdict};
use loader::request::EngineChoice;
use orders::StepKind::{CpuAdded, CpuRemoved, MemoryAdded, MemoryRemoved, Rewrite};
use orders::orders::{Nmi, Tables};

use crate::bare::case::{
    Arrangement, Case, Cpu, Ended, Expect, LONG_INITRD_LEN, Nmis, Reported, SOUND, rows, untouched,
};
use crate::bare::memory::Memory;

macro_rules! boots {
    ($($name:literal, $nmis:ident, $summary:literal, $arrange:expr;)+) => {
        &[$(Case {
            name: $name,
            summary: $summary,
            arrange: |arrangement: &mut Arrangement| {
                let arrange: fn(&mut Arrangement) = $arrange;
                arrange(arrangement);
            },
            damage: untouched,
            expect: Expect {
                verdict: Verdict::Ok,
                says: &["verifying ", "verdict 0x0 ok"],
                ended: Ended::Booted(Reported { nmis: Nmis::$nmis, ..SOUND }),
            },
        }),+]
    };
}

/// So many possible CPUs that with PT_NOTEs for them and for vmcoreinfo, and PT_LOADs for the text
/// and for RAM below and above the crash region, the elfcorehdr fills a page, which without
/// `--hotplug` is all that it gets.
const FILL_A_PAGE: u32 = (4096 - 64) / 56 - 4;
const _: () = assert!(64 + 56 * (FILL_A_PAGE + 4) == 4096);

pub const CASES: &[Case] = boots! {
    "panic-on-another-cpu", None, "another CPU than the one that booted panics", |a| a.panic_cpu = 1;
    "panic-on-another-cpu-own-tables", None, "another CPU panics, with the kernel's own GDT and IDT",
        |a| (a.panic_cpu, a.tables) = (1, Tables::Own);
    "panic-on-another-cpu-la57", None, "another CPU panics, with five levels of page tables",
        |a| (a.panic_cpu, a.cpu, a.la57) = (1, Cpu::La57, true);
    "nmi-latched", None, "the panic happens in the NMI handler and another NMI is latched: it reaches the capture kernel",
        |a| a.nmi = Nmi::Latched;
    "nmi-latched-la57", None, "another CPU panics in its NMI handler, with five levels of page tables and an NMI latched",
        |a| (a.panic_cpu, a.nmi, a.cpu, a.la57, a.tables) = (1, Nmi::Latched, Cpu::La57, true, Tables::Own);
    "nmi-storm", Some, "a CPU that cannot be stopped sends NMIs without end",
        |a| (a.nmi, a.engine, a.initrd_len) = (Nmi::Storm, EngineChoice::Only(EngineId::Soft), LONG_INITRD_LEN);
    "nmi-storm-on-another-cpu", Some, "a CPU that cannot be stopped sends NMIs without end to another that panics",
        |a| {
            (a.panic_cpu, a.nmi) = (1, Nmi::Storm);
            (a.engine, a.initrd_len) = (EngineChoice::Only(EngineId::Soft), LONG_INITRD_LEN);
        };
    "memory-added", None, "a DIMM was hot-added after loading", |a| a.steps = vec![MemoryAdded];
    "memory-added-twice", None, "two DIMMs were hot-added after loading", |a| a.steps = vec![MemoryAdded, MemoryAdded];
    "memory-removed", None, "two DIMMs were hot-added and one was removed", |a| a.steps = vec![MemoryAdded, MemoryAdded, MemoryRemoved];
    "memory-added-without-room", None, "a DIMM was hot-added for which the elfcorehdr has no room: the older one stays",
        |a| (a.possible_cpus, a.hotplug, a.steps) = (FILL_A_PAGE, false, vec![Rewrite, MemoryAdded]);
    "memory-removed-rewritten", None, "a DIMM was hot-added and removed, and the elfcorehdr rewritten once more: without it",
        |a| a.steps = vec![MemoryAdded, MemoryAdded, MemoryRemoved, Rewrite];
    "cpu-added", None, "a CPU was hot-added after loading", |a| (a.possible_cpus, a.steps) = (4, vec![CpuAdded]);
    "cpu-added-panics", None, "a CPU was hot-added after loading, and panics",
        |a| (a.possible_cpus, a.steps, a.panic_cpu) = (4, vec![CpuAdded], 2);
    "cpu-removed", None, "a CPU was hot-added and removed again", |a| (a.possible_cpus, a.steps) = (4, vec![CpuAdded, CpuRemoved]);
    "everything-added", None, "two DIMMs and a CPU were hot-added, one DIMM was removed, and the new CPU panics",
        |a| (a.possible_cpus, a.panic_cpu, a.steps) = (4, 2, vec![MemoryAdded, CpuAdded, MemoryAdded, MemoryRemoved]);
};

const fn corrupt() -> Expect {
    Expect {
        verdict: Verdict::SegmentCorrupt,
        says: &["initrd is corrupt at {initrd}-"],
        ended: Ended::Reset,
    }
}

/// The older header is better than none: it does not know what was added.
const fn restored() -> Expect {
    let reported = Reported { elfcorehdr: Elfcorehdr::Restored, ..SOUND };
    let says = &[
        "elfcorehdr was broken (not the identification of a 64-bit ELF file); restored",
        "verdict 0x0 ok",
    ];
    Expect { verdict: Verdict::Ok, says, ended: Ended::Booted(reported) }
}

fn flip_initrd(memory: &mut Memory) {
    memory.region(RegionKind::Initrd)[0] ^= 1;
}

fn break_elfcorehdr(memory: &mut Memory) {
    memory.elfcorehdr()[0] ^= 1;
}

/// Nothing of it is an excuse for damage.
pub const DAMAGED: &[Case] = rows! {
    "memory-added-and-initrd": "a DIMM was hot-added, and then a bit of the initrd was flipped",
        |arrangement| arrangement.steps = vec![MemoryAdded], flip_initrd, corrupt();
    "memory-added-and-elfcorehdr":
        "a DIMM was hot-added, and then the elfcorehdr was broken: the copy made at load is put back",
        |arrangement| arrangement.steps = vec![MemoryAdded], break_elfcorehdr, restored();
    "cpu-added-and-elfcorehdr":
        "a CPU was hot-added, and then the elfcorehdr was broken: the copy made at load is put back",
        |arrangement| (arrangement.possible_cpus, arrangement.steps) = (4, vec![CpuAdded]), break_elfcorehdr,
        restored();
    "panic-on-another-cpu-and-initrd": "another CPU panics, and a bit of the initrd was flipped",
        |arrangement| arrangement.panic_cpu = 1, flip_initrd, corrupt();
    "nmi-storm-and-initrd":
        "a CPU that cannot be stopped sends NMIs without end, and a bit of the initrd was flipped",
        |arrangement| arrangement.nmi = Nmi::Storm, flip_initrd, corrupt();
};

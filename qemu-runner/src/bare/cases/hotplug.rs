//! Other CPUs, NMIs, and CPUs and memory that come and go before the panic: with a sound image,
//! then with a damaged one.

use handoff::{EngineId, Verdict};
use loader::request::EngineChoice;
use orders::Step::{CpuAdded, CpuRemoved, MemoryAdded, MemoryRemoved, Rewrite};
use orders::{Nmi, Tables};

use crate::bare::case::{
    Arrangement, Case, Cpu, Ended, Expect, LONG_INITRD_LEN, Reported, SOUND, flip_initrd, rows,
    untouched,
};
use crate::bare::memory::Memory;

macro_rules! boots {
    ($($name:literal, $nmis:literal, $summary:literal, $arrange:expr;)+) => {
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
                ended: Ended::Booted(Reported { nmis: $nmis, ..SOUND }),
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
    "panic-on-another-cpu", false, "another CPU than the one that booted panics",
        |a| a.panic_cpu = 1;
    "panic-on-another-cpu-own-tables", false,
        "another CPU panics, with the kernel's own GDT and IDT",
        |a| (a.panic_cpu, a.tables) = (1, Tables::Own);
    "panic-on-another-cpu-la57", false, "another CPU panics, with five levels of page tables",
        |a| (a.panic_cpu, a.cpu, a.la57) = (1, Cpu::La57, true);
    "nmi-latched", false,
        "the panic happens in the NMI handler and another NMI is latched: it reaches the capture \
         kernel",
        |a| a.nmi = Nmi::Latched;
    "nmi-latched-la57", false,
        "another CPU panics in its NMI handler, with five levels of page tables and an NMI latched",
        |a| {
            (a.cpu, a.la57, a.tables) = (Cpu::La57, true, Tables::Own);
            (a.panic_cpu, a.nmi) = (1, Nmi::Latched);
        };
    "nmi-storm", true, "a CPU that cannot be stopped sends NMIs without end",
        |a| {
            a.nmi = Nmi::Storm;
            (a.engine, a.initrd_len) = (EngineChoice::Only(EngineId::Soft), LONG_INITRD_LEN);
        };
    "nmi-storm-on-another-cpu", true,
        "a CPU that cannot be stopped sends NMIs without end to another that panics",
        |a| {
            (a.panic_cpu, a.nmi) = (1, Nmi::Storm);
            (a.engine, a.initrd_len) = (EngineChoice::Only(EngineId::Soft), LONG_INITRD_LEN);
        };
    "memory-added", false, "a DIMM was hot-added after loading", |a| a.steps = vec![MemoryAdded];
    "memory-added-twice", false, "two DIMMs were hot-added after loading",
        |a| a.steps = vec![MemoryAdded, MemoryAdded];
    "memory-removed", false, "two DIMMs were hot-added and one was removed",
        |a| a.steps = vec![MemoryAdded, MemoryAdded, MemoryRemoved];
    "memory-added-without-room", false,
        "a DIMM was hot-added for which the elfcorehdr has no room: the older one stays",
        |a| {
            (a.possible_cpus, a.hotplug) = (FILL_A_PAGE, false);
            a.steps = vec![Rewrite, MemoryAdded];
        };
    "memory-removed-rewritten", false,
        "a DIMM was hot-added and removed, and the elfcorehdr rewritten once more: without it",
        |a| a.steps = vec![MemoryAdded, MemoryAdded, MemoryRemoved, Rewrite];
    "cpu-added", false, "a CPU was hot-added after loading",
        |a| (a.possible_cpus, a.steps) = (4, vec![CpuAdded]);
    "cpu-added-panics", false, "a CPU was hot-added after loading, and panics",
        |a| (a.possible_cpus, a.steps, a.panic_cpu) = (4, vec![CpuAdded], 2);
    "cpu-removed", false, "a CPU was hot-added and removed again",
        |a| (a.possible_cpus, a.steps) = (4, vec![CpuAdded, CpuRemoved]);
    "everything-added", false,
        "two DIMMs and a CPU were hot-added, one DIMM was removed, and the new CPU panics",
        |a| {
            (a.possible_cpus, a.panic_cpu) = (4, 2);
            a.steps = vec![MemoryAdded, CpuAdded, MemoryAdded, MemoryRemoved];
        };
};

const CORRUPT: Expect = Expect::reset(Verdict::SegmentCorrupt, &["initrd is corrupt at {initrd}-"]);

/// The older header is better than none: it does not know what was added.
const RESTORED: Expect = Expect::restored(&[
    "elfcorehdr was broken (not the identification of a 64-bit ELF file); restored",
    "verdict 0x0 ok",
]);

fn break_elfcorehdr(memory: &mut Memory) {
    memory.elfcorehdr()[0] ^= 1;
}

/// Nothing of it is an excuse for damage.
pub const DAMAGED: &[Case] = rows! {
    "memory-added-and-initrd": "a DIMM was hot-added, and then a bit of the initrd was flipped",
        |arrangement| arrangement.steps = vec![MemoryAdded], flip_initrd, CORRUPT;
    "memory-added-and-elfcorehdr":
        "a DIMM was hot-added, and then the elfcorehdr was broken: the copy made at load is put \
         back",
        |arrangement| arrangement.steps = vec![MemoryAdded], break_elfcorehdr, RESTORED;
    "cpu-added-and-elfcorehdr":
        "a CPU was hot-added, and then the elfcorehdr was broken: the copy made at load is put \
         back",
        |arrangement| (arrangement.possible_cpus, arrangement.steps) = (4, vec![CpuAdded]),
        break_elfcorehdr,
        RESTORED;
    "panic-on-another-cpu-and-initrd": "another CPU panics, and a bit of the initrd was flipped",
        |arrangement| arrangement.panic_cpu = 1, flip_initrd, CORRUPT;
    "nmi-storm-and-initrd":
        "a CPU that cannot be stopped sends NMIs without end, and a bit of the initrd was flipped",
        |arrangement| arrangement.nmi = Nmi::Storm, flip_initrd, CORRUPT;
};

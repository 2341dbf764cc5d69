//! Exceptions inside the purgatory, mostly raised by code that overwrites its first function.

use handoff::Verdict;

use crate::bare::case::{Case, Ended, Expect, ordinary, rows};
use crate::bare::memory::Memory;

/// Part of the name of the purgatory's first Rust function, which entry.S calls once exceptions are
/// handled.
const STORY: &str = "story4tell";

fn instead_of_the_story(memory: &mut Memory, code: &[u8]) {
    let at = memory.function(STORY);
    memory.at(at, code.len()).copy_from_slice(code);
}

/// Overwrites what comes after the stack's guard was set: the first function that is called then.
fn after_the_guard(memory: &mut Memory, code: &[u8]) {
    let at = memory.function("received7receive");
    memory.at(at, code.len()).copy_from_slice(code);
}

const fn raised(says: &'static [&'static str]) -> Expect {
    Expect { verdict: Verdict::Exception, says, ended: Ended::Reset }
}

/// `movabs $0x8000000000000, %rax`: not canonical with four levels of page tables.
const NOT_CANONICAL: &[u8] = b"\x48\xb8\x00\x00\x00\x00\x00\x00\x08\x00\x8b\x00";
/// `mov $0xfee00000, %eax; mov (%rax), %eax`: the local APIC, which the kernel's identity map
/// leaves out.
const NOT_MAPPED: &[u8] = b"\xb8\x00\x00\xe0\xfe\x8b\x00";
/// `xor %ecx, %ecx; div %ecx`.
const DIVIDE_BY_ZERO: &[u8] = b"\x31\xc9\xf7\xf1";
const UNDEFINED: &[u8] = b"\x0f\x0b";
const BREAKPOINT: &[u8] = b"\xcc";
/// `mov $0xfee01000, %esp; push %rax`: a stack that is not mapped.
const LOST_STACK: &[u8] = b"\xbc\x00\x10\xe0\xfe\x50";
/// `1: push %rax; jmp 1b`: a stack that grows without end.
const ENDLESS_STACK: &[u8] = b"\x50\xeb\xfd";

pub const CASES: &[Case] = rows! {
    "exception-divide": "#DE is raised inside the purgatory",
        ordinary, |memory| instead_of_the_story(memory, DIVIDE_BY_ZERO),
        raised(&[
            "exception 0 error 0x0 at rip {@story4tell+2} (purgatory+{#story4tell+2}) rsp ",
            "verdict 0x40 exception",
        ]);
    "exception-breakpoint": "#BP is raised inside the purgatory",
        ordinary, |memory| instead_of_the_story(memory, BREAKPOINT),
        raised(&[
            "exception 3 error 0x0 at rip {@story4tell+1} (purgatory+{#story4tell+1}) rsp ",
            "verdict 0x40 exception",
        ]);
    "exception-undefined": "#UD is raised inside the purgatory",
        ordinary, |memory| instead_of_the_story(memory, UNDEFINED),
        raised(&["exception 6 error 0x0 at rip {@story4tell} (purgatory+{#story4tell}) rsp ", "verdict 0x40 exception"]);
    "exception-double-fault":
        "#DE is raised while its gate in the IDT is not present, which makes it #DF",
        ordinary,
        |memory| {
            // movabs $gate + 5, %rax; movb $0, (%rax): the gate's P bit; then divide.
            let gate = memory.symbol("idt") + 5;
            let code = [b"\x48\xb8".as_slice(), &gate.to_le_bytes(), b"\xc6\x00\x00", DIVIDE_BY_ZERO].concat();
            instead_of_the_story(memory, &code);
        },
        raised(&[
            "exception 8 error 0x0 at rip {@story4tell+f} (purgatory+{#story4tell+f}) rsp ",
            "verdict 0x40 exception",
        ]);
    "exception-general-protection": "#GP is raised inside the purgatory",
        ordinary, |memory| instead_of_the_story(memory, NOT_CANONICAL),
        raised(&[
            "exception 13 error 0x0 at rip {@story4tell+a} (purgatory+{#story4tell+a}) rsp ",
            "verdict 0x40 exception",
        ]);
    "exception-page-fault": "#PF is raised inside the purgatory",
        ordinary, |memory| instead_of_the_story(memory, NOT_MAPPED),
        raised(&["exception 14 error 0x0 at rip {@story4tell+5} … cr2 0xfee00000", "verdict 0x40 exception"]);
    "exception-lost-stack": "RSP points to memory that is not mapped",
        ordinary, |memory| instead_of_the_story(memory, LOST_STACK),
        raised(&[
            "exception 14 error 0x2 at rip {@story4tell+5} (purgatory+{#story4tell+5}) rsp 0xfee01000 cr2 0xfee00ff8",
            "verdict 0x40 exception",
        ]);
    "exception-stack-guard": "the stack overruns into its guard",
        ordinary, |memory| after_the_guard(memory, ENDLESS_STACK),
        raised(&[
            "exception 1 error 0x0 at rip {@received7receive+1} … cr2 …: stack overflow",
            "verdict 0x40 exception",
        ]);
    "exception-twice":
        "another exception is raised while the first is reported: it resets in silence, at once",
        |arrangement| arrangement.reset_delay_ms = 0,
        |memory| {
            instead_of_the_story(memory, DIVIDE_BY_ZERO);
            let handler = memory.function("stop9exception");
            memory.at(handler, UNDEFINED.len()).copy_from_slice(UNDEFINED);
        },
        Expect { verdict: Verdict::Exception, says: &[], ended: Ended::TripleFault };
    "exception-leaf-table-not-mapped":
        "the crash region and the leaf table are said to lie where nothing is mapped",
        ordinary,
        |memory| {
            memory.edit_block(|block| {
                let far = 1_u64 << 38;
                block.crash_region.len = (far * 2).into();
                block.purgatory.len = far.into();
                block.phys_limit = (1 << 40).into();
                block.leaf_table.start = (block.purgatory.start.get() + far / 2).into();
            });
        },
        raised(&["exception 14 error 0x0 at rip … cr2 {purgatory+2000000000}", "verdict 0x40 exception"]);
};

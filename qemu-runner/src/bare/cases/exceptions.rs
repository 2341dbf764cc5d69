//! Exceptions inside the purgatory, mostly raised by code that overwrites its first function.

use handoff::Verdict;

use crate::bare::case::{Case, Expect, ordinary, rows};

/// Part of the name of the purgatory's first Rust function, which entry.S calls once exceptions are
/// handled.
const STORY: &str = "story4tell";
/// The first function that is called after the stack's guard was set.
const AFTER_THE_GUARD: &str = "received7receive";

const fn raised(says: &'static [&'static str]) -> Expect {
    Expect::reset(Verdict::Exception, says)
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

const VERDICT: &str = "verdict 0x40 exception";

pub const CASES: &[Case] = rows! {
    "exception-divide": "#DE is raised inside the purgatory",
        ordinary, |memory| memory.overwrite(STORY, DIVIDE_BY_ZERO),
        raised(&[
            "exception 0 error 0x0 at rip {@story4tell+2} (purgatory+{#story4tell+2}) rsp ",
            VERDICT,
        ]);
    "exception-breakpoint": "#BP is raised inside the purgatory",
        ordinary, |memory| memory.overwrite(STORY, BREAKPOINT),
        raised(&[
            "exception 3 error 0x0 at rip {@story4tell+1} (purgatory+{#story4tell+1}) rsp ",
            VERDICT,
        ]);
    "exception-undefined": "#UD is raised inside the purgatory",
        ordinary, |memory| memory.overwrite(STORY, UNDEFINED),
        raised(&[
            "exception 6 error 0x0 at rip {@story4tell} (purgatory+{#story4tell}) rsp ",
            VERDICT,
        ]);
    "exception-double-fault":
        "#DE is raised while its gate in the IDT is not present, which makes it #DF",
        ordinary,
        |memory| {
            // movabs $gate + 5, %rax; movb $0, (%rax): the gate's P bit; then divide.
            let gate = memory.symbol("idt") + 5;
            let gate = gate.to_le_bytes();
            let code = [b"\x48\xb8", &gate[..], b"\xc6\x00\x00", DIVIDE_BY_ZERO].concat();
            memory.overwrite(STORY, &code);
        },
        raised(&[
            "exception 8 error 0x0 at rip {@story4tell+f} (purgatory+{#story4tell+f}) rsp ",
            VERDICT,
        ]);
    "exception-general-protection": "#GP is raised inside the purgatory",
        ordinary, |memory| memory.overwrite(STORY, NOT_CANONICAL),
        raised(&[
            "exception 13 error 0x0 at rip {@story4tell+a} (purgatory+{#story4tell+a}) rsp ",
            VERDICT,
        ]);
    "exception-page-fault": "#PF is raised inside the purgatory",
        ordinary, |memory| memory.overwrite(STORY, NOT_MAPPED),
        raised(&["exception 14 error 0x0 at rip {@story4tell+5} … cr2 0xfee00000", VERDICT]);
    "exception-lost-stack": "RSP points to memory that is not mapped",
        ordinary, |memory| memory.overwrite(STORY, LOST_STACK),
        raised(&[
            "exception 14 error 0x2 at rip {@story4tell+5} (purgatory+{#story4tell+5}) rsp \
             0xfee01000 cr2 0xfee00ff8",
            VERDICT,
        ]);
    "exception-stack-guard": "the stack overruns into its guard",
        ordinary, |memory| memory.overwrite(AFTER_THE_GUARD, ENDLESS_STACK),
        raised(&[
            "exception 1 error 0x0 at rip {@received7receive+1} … cr2 …: stack overflow",
            VERDICT,
        ]);
    "exception-twice":
        "another exception is raised while the first is reported: it resets in silence, at once",
        |arrangement| arrangement.reset_delay_ms = 0,
        |memory| {
            memory.overwrite(STORY, DIVIDE_BY_ZERO);
            memory.overwrite("stop9exception", UNDEFINED);
        },
        Expect::triple_fault(Verdict::Exception);
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
        raised(&["exception 14 error 0x0 at rip … cr2 {purgatory+2000000000}", VERDICT]);
};

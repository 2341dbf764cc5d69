//! `[14]` Into the purgatory, in the state in which Linux enters it (`relocate_kernel`,
//! arch/x86/kernel/relocate_kernel_64.S, and `machine_kexec`, machine_kexec_64.c).

use core::arch::{asm, global_asm};

use orders::{Crash, Tables, map};
use x86_64::VirtAddr;
use x86_64::instructions::tables;
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;

use crate::idmap::Identity;
use crate::memory;

/// CR0 in the purgatory: PG, NE, ET, MP, PE; write protection off.
const CR0: u64 = 0x8000_0033;
/// CR4 in the purgatory: PAE.
const CR4_PAE: u64 = 1 << 5;
/// CR4: five levels of page tables.
const CR4_LA57: u64 = 1 << 12;
/// DR7 in the purgatory: nothing is watched, and DR0 to DR3 are 0 (`hw_breakpoint_disable`,
/// arch/x86/include/asm/debugreg.h).
const DR7: u64 = 1 << 10;
/// CR4: SSE exists.
const CR4_OSFXSR: u64 = 1 << 9;
/// CR0: no FPU (EM); an exception at its next instruction (TS). SSE needs both clear.
const CR0_EM_TS: u64 = 1 << 2 | 1 << 3;
/// MXCSR in the purgatory, as a program may have left it: no exception masked, rounding up (SDM
/// vol. 1, "MXCSR control and status register").
const MXCSR: u32 = 0b10 << 13;

/// Offset of the GDT in the control page. The code is at 0. GDT and IDT are like those of Linux
/// 7.2. The stack grows down from the end.
const GDT: u64 = 0x800;
/// Null, 32-bit code, 64-bit code, data: 0x08, 0x10, 0x18.
const GDT_ENTRIES: [u64; 4] =
    [0, 0x00cf_9b00_0000_ffff, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
/// Sixteen trap gates.
const IDT: u64 = 0x900;
const IDT_GATES: u64 = 16;
/// Present, DPL 0, 64-bit trap gate, IST 0 (SDM vol. 3A, "64-bit mode IDT").
const TRAP_GATE: u64 = 0x8f00;
/// Selector of 64-bit code.
const CODE_64: u64 = 0x10;

/// Offset of a GDT for the instructions before the jump: the kernel's, plus a task state segment
/// where Linux has its own.
const OWN_GDT: u64 = 0xb00;
/// `GDT_ENTRY_TSS` * 8 (arch/x86/include/asm/segment.h): the task register's value in the
/// purgatory.
const TSS_SELECTOR: u16 = 0x40;
/// The address of the boot CPU's TSS in Linux: in the CPU entry area (`CPU_ENTRY_AREA_BASE`,
/// arch/x86/include/asm/pgtable_64_types.h) after IDT, GDT and entry stack. Only Linux's page
/// tables map it; here it is not mapped at all.
const TSS_BASE: u64 = 0xffff_fe00_0000_3000;
/// Bytes of a TSS, less one.
const TSS_LIMIT: u64 = 103;
/// Present, DPL 0, available 64-bit TSS (SDM vol. 3A, "TSS descriptor in 64-bit mode").
const TSS_TYPE: u64 = 0x89 << 40;
/// Bytes of that table.
const OWN_GDT_LEN: u64 = TSS_SELECTOR as u64 + 16;
const _: () = assert!(
    IDT + IDT_GATES * 16 <= OWN_GDT && OWN_GDT + OWN_GDT_LEN < 0xe00,
    "the stack needs the rest of the page"
);

global_asm!(
    include_str!("jump.S"),
    CR0 = const CR0,
    CR4_PAE = const CR4_PAE,
    GDT = const GDT,
    GDT_LIMIT = const size_of::<[u64; 4]>() - 1,
    IDT = const IDT,
    IDT_LIMIT = const IDT_GATES * 16 - 1,
    options(att_syntax)
);

unsafe extern "C" {
    static jump_start: u8;
    static jump_stop: u8;
    static jump_end: u8;
}

/// The registers that the purgatory must restore.
#[derive(Debug)]
pub struct State {
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
    pub dr7: u64,
}

/// The kernel's address of the control page's code, and the control page's own in the purgatory's
/// page tables.
pub fn kernel_address() -> u64 {
    let address = (&raw const jump_start).addr() as u64;
    assert_eq!(address, map::KERNEL_TEXT, "kernel.ld puts the jump first");
    address
}

/// Chooses the state, and sets the registers that can be set already.
pub fn state(crash: &Crash<'_>, identity: &Identity) -> State {
    // SAFETY: this only sets bits: it allows system calls, and no-execute pages as before.
    unsafe {
        Efer::update(|efer| {
            *efer |= EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE
        })
    };
    // SAFETY: this only stops watching addresses.
    unsafe {
        asm!(
            "mov dr7, {}", "mov dr0, {zero}", "mov dr1, {zero}", "mov dr2, {zero}",
            "mov dr3, {zero}",
            in(reg) DR7, zero = in(reg) 0_u64, options(nostack, preserves_flags)
        )
    };
    let cr4 = if crash.la57 { CR4_PAE | CR4_LA57 } else { CR4_PAE };
    State { cr0: CR0, cr3: identity.cr3, cr4, efer: Efer::read_raw(), dr7: DR7 }
}

pub fn enter(crash: &Crash<'_>, identity: &Identity, state: &State) -> ! {
    x86_64::instructions::interrupts::disable();
    let page = identity.control_page;
    let (start, stop, end) = (&raw const jump_start, &raw const jump_stop, &raw const jump_end);
    let len = end.addr() - start.addr();
    assert!((len as u64) < GDT, "the jump's code is too long for the control page");
    // SAFETY: the code is between its two symbols in our text.
    memory::write(page, unsafe { core::slice::from_raw_parts(start, len) });
    GDT_ENTRIES
        .iter()
        .enumerate()
        .for_each(|(index, entry)| memory::write_word(page + GDT + index as u64 * 8, *entry));
    let handler = page + (stop.addr() - start.addr()) as u64;
    let gate = handler & 0xffff | CODE_64 << 16 | TRAP_GATE << 32 | (handler >> 16 & 0xffff) << 48;
    for vector in 0..IDT_GATES {
        memory::write_word(page + IDT + vector * 16, gate);
        memory::write_word(page + IDT + vector * 16 + 8, handler >> 32);
    }
    load_task_register(page);
    load_mxcsr();
    let own_tables = u64::from(crash.tables == Tables::Own);
    // SAFETY: jump.S takes exactly these registers, finds the control page mapped in place of
    // itself, and never returns.
    unsafe {
        asm!(
            "jmp {jump_start}",
            jump_start = sym jump_start,
            in("r8") page,
            in("r9") identity.four_levels,
            in("rdi") crash.entry,
            in("rsi") state.cr3,
            in("rdx") state.cr4,
            in("rcx") own_tables,
            options(att_syntax, noreturn)
        )
    }
}

/// Loads the task register as Linux has it, from a GDT in the control page. The kernel uses that
/// GDT from now on.
fn load_task_register(page: u64) {
    let kernels = tables::sgdt();
    let len = u64::from(kernels.limit) + 1;
    assert!(
        len <= u64::from(TSS_SELECTOR),
        "the kernel's GDT has no room for a task state segment at its selector"
    );
    let first: *const u8 = kernels.base.as_ptr();
    // SAFETY: the GDT that is in use has this length, and nothing writes to it.
    memory::write(page + OWN_GDT, unsafe { core::slice::from_raw_parts(first, len as usize) });
    memory::zero(page + OWN_GDT + len, OWN_GDT_LEN - len);
    let low = TSS_LIMIT | (TSS_BASE & 0xff_ffff) << 16 | TSS_TYPE | (TSS_BASE >> 24 & 0xff) << 56;
    memory::write_word(page + OWN_GDT + u64::from(TSS_SELECTOR), low);
    memory::write_word(page + OWN_GDT + u64::from(TSS_SELECTOR) + 8, TSS_BASE >> 32);
    let base = VirtAddr::from_ptr(memory::direct(page + OWN_GDT));
    // SAFETY: it is mapped, and every loaded selector has the same descriptor as before.
    unsafe { tables::lgdt(&DescriptorTablePointer { limit: OWN_GDT_LEN as u16 - 1, base }) };
    // SAFETY: the descriptor is an available task state segment. The CPU never reads the segment:
    // no gate of ours switches stacks, and the privilege level does not change.
    unsafe { tables::load_tss(SegmentSelector(TSS_SELECTOR)) };
}

/// Sets MXCSR as a program might have left it: the purgatory must not rely on it.
fn load_mxcsr() {
    let value = MXCSR;
    // SAFETY: the kernel is compiled without SSE, and jump.S sets CR0 and CR4 again.
    unsafe {
        asm!(
            "mov {0}, cr0", "and {0}, {not_em_ts}", "mov cr0, {0}",
            "mov {0}, cr4", "or {0}, {osfxsr}", "mov cr4, {0}",
            "ldmxcsr [{1}]",
            out(reg) _, in(reg) &raw const value,
            not_em_ts = const !CR0_EM_TS as i32, osfxsr = const CR4_OSFXSR,
            options(nostack, readonly)
        )
    };
}

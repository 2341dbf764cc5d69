//! [13] Into the purgatory, in the state in which Linux enters it (`relocate_kernel`, arch/x86/kernel/relocate_kernel_64.S, and
//! `machine_kexec`, machine_kexec_64.c).

use core::arch::{asm, global_asm};

use orders::map;
use orders::orders::Tables;
use x86_64::registers::model_specific::{Efer, EferFlags};

use crate::idmap::Identity;
use crate::memory;
use crate::ramdisk::Crash;

/// CR0 in the purgatory: PG, NE, ET, MP, PE; write protection off.
const CR0: u64 = 0x8000_0033;
/// CR4 in the purgatory: PAE.
const CR4_PAE: u64 = 1 << 5;
/// CR4: five levels of page tables.
const CR4_LA57: u64 = 1 << 12;
/// DR7 in the purgatory: nothing is watched (`hw_breakpoint_disable`).
const DR7: u64 = 1 << 10;

/// Where the control page's parts are: the code, at 0; a GDT and an IDT like those of Linux 7.2; and the stack, down from the
/// end.
const GDT: u64 = 0x800;
/// Null, 32-bit code, 64-bit code, data: 0x08, 0x10, 0x18.
const GDT_ENTRIES: [u64; 4] = [0, 0x00cf_9b00_0000_ffff, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
/// Sixteen trap gates.
const IDT: u64 = 0x900;
const IDT_GATES: u64 = 16;
/// Present, DPL 0, 64-bit trap gate, IST 0 (SDM vol. 3A, "64-bit mode IDT").
const TRAP_GATE: u64 = 0x8f00;
/// Selector of 64-bit code.
const CODE_64: u64 = 0x10;

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

/// What the registers will hold that the purgatory must not change for good.
#[derive(Debug)]
pub struct State {
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
    pub dr7: u64,
}

/// Where the control page's code lies in the kernel, and the control page itself in the purgatory's page tables.
pub fn kernel_address() -> u64 {
    let address = (&raw const jump_start).addr() as u64;
    assert_eq!(address, map::KERNEL_TEXT, "kernel.ld puts the jump first");
    address
}

/// Decides it, and sets what can be set from here.
pub fn state(crash: &Crash, identity: &Identity) -> State {
    // SAFETY: system calls and no-execute pages are allowed in addition; nothing of ours uses them otherwise.
    unsafe { Efer::update(|efer| *efer |= EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE) };
    // SAFETY: no address is watched from now on.
    unsafe { asm!("mov dr7, {}", in(reg) DR7, options(nostack, preserves_flags)) };
    let cr4 = if crash.la57 { CR4_PAE | CR4_LA57 } else { CR4_PAE };
    State { cr0: CR0, cr3: identity.cr3, cr4, efer: Efer::read_raw(), dr7: DR7 }
}

/// Enters the purgatory.
pub fn enter(crash: &Crash, identity: &Identity, state: &State) -> ! {
    x86_64::instructions::interrupts::disable();
    let page = identity.control_page;
    let (start, stop, end) = (&raw const jump_start, &raw const jump_stop, &raw const jump_end);
    let len = end.addr() - start.addr();
    assert!((len as u64) < GDT, "the jump's code is too long for the control page");
    // SAFETY: the code lies between its two symbols in our text.
    memory::write(page, unsafe { core::slice::from_raw_parts(start, len) });
    GDT_ENTRIES.iter().enumerate().for_each(|(index, entry)| memory::write_word(page + GDT + index as u64 * 8, *entry));
    let handler = page + (stop.addr() - start.addr()) as u64;
    let gate = handler & 0xffff | CODE_64 << 16 | TRAP_GATE << 32 | (handler >> 16 & 0xffff) << 48;
    for vector in 0..IDT_GATES {
        memory::write_word(page + IDT + vector * 16, gate);
        memory::write_word(page + IDT + vector * 16 + 8, handler >> 32);
    }
    let own_tables = u64::from(crash.tables == Tables::Own);
    // SAFETY: jump.S wants exactly these registers, finds the control page mapped in place of itself, and does not come back.
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

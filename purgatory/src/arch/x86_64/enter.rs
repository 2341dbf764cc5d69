//! `[7]` The jump into a kernel with all registers as the host's loader chose them.

use core::arch::{asm, global_asm};
use core::mem::offset_of;

/// The seventeen registers with which the next kernel is entered, in the order of their encoding.
/// Each host has its own order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names are the registers'")]
pub struct Registers {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// R8 to R15.
    pub r8_to_r15: [u64; 8],
    pub rip: u64,
}

global_asm!(
    include_str!("enter.S"),
    RAX = const offset_of!(Registers, rax),
    RCX = const offset_of!(Registers, rcx),
    RDX = const offset_of!(Registers, rdx),
    RBX = const offset_of!(Registers, rbx),
    RSP = const offset_of!(Registers, rsp),
    RBP = const offset_of!(Registers, rbp),
    RSI = const offset_of!(Registers, rsi),
    RDI = const offset_of!(Registers, rdi),
    R8_TO_R15 = const offset_of!(Registers, r8_to_r15),
    RIP = const offset_of!(Registers, rip),
    options(att_syntax)
);

/// Enters the next kernel with CR0 and CR4 as they were on entry, and never returns.
pub fn enter(registers: &Registers) -> ! {
    // SAFETY: the regions that the host lists were verified. The host alone says where the kernel
    // begins, as it does for its own purgatory. enter.S needs only the control registers that
    // entry.S saved.
    unsafe { asm!("jmp enter", in("rdi") registers, options(att_syntax, noreturn)) }
}

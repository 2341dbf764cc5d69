//! `[1]` Hands `entry.S` its constants.

use core::arch::global_asm;

/// Code segment selector that boot.rst asks for (__BOOT_CS) and that the kernel's own GDT uses.
pub const BOOT_CS: u16 = 0x10;
/// Data segment selector that boot.rst asks for (__BOOT_DS).
pub const BOOT_DS: u16 = 0x18;

/// Selector of our task state segment, after those two. Its descriptor takes two entries.
pub const TSS_SELECTOR: u16 = 0x20;
/// Bytes of a 64-bit task state segment without an I/O permission map (SDM vol. 3A, "64-bit task
/// state segment").
pub const TSS_SIZE: u16 = 104;
/// Offset in it of the first stack of the interrupt stack table.
pub const TSS_IST1: u16 = 36;
/// CR0.MP: WAIT and FWAIT honor TS (SDM vol. 3A, "Control registers").
pub const CR0_MP: u64 = 1 << 1;
/// CR0.EM: no FPU; SSE instructions raise #UD.
pub const CR0_EM: u64 = 1 << 2;
/// CR0.TS: SSE instructions raise #NM.
pub const CR0_TS: u64 = 1 << 3;
/// CR4.OSFXSR: SSE instructions exist. The kernel leaves it off (relocate_kernel_64.S).
pub const CR4_OSFXSR: u64 = 1 << 9;
/// CR4.OSXMMEXCPT: unmasked SIMD exceptions raise #XM instead of #UD.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// CR4.MCE: machine checks are delivered. Without it the CPU shuts down on one, which resets the
/// machine without a message. The kernel leaves it off, except in a TDX guest, where it is always
/// on (relocate_kernel_64.S). No confidential guest faults on this write: an SEV-ES guest exits
/// after writing CR4, without #VC (AMD APM vol. 2, "Types of exits"), and a TDX module rejects only
/// clearing the bit.
pub const CR4_MCE: u64 = 1 << 6;
/// MXCSR after reset: all exceptions masked, round to nearest (SDM vol. 1, "MXCSR control and
/// status register").
pub const MXCSR_RESET: u32 = 0x1f80;

global_asm!(
    include_str!("entry.S"),
    BOOT_CS = const BOOT_CS,
    BOOT_DS = const BOOT_DS,
    TSS_SELECTOR = const TSS_SELECTOR,
    TSS_SIZE = const TSS_SIZE,
    TSS_IST1 = const TSS_IST1,
    NMI = const super::trap::NMI,
    CR0_MP = const CR0_MP,
    CR0_NOT_EM_TS = const !(CR0_EM | CR0_TS) as i32,
    CR4_ON = const CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_MCE,
    MXCSR_RESET = const MXCSR_RESET,
    STUB_SIZE = const super::trap::STUB_SIZE,
    VECTORS = const super::trap::VECTORS,
    nmis = sym super::trap::NMIS,
    tell = sym crate::arch::purgatory_tell,
    options(att_syntax)
);

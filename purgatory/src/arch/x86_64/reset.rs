//! `[8]` Ways to reset or halt the machine.

use core::arch::asm;

use handoff::Permissions;

use super::cpu::wait;
use super::serial::outb;

/// The reset control register of Intel chipsets since the PIIX3, which QEMU emulates.
const RESET_CONTROL: u16 = 0xcf9;
/// RESET_CONTROL: the next pulse is a hard reset.
const SYSTEM_RESET: u8 = 1 << 1;
/// RESET_CONTROL: pulse.
const RESET_CPU: u8 = 1 << 2;
/// Command port of the keyboard controller, whose output 0 is wired to the CPU's reset.
const KEYBOARD_COMMAND: u16 = 0x64;
/// Pulse output 0.
const PULSE_RESET: u8 = 0xfe;
/// Ticks between choosing the kind of reset and asking for it: 50 µs, as Linux waits
/// (`native_machine_emergency_restart`, arch/x86/kernel/reboot.c), or more at any frequency up to
/// 10 GHz.
const PULSE_TICKS: u64 = 500_000;
/// Ticks to wait for a reset before trying the next way: 10 ms or more at any frequency up to 10
/// GHz.
const RESET_TICKS: u64 = 100_000_000;

/// Resets the machine. Tries each way in turn; the last is a triple fault, on which a hypervisor
/// may stop the guest.
pub fn reset(permissions: Permissions) -> ! {
    if permissions.allow(Permissions::PORT_IO) {
        outb(RESET_CONTROL, SYSTEM_RESET);
        wait(PULSE_TICKS);
        outb(RESET_CONTROL, SYSTEM_RESET | RESET_CPU);
        wait(RESET_TICKS);
        outb(KEYBOARD_COMMAND, PULSE_RESET);
        wait(RESET_TICKS);
    }
    let no_idt = [0u16; 5];
    // SAFETY: with an IDT of limit 0 the breakpoint becomes a double and then a triple fault, which
    // resets the CPU. Nothing runs after it.
    unsafe {
        asm!("lidt ({0})", "int3", "ud2", in(reg) &raw const no_idt, options(att_syntax, noreturn))
    }
}

/// Halts this CPU. An NMI wakes it only to be counted.
#[inline(never)] // `cargo xtask audit` knows HLT by this name
pub fn halt(permissions: Permissions) -> ! {
    loop {
        if permissions.allow(Permissions::HLT) {
            // SAFETY: interrupts stay off, and the block allows HLT.
            unsafe { asm!("hlt", options(att_syntax, nomem, nostack, preserves_flags)) };
        } else {
            core::hint::spin_loop();
        }
    }
}

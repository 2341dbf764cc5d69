//! The end: QEMU's isa-debug-exit device.

use core::arch::asm;

use orders::Ending;
use orders::ending::EXIT_PORT;

/// Ends QEMU with the ending's exit status. Without the device, halts.
pub fn end(ending: Ending) -> ! {
    // SAFETY: a write to the device ends the machine. Without the device it has no effect.
    unsafe {
        asm!("outl %eax, %dx", in("dx") EXIT_PORT, in("eax") ending as u32, options(att_syntax, nomem, nostack, preserves_flags))
    };
    loop {
        // SAFETY: interrupts are off. An NMI is counted, and the loop continues.
        unsafe { asm!("hlt", options(att_syntax, nomem, nostack, preserves_flags)) };
    }
}

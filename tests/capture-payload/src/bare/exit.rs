//! The end: QEMU's isa-debug-exit device.

use core::arch::asm;

use orders::Ending;
use orders::ending::EXIT_PORT;

/// Ends QEMU with the ending's exit status; where the device is missing, stops for ever.
pub fn end(ending: Ending) -> ! {
    // SAFETY: a write to the device ends the machine; without the device it goes nowhere.
    unsafe {
        asm!("outl %eax, %dx", in("dx") EXIT_PORT, in("eax") ending as u32, options(att_syntax, nomem, nostack, preserves_flags))
    };
    loop {
        // SAFETY: interrupts are off; an NMI is counted, and this goes on.
        unsafe { asm!("hlt", options(att_syntax, nomem, nostack, preserves_flags)) };
    }
}

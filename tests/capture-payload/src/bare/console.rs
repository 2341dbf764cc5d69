//! COM2, where the runner listens, transmit only. The crash kernel has set it up.

use core::arch::asm;

use handoff::text::Text;
use orders::HARNESS_PORT;

/// Line status register (16550 data sheet).
const LSR: u16 = HARNESS_PORT + 5;
/// LSR: the transmit holding register is empty.
const LSR_THRE: u8 = 1 << 5;
/// Polls before a byte is sent although the UART does not report that it is ready: far more than a
/// byte takes at 115200 baud.
const PATIENCE: u32 = 1 << 20;

/// The UART.
pub struct Console;

impl Console {
    /// The one there is.
    pub fn open() -> Self {
        Self
    }
}

impl Text for Console {
    fn byte(&mut self, byte: u8) {
        for _ in 0..PATIENCE {
            if inb(LSR) & LSR_THRE != 0 {
                break;
            }
        }
        outb(HARNESS_PORT, byte);
    }
}

fn inb(port: u16) -> u8 {
    let byte;
    // SAFETY: reading a status register of a UART has no effect on memory.
    unsafe {
        asm!("inb %dx, %al", in("dx") port, out("al") byte, options(att_syntax, nomem, nostack, preserves_flags))
    };
    byte
}

fn outb(port: u16, byte: u8) {
    // SAFETY: a character for a UART.
    unsafe {
        asm!("outb %al, %dx", in("dx") port, in("al") byte, options(att_syntax, nomem, nostack, preserves_flags))
    };
}

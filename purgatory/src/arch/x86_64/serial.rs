//! [3] A 16550-compatible UART behind I/O ports, transmit only, set up by whoever used it before the panic.

use core::arch::asm;

use purgatory::console::Transmit;

/// Transmit holding register (16550 data sheet).
const THR: u16 = 0;
/// Line status register.
const LSR: u16 = 5;
/// LSR: the transmit holding register takes a byte.
const LSR_THRE: u8 = 1 << 5;

/// How often the line status is read for one byte before the UART is given up. A byte takes 1.04 ms at 9600 baud and reading
/// an ISA port takes 1 µs or more, so this is several times what a working UART needs at any speed people use.
const PATIENCE: u32 = 20_000;

/// The UART; after the first byte that it does not take it is left alone for good.
#[derive(Debug)]
pub struct Uart {
    port: u16,
    stuck: bool,
}

impl Uart {
    /// The UART whose first port is `port`, which must be at most 0xfff8 (`Console::alleged` has checked it).
    pub fn at(port: u16) -> Self {
        Self { port, stuck: false }
    }

    fn takes_a_byte(&self) -> bool {
        (0..PATIENCE).any(|_| inb(self.port + LSR) & LSR_THRE != 0)
    }
}

impl Transmit for Uart {
    fn transmit(&mut self, byte: u8) {
        self.stuck = self.stuck || !self.takes_a_byte();
        if !self.stuck {
            outb(self.port + THR, byte);
        }
    }
}

/// Reads one byte from an I/O port.
#[inline(never)] // `cargo xtask audit` knows port I/O by this name
pub fn inb(port: u16) -> u8 {
    let byte;
    // SAFETY: the block allows port I/O, or there would be no console and no port to reset by; reading a status register has no
    // effect on memory.
    unsafe { asm!("inb %dx, %al", in("dx") port, out("al") byte, options(att_syntax, nomem, nostack, preserves_flags)) };
    byte
}

/// Writes one byte to an I/O port.
#[inline(never)] // `cargo xtask audit` knows port I/O by this name
pub fn outb(port: u16, byte: u8) {
    // SAFETY: as in `inb`; what is written is a character for a UART, or the request to reset this machine.
    unsafe { asm!("outb %al, %dx", in("dx") port, in("al") byte, options(att_syntax, nomem, nostack, preserves_flags)) };
}

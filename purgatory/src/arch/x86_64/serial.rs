//! `[3]` A 16550-compatible UART at I/O ports, transmit only. It keeps the settings from before the
//! panic.

use core::arch::asm;

use crate::console::Ports;

/// Transmit holding register (16550 data sheet).
const THR: u16 = 0;
/// The divisor's halves, while LCR_DLAB is set.
const DIVISOR_LOW: u16 = 0;
const DIVISOR_HIGH: u16 = 1;
/// Line control register.
const LCR: u16 = 3;
/// Modem control register.
const MCR: u16 = 4;
/// Line status register.
const LSR: u16 = 5;
/// LCR: the first two ports are the divisor's. Linux may have panicked while it was set.
const LCR_DLAB: u8 = 1 << 7;
/// LCR: eight data bits, no parity, one stop bit.
const LCR_8N1: u8 = 0b11;
/// MCR: ready, and asking to send.
const MCR_DTR_RTS: u8 = 0b11;
/// Bits per second with a divisor of 1, at a UART's usual clock of 1.8432 MHz.
const HIGHEST_BAUD: u32 = 115_200;

/// The ports of a UART.
#[derive(Debug)]
pub struct UartPorts {
    first: u16,
}

impl UartPorts {
    /// The UART whose first port is `first`, which must be at most `HIGHEST_CONSOLE_PORT`
    /// (`Console::alleged` has checked it).
    pub fn at(first: u16) -> Self {
        let line_control = inb(first + LCR);
        if line_control & LCR_DLAB != 0 {
            outb(first + LCR, line_control & !LCR_DLAB);
        }
        Self { first }
    }

    /// Sets it up for `baud` bits per second, which is not 0.
    pub fn set_up(&mut self, baud: u32) {
        let [low, high, ..] = (HIGHEST_BAUD / baud).max(1).to_le_bytes();
        outb(self.first + LCR, LCR_DLAB | LCR_8N1);
        outb(self.first + DIVISOR_LOW, low);
        outb(self.first + DIVISOR_HIGH, high);
        outb(self.first + LCR, LCR_8N1);
        outb(self.first + MCR, MCR_DTR_RTS);
    }
}

impl Ports for UartPorts {
    fn line_status(&mut self) -> u8 {
        inb(self.first + LSR)
    }

    fn send(&mut self, byte: u8) {
        outb(self.first + THR, byte);
    }
}

/// Reads one byte from an I/O port.
#[inline(never)] // `cargo xtask audit` knows port I/O by this name
pub fn inb(port: u16) -> u8 {
    let byte;
    // SAFETY: every caller has checked the block's permissions, or in a drop-in the host's options.
    // Reading a register of a UART or of a KCS interface does not affect memory.
    unsafe {
        asm!(
            "inb %dx, %al", in("dx") port, out("al") byte,
            options(att_syntax, nomem, nostack, preserves_flags)
        )
    };
    byte
}

/// Writes one byte to an I/O port.
#[inline(never)] // `cargo xtask audit` knows port I/O by this name
pub fn outb(port: u16, byte: u8) {
    // SAFETY: as in `inb`. The byte is a character for a UART, its line control, a signal to a
    // device that a sealed block names, or the request to reset this machine. If the block is
    // damaged, its port may be wrong and still gets characters: the price of reporting the damage.
    unsafe {
        asm!(
            "outb %al, %dx", in("dx") port, in("al") byte,
            options(att_syntax, nomem, nostack, preserves_flags)
        )
    };
}

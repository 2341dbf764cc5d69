//! COM2, where the runner listens, and the end through QEMU's isa-debug-exit device.

use handoff::text::Text;
use orders::ending::EXIT_PORT;
use orders::{Ending, HARNESS_PORT};
use uart_16550::SerialPort;
use x86_64::instructions::hlt;
use x86_64::instructions::port::Port;

/// The UART, which the crash kernel has set up.
pub struct Console(SerialPort);

impl Console {
    /// The one there is.
    pub fn open() -> Self {
        // SAFETY: the runner's QEMU has COM2, and one CPU runs.
        Self(unsafe { SerialPort::new(HARNESS_PORT) })
    }
}

impl Text for Console {
    fn byte(&mut self, byte: u8) {
        self.0.send_raw(byte);
    }
}

/// Ends QEMU with the ending's exit status. Without the device, halts.
pub fn end(ending: Ending) -> ! {
    // SAFETY: a write to the device ends the machine. Without the device it has no effect.
    unsafe { Port::new(EXIT_PORT).write(ending as u32) };
    loop {
        hlt();
    }
}

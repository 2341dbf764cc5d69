//! `[2]` The way to the runner: lines on COM2, and the end of the run through isa-debug-exit.

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use orders::ending::EXIT_PORT;
use orders::{Ending, HARNESS_PORT};
use spin::Mutex;
use uart_16550::SerialPort;
use x86_64::instructions::port::Port;

// SAFETY: the runner's QEMU has COM2, and only the owner of this lock uses its ports.
static COM2: Mutex<SerialPort> = Mutex::new(unsafe { SerialPort::new(HARNESS_PORT) });

pub fn start() {
    COM2.lock().init();
}

pub fn write_line(text: fmt::Arguments<'_>) {
    let mut com2 = COM2.lock();
    // A UART does not fail.
    let _ = com2.write_fmt(text);
    let _ = com2.write_str("\n");
}

/// Writes one line, formatted as by `format!`.
macro_rules! line {
    ($($argument:tt)*) => { $crate::harness::write_line(format_args!($($argument)*)) };
}
pub(crate) use line;

pub fn end(ending: Ending) -> ! {
    let mut port = Port::<u8>::new(EXIT_PORT);
    // SAFETY: the port belongs to isa-debug-exit, which ends QEMU.
    unsafe { port.write(ending as u8) };
    // Without the device the write has no effect.
    loop {
        x86_64::instructions::hlt();
    }
}

/// The orders cannot be executed: prints why and ends the run.
pub fn give_up(why: fmt::Arguments<'_>) -> ! {
    write_line(format_args!("crash-kernel: {why}"));
    end(Ending::KernelFailed)
}

/// A fault of our own, possibly in the middle of a line: prints it and ends the run.
pub fn crashed(what: fmt::Arguments<'_>) -> ! {
    // SAFETY: the lock keeps lines whole, and guards no memory. Most likely it is free, or held by
    // the code that just failed. If another CPU holds it, two lines get mixed.
    unsafe { COM2.force_unlock() };
    write_line(format_args!("crash-kernel: {what}"));
    end(Ending::KernelCrashed)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crashed(format_args!("{info}"))
}

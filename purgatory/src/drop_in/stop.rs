//! `[8]` The other ending of a drop-in: say what happened, then hang or reset.
//!
//! By default a drop-in hangs, as the purgatories do whose places it takes. `cargo xtask build` can
//! make it reset instead.

use core::ops::Range;

use handoff::text::Text;
use handoff::{OnCorrupt, Permissions};

use super::memory;
use super::written::Written;
use crate::arch::{self, TrapFrame, UartPorts};
use crate::console::Console;
use crate::reading::READING;

/// Ticks of the time-stamp counter between the last line and a reset: 10 s at 3 GHz. No host passes
/// the counter's frequency.
const RESET_TICKS: u64 = 30_000_000_000;

/// Ticks that a UART's FIFO of sixteen bytes takes at 9600 bits per second, or more at any
/// frequency up to 10 GHz.
const UART_TICKS: u64 = 200_000_000;

/// What to do if a region is corrupt: a number of [`OnCorrupt`], of which `boot` counts as `halt`.
pub type OnCorruptSetting = Written<u8>;

/// Ends as this program was built to.
pub fn stop(console: &mut Console<UartPorts>, on_corrupt: &OnCorruptSetting) -> ! {
    if on_corrupt.get() == OnCorrupt::Reset as u8 {
        console.line().text("resetting soon");
        arch::wait(RESET_TICKS);
        // Where port I/O is not allowed, the exception that it raises also ends in a reset.
        arch::reset(Permissions::ALL)
    }
    console.line().text("stopped: reset the machine");
    // Without HLT, which confidential guests may not execute: no host says whether this is one.
    arch::halt(Permissions::NONE)
}

/// The answer to an exception. Returns only if the exception answers a probe of the CPU.
pub fn exception(
    frame: &mut TrapFrame,
    fault_address: u64,
    console: fn() -> Console<UartPorts>,
    on_corrupt: &OnCorruptSetting,
) {
    if arch::resume_probe(frame) {
        return;
    }
    let mut console = console();
    console.break_line();
    let TrapFrame { vector, error_code, rip, .. } = frame;
    let mut line = console.line();
    line.text("exception ")
        .decimal(*vector)
        .text(" error ")
        .hex(*error_code)
        .text(" at rip ")
        .hex(*rip);
    line.text(" (purgatory+")
        .hex(rip.wrapping_sub(memory::itself().start))
        .text(") cr2 ")
        .hex(fault_address);
    drop(line);
    if *vector == arch::MACHINE_CHECK {
        reset_after_machine_check(&mut console)
    }
    stop(&mut console, on_corrupt)
}

/// Says what was being read, then resets, whatever `on_corrupt` says. Under the hosts' own
/// purgatories, which leave CR4.MCE off, a machine check resets as well.
fn reset_after_machine_check(console: &mut Console<UartPorts>) -> ! {
    console.line().text("machine check: memory or another part of this machine failed");
    for Range { start, end } in READING.spans() {
        console.line().text("was verifying ").hex(start).text("-").hex(end - 1);
    }
    // Until a UART has sent what it was given.
    arch::wait(UART_TICKS);
    arch::reset(Permissions::NONE)
}

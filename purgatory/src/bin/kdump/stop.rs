//! `[8]` The other ending: say the verdict, then reset or halt.
//!
//! *On entry*, something is wrong, and the caller says how far the block can be trusted.
//!
//! *On exit*: there is none, except that an exception while the kernel log is copied only ends the
//! copy (try_copy.rs). Three kinds of exception do not come here and leave no message:
//! - before LIDT in entry.S: it resets the machine (Linux 6.12) or hangs it (7.x),
//! - while SSE is off, between LIDT and the end of entry.S or after leave.S: it resets the machine,
//! - a second exception: it resets the machine.

use core::ops::Range;

use handoff::black_box::RecordedException;
use handoff::text::Text;
use handoff::{Block, Verdict};
use purgatory::arch::{self, Bank, UartPorts};
use purgatory::console::Console;
use purgatory::policy::{self, Ending, Trust};
use purgatory::reading::{self, READING};

use crate::{black_box, memory};

/// Prints `verdict` as number, word and sentence.
pub fn say_verdict(console: &mut Console<UartPorts>, verdict: Verdict) {
    let number = u64::from(verdict as u32);
    console
        .line()
        .text("verdict ")
        .hex(number)
        .text(" ")
        .text(verdict.word())
        .text(": ")
        .text(verdict.sentence());
}

/// Ends with `verdict`. `trust` limits how far the block's policy decides the ending.
pub fn refuse(
    block: &Block,
    trust: Trust,
    console: &mut Console<UartPorts>,
    verdict: Verdict,
) -> ! {
    say_verdict(console, verdict);
    black_box::refused(verdict);
    let permissions = policy::permissions(block);
    match policy::ending(block, trust) {
        Ending::Halt => {
            console.line().text("halted, as configured");
            arch::halt(permissions)
        }
        Ending::Reset { delay_ms, ticks } => {
            console.line().text("resetting in ").decimal(u64::from(delay_ms)).text(" ms");
            arch::wait(ticks);
            arch::reset(permissions)
        }
    }
}

/// Prints what was being read when a machine check was raised, and what the CPU recorded about it.
fn say_what_failed(console: &mut Console<UartPorts>, block: &Block) {
    for Range { start, end } in READING.spans() {
        let mut line = console.line();
        line.text("was verifying ")
            .text(reading::name_at(block, start))
            .text(" at ")
            .hex(start)
            .text("-")
            .hex(end - 1);
    }
    for Bank { number, status, address } in arch::banks(policy::permissions(block)) {
        let mut line = console.line();
        line.text("bank ").decimal(number.into()).text(" status ").hex(status);
        if let Some(address) = address {
            line.text(" address ").hex(address);
        }
    }
}

/// The address that a record names: for a machine check, the first span that was being read.
fn place(vector: u64, fault_address: u64) -> u64 {
    match vector {
        arch::MACHINE_CHECK => READING.spans().next().map_or(0, |span| span.start),
        _ => fault_address,
    }
}

/// Ends because an exception was raised. Called by `trap.S` on the exceptions' stack. Returns only
/// if the exception cost no more than the copy of the kernel log.
#[inline(never)] // the debugger of the bare-metal tests knows it by name
pub fn exception(frame: &mut arch::TrapFrame, fault_address: u64) {
    if black_box::resume(frame) {
        return;
    }
    let block = memory::received_block();
    let mut console = Console::alleged(block, UartPorts::at);
    console.break_line();
    let arch::TrapFrame { vector, error_code, rip, rsp, .. } = frame;
    let mut line = console.line();
    line.text("exception ")
        .decimal(*vector)
        .text(" error ")
        .hex(*error_code)
        .text(" at rip ")
        .hex(*rip);
    line.text(" (purgatory+")
        .hex(rip.wrapping_sub(memory::itself().start))
        .text(") rsp ")
        .hex(*rsp);
    line.text(" cr2 ").hex(fault_address);
    if *vector == arch::DEBUG {
        line.text(": stack overflow");
    }
    drop(line);
    black_box::raised(RecordedException {
        raised: 1.into(),
        vector: (*vector as u32).into(),
        error_code: (*error_code).into(),
        rip: (*rip).into(),
        address: place(*vector, fault_address).into(),
    });
    let verdict = if *vector == arch::MACHINE_CHECK {
        say_what_failed(&mut console, block);
        Verdict::MachineCheck
    } else {
        Verdict::Exception
    };
    // A damaged block may have raised it.
    refuse(block, Trust::Alleged, &mut console, verdict)
}

//! `[3]` Our own IDT: an exception before the ordered panic is a fault of ours, and ends the run
//! with its place. NMIs are no faults; `smp` handles them. Handlers run on the interrupted stack.
//! If that is lost, a triple fault ends the run.

use spin::Lazy;
use x86_64::registers::control::Cr2;
use x86_64::set_general_handler;
use x86_64::structures::idt::{InterruptDescriptorTable, InterruptStackFrame};

use crate::harness::crashed;
use crate::smp;

static IDT: Lazy<InterruptDescriptorTable> = Lazy::new(|| {
    let mut idt = InterruptDescriptorTable::new();
    // The vectors that the architecture defines (SDM vol. 3A, "Exception and interrupt vectors").
    set_general_handler!(&mut idt, caught, 0..32);
    idt.non_maskable_interrupt.set_handler_fn(smp::nmi_entry);
    idt
});

/// From here on exceptions are reported.
pub fn catch() {
    IDT.load();
}

fn caught(frame: InterruptStackFrame, vector: u8, error_code: Option<u64>) {
    let (error_code, rip) = (error_code.unwrap_or(0), frame.instruction_pointer);
    let address = Cr2::read_raw();
    crashed(format_args!(
        "exception {vector} error {error_code:#x} at rip {rip:#x} cr2 {address:#x}"
    ))
}

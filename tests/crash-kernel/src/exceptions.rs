//! `[2]` Our own IDT: an exception before the ordered panic is a fault of ours, and ends the run
//! with its place. NMIs are no faults; `smp` handles them. Handlers run on the interrupted stack.
//! If that is lost, a triple fault ends the run.

use core::arch::global_asm;

use spin::Lazy;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::registers::control::Cr2;
use x86_64::structures::idt::InterruptDescriptorTable;

use crate::harness::crashed;
use crate::smp;

/// The vectors that the architecture defines (SDM vol. 3A, "Exception and interrupt vectors").
const VECTORS: usize = 32;
/// Bytes between two stubs.
const STUB_SIZE: usize = 16;

// One stub per vector. It passes the vector, the error code (0 where the CPU pushes none) and the
// interrupted place to `caught`.
global_asm!(
    ".balign 16",
    ".global exception_stubs",
    "exception_stubs:",
    ".set vector, 0",
    ".rept {VECTORS}",
    "2:",
    ".ifeq (vector - 8) * (vector - 10) * (vector - 11) * (vector - 12) * (vector - 13) * (vector - 14) * (vector - 17) * (vector - 21)",
    ".else",
    "pushq $0",
    ".endif",
    "pushq $vector",
    "jmp 1f",
    // .org moves forward only: a stub that is too long does not assemble.
    ".org 2b + {STUB_SIZE}, 0xcc",
    ".set vector, vector + 1",
    ".endr",
    "1:",
    "movq 0(%rsp), %rdi",
    "movq 8(%rsp), %rsi",
    "movq 16(%rsp), %rdx",
    "andq $-16, %rsp",
    "call {caught}",
    "ud2",
    VECTORS = const VECTORS,
    STUB_SIZE = const STUB_SIZE,
    caught = sym caught,
    options(att_syntax)
);

unsafe extern "C" {
    static exception_stubs: u8;
}

/// An exception of ours.
extern "sysv64" fn caught(vector: u64, error_code: u64, rip: u64) -> ! {
    let address = Cr2::read_raw();
    crashed(format_args!(
        "exception {vector} error {error_code:#x} at rip {rip:#x} cr2 {address:#x}"
    ))
}

static IDT: Lazy<InterruptDescriptorTable> = Lazy::new(|| {
    let mut idt = InterruptDescriptorTable::new();
    let stubs = (&raw const exception_stubs).addr();
    let selector = CS::get_reg();
    /// Points one gate at a stub. The handlers' own type would need an unstable calling convention.
    macro_rules! gate {
        ($($name:ident = $vector:literal),+) => {$({
            let address = VirtAddr::new((stubs + $vector * STUB_SIZE) as u64);
            // SAFETY: the stub at this address takes what the CPU pushes for this vector, and never
            // returns.
            let options = unsafe { idt.$name.set_handler_addr(address) };
            // SAFETY: the current code segment.
            unsafe { options.set_code_selector(selector) };
        })+};
    }
    gate!(
        divide_error = 0,
        debug = 1,
        breakpoint = 3,
        overflow = 4,
        bound_range_exceeded = 5,
        invalid_opcode = 6
    );
    gate!(
        device_not_available = 7,
        double_fault = 8,
        invalid_tss = 10,
        segment_not_present = 11,
        stack_segment_fault = 12
    );
    gate!(
        general_protection_fault = 13,
        page_fault = 14,
        x87_floating_point = 16,
        alignment_check = 17,
        machine_check = 18
    );
    let nmi_entry = VirtAddr::new(smp::nmi_entry as *const () as u64);
    // SAFETY: it takes what the CPU pushes for an NMI, saves every register that it changes, and
    // returns by IRET.
    let options = unsafe { idt.non_maskable_interrupt.set_handler_addr(nmi_entry) };
    // SAFETY: the current code segment, which every CPU uses.
    unsafe { options.set_code_selector(selector) };
    idt
});

/// From here on exceptions are reported.
pub fn catch() {
    IDT.load();
}

//! Our own IDT: an exception ends the run with its vector and place, and an NMI is counted.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use capture_payload::Nmis;
use handoff::text::Text;
use orders::Ending;
use x86_64::registers::control::Cr2;
use x86_64::set_general_handler;
use x86_64::structures::idt::{InterruptDescriptorTable, InterruptStackFrame};

use super::console::{self, Console};
use super::memory;

/// Code segment selector that boot.rst asks for, and that our own GDT has.
pub const BOOT_CS: u16 = 0x10;
/// Data segment selector that boot.rst asks for, and that our own GDT has.
pub const BOOT_DS: u16 = 0x18;

/// NMIs since `install`.
static NMIS: AtomicU32 = AtomicU32::new(0);

/// Replaces the purgatory's table by `idt`, which is on the stack: a static one would be data that
/// changes, and the payload's data is sealed.
///
/// # Safety
/// The caller never returns.
pub unsafe fn install(idt: &mut InterruptDescriptorTable) {
    // The vectors that the architecture defines (SDM vol. 3A, "Exception and interrupt vectors").
    set_general_handler!(idt, exception, 0..32);
    idt.non_maskable_interrupt.set_handler_fn(nmi);
    // SAFETY: the table lasts as long as the payload, as the caller guarantees.
    unsafe { idt.load_unsafe() };
}

extern "x86-interrupt" fn nmi(_: InterruptStackFrame) {
    NMIS.fetch_add(1, Ordering::Relaxed);
}

/// The handler of every vector except NMI.
fn exception(frame: InterruptStackFrame, vector: u8, error_code: Option<u64>) {
    let mut console = Console::open();
    let rip = frame.instruction_pointer.as_u64();
    console.text("\npayload: FAILED exception: expected none found vector ").decimal(vector.into());
    console.text(" error ").hex(error_code.unwrap_or(0)).text(" at rip ").hex(rip);
    console.text(" (payload+").hex(rip.wrapping_sub(memory::program().load)).text(") rflags ");
    console.hex(frame.cpu_flags.bits()).text(" rsp ").hex(frame.stack_pointer.as_u64());
    console.text(" cr2 ").hex(Cr2::read_raw()).text("\npayload: ending ");
    console.text(Ending::PayloadCrashed.name()).text("\n");
    console::end(Ending::PayloadCrashed)
}

/// Executes IRET, which delivers a latched NMI, and then waits longer than that takes.
pub fn iret() -> Nmis {
    /// Iterations to wait: a pending NMI arrives at once.
    const PATIENCE: u32 = 1 << 16;
    let before_iret = NMIS.load(Ordering::Relaxed);
    // SAFETY: it returns to the next instruction with the current stack, flags and selectors.
    unsafe {
        asm!(
            "movq %rsp, {0}",
            "pushq ${ss}",
            "pushq {0}",
            "pushfq",
            "pushq ${cs}",
            "leaq 2f(%rip), {0}",
            "pushq {0}",
            "iretq",
            "2:",
            out(reg) _,
            ss = const BOOT_DS,
            cs = const BOOT_CS,
            options(att_syntax)
        )
    };
    for _ in 0..PATIENCE {
        core::hint::spin_loop();
    }
    Nmis { before_iret, after_iret: NMIS.load(Ordering::Relaxed) }
}

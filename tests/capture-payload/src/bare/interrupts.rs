//! Our own IDT: an exception ends the run with its vector and place, and an NMI is counted.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use capture_payload::Nmis;
use handoff::text::Text;
use orders::Ending;

use super::console::Console;
use super::{exit, memory};

/// Code segment selector that boot.rst asks for, and that our own GDT has.
pub const BOOT_CS: u16 = 0x10;
/// Data segment selector that boot.rst asks for, and that our own GDT has.
pub const BOOT_DS: u16 = 0x18;

/// Exceptions and NMI: the vectors that the architecture defines (SDM vol. 3A, "Exception and
/// interrupt vectors").
const VECTORS: usize = 32;
/// Bytes between the first instructions of two stubs in `interrupts.S`.
const STUB_SIZE: usize = 16;
/// Present, DPL 0, 64-bit interrupt gate, IST 0 (SDM vol. 3A, "64-bit IDT gate descriptors").
const INTERRUPT_GATE: u64 = 0x8e00;

/// What `interrupts.S` leaves on the stack.
#[repr(C)]
struct Frame {
    vector: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

#[repr(C, align(16))]
struct Idt(UnsafeCell<[[u64; 2]; VECTORS]>);

// SAFETY: there is one CPU, and the table is written once, before it is loaded.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new([[0; 2]; VECTORS]));

/// NMIs since `install`.
static NMIS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    static stubs: u8;
}

global_asm!(
    include_str!("interrupts.S"),
    STUB_SIZE = const STUB_SIZE,
    VECTORS = const VECTORS,
    nmis = sym NMIS,
    exception = sym exception,
    options(att_syntax)
);

/// Replaces the purgatory's.
pub fn install() {
    let first = (&raw const stubs).addr();
    let gate = |vector: usize| {
        let handler = (first + vector * STUB_SIZE) as u64;
        let low = handler & 0xffff
            | u64::from(BOOT_CS) << 16
            | INTERRUPT_GATE << 32
            | (handler >> 16 & 0xffff) << 48;
        [low, handler >> 32]
    };
    let table = core::array::from_fn(gate);
    // SAFETY: nothing uses the table yet.
    unsafe { IDT.0.get().write(table) };
    let limit = (size_of::<Idt>() - 1) as u16;
    let base = IDT.0.get().addr() as u64;
    let register = [
        0,
        0,
        0,
        limit,
        base as u16,
        (base >> 16) as u16,
        (base >> 32) as u16,
        (base >> 48) as u16,
    ];
    // SAFETY: the ten bytes from the fourth word on are limit and base of the table, whose gates
    // lead to interrupts.S.
    unsafe {
        asm!("lidt 6({0})", in(reg) &raw const register, options(att_syntax, nostack, preserves_flags))
    };
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

/// The handler of every vector except NMI.
extern "sysv64" fn exception(frame: &Frame, fault_address: u64) -> ! {
    let mut console = Console::open();
    console.text("\npayload: FAILED exception: expected none found vector ").decimal(frame.vector);
    console.text(" error ").hex(frame.error_code).text(" at rip ").hex(frame.rip);
    console
        .text(" (payload+")
        .hex(frame.rip.wrapping_sub(memory::program().load))
        .text(") cs ")
        .hex(frame.cs);
    console
        .text(" rflags ")
        .hex(frame.rflags)
        .text(" rsp ")
        .hex(frame.rsp)
        .text(" ss ")
        .hex(frame.ss);
    console
        .text(" cr2 ")
        .hex(fault_address)
        .text("\npayload: ending ")
        .text(Ending::PayloadCrashed.name())
        .text("\n");
    exit::end(Ending::PayloadCrashed)
}

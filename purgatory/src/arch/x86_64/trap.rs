//! `[2]` Our own IDT: an exception becomes a verdict instead of a triple fault, and an NMI is
//! counted.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};

use super::entry::CR4_OSFXSR;

/// Exceptions and NMI: the vectors that the architecture defines (SDM vol. 3A, "Exception and
/// interrupt vectors").
pub const VECTORS: usize = 32;

/// The vector of non-maskable interrupts.
pub const NMI: usize = 2;
/// The vector of debug exceptions. With single-stepping off, only a watched address raises one
/// (`guard.rs`).
pub const DEBUG: u64 = 1;
/// The vector of machine checks. Like the others it is delivered at the top of the exceptions'
/// stack. If it interrupts the report of another exception, it overwrites that frame, counts as the
/// second, and resets the machine, as it would with CR4.MCE off.
pub const MACHINE_CHECK: u64 = 18;

/// Bytes between the first instructions of two stubs in `trap.S`.
pub const STUB_SIZE: usize = 16;

/// What the CPU and `trap.S` leave on the stack for the verdict.
#[repr(C)]
#[derive(Debug)]
pub struct TrapFrame {
    /// Pushed by the stub.
    pub vector: u64,
    /// Pushed by the CPU where the vector has one, else 0 by the stub.
    pub error_code: u64,
    /// Pushed by the CPU, like all that follow.
    pub rip: u64,
    /// Code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// The interrupted stack.
    pub rsp: u64,
    /// Its segment.
    pub ss: u64,
}

/// NMIs since entry; entry.S sets it to 0.
pub static NMIS: AtomicU32 = AtomicU32::new(0);

/// How many NMIs have arrived since entry.
pub fn nmis() -> u32 {
    NMIS.load(Ordering::Relaxed)
}

global_asm!(
    include_str!("trap.S"),
    STUB_SIZE = const STUB_SIZE,
    VECTORS = const VECTORS,
    NMI = const NMI,
    CR4_OSFXSR = const CR4_OSFXSR,
    nmis = sym NMIS,
    exception = sym crate::arch::purgatory_exception,
    options(att_syntax)
);

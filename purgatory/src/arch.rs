//! The interface to the architecture. An architecture module defines every name that is exported
//! here.
//!
//! It also brings an entry point that calls the program's `tell`, and handlers that call the
//! program's `exception`. Both are what [`crate::program`] makes of a program's functions.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub use x86_64::{
    Bank, DEBUG, MACHINE_CHECK, Registers, TrapFrame, UartPorts, banks, copy, engine, enter,
    guard_stack, halt, inb, leave, nmis, outb, probed_engine, reset, resume_copy, resume_probe,
    try_copy, tsc, wait,
};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("write an architecture module with the names above");

unsafe extern "sysv64" {
    /// The program's story, on its own stack and with SSE on. `stack_on_entry` is the stack pointer
    /// that the kernel left.
    fn purgatory_tell(stack_on_entry: u64) -> !;

    /// The program's answer to an exception, on the exceptions' stack. It returns only after
    /// changing where `frame` resumes.
    fn purgatory_exception(frame: &mut TrapFrame, fault_address: u64);
}

/// Names the two functions that a program is entered at: its story and its answer to an exception.
#[macro_export]
macro_rules! program {
    (tell: $tell:path, exception: $exception:path) => {
        #[unsafe(no_mangle)]
        extern "sysv64" fn purgatory_tell(stack_on_entry: u64) -> ! {
            $tell(stack_on_entry)
        }

        #[unsafe(no_mangle)]
        extern "sysv64" fn purgatory_exception(
            frame: &mut $crate::arch::TrapFrame,
            fault_address: u64,
        ) {
            $exception(frame, fault_address)
        }
    };
}

//! The seam to the architecture. Each architecture module defines the same names: `UartPorts`, `TrapFrame`, `engine`, `tsc`,
//! `nmis`, `guard_stack`, `DEBUG`, `MACHINE_CHECK`, `banks`, `wait`, `halt`, `reset`, `leave`; `copy`, `enter`, `Registers`, `probed_engine`,
//! `resume_probe`; an entry point that calls the program's `tell`, and handlers that call its `exception`.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
#[allow(unused_imports, reason = "the drop-ins use less of the one, and more of the other")]
pub use x86_64::{
    Bank, DEBUG, MACHINE_CHECK, Registers, TrapFrame, UartPorts, banks, copy, engine, enter, guard_stack, halt, leave, nmis,
    probed_engine, reset, resume_probe, tsc, wait,
};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("write an architecture module with the names above");

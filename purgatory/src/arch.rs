//! The seam to the architecture. Each architecture module defines the same names: `UartPorts`, `TrapFrame`, `engine`, `tsc`, `nmis`,
//! `guard_stack`, `DEBUG`, `wait`, `halt`, `reset`, `leave`; and an entry point that calls `story::tell`.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub use x86_64::{DEBUG, TrapFrame, UartPorts, engine, guard_stack, halt, leave, nmis, reset, tsc, wait};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("write an architecture module with the names above");

//! The seam to the architecture. Each architecture module defines the same names: `UartPorts`, `TrapFrame`, `engine`, `tsc`, `nmis`,
//! `wait`, `halt`, `reset`, `leave`; and an entry point that calls `story::tell`.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub use x86_64::{TrapFrame, UartPorts, engine, halt, leave, nmis, reset, tsc, wait};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("write an architecture module with the names above");

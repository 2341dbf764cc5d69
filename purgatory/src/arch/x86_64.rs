//! x86_64, in order of execution.

mod entry;
mod trap;
mod serial;
mod cpu;
mod leave;
mod reset;

pub use cpu::{engine, tsc, wait};
pub use leave::leave;
pub use reset::{halt, reset};
pub use serial::UartPorts;
pub use trap::{TrapFrame, nmis};

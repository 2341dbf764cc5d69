//! x86_64, in order of execution.

mod entry;
mod trap;
mod guard;
mod serial;
mod cpu;
mod leave;
mod reset;

pub use cpu::{engine, tsc, wait};
pub use guard::set as guard_stack;
pub use leave::leave;
pub use reset::{halt, reset};
pub use serial::UartPorts;
pub use trap::{DEBUG, TrapFrame, nmis};

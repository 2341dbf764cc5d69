//! x86_64, in order of execution.

mod entry;
mod trap;
mod guard;
mod serial;
mod cpu;
mod probe;
mod copy;
mod try_copy;
mod leave;
mod enter;
mod banks;
mod reset;

pub use {
    banks::{Bank, banks},
    copy::copy,
    enter::{Registers, enter},
    probe::{engine as probed_engine, resume as resume_probe},
    try_copy::{copy as try_copy, resume as resume_copy},
};

pub use cpu::{engine, tsc, wait};
pub use guard::set as guard_stack;
pub use leave::leave;
pub use reset::{halt, reset};
pub use serial::{UartPorts, inb, outb};
pub use trap::{DEBUG, MACHINE_CHECK, TrapFrame, nmis};

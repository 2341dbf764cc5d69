//! The other CPUs: started, numbered, given something to run, stopped, or let loose on the one that panics.
//!
//! On entry: one CPU runs, with the kernel's page tables, GDT and IDT, whose NMI gate leads to [`nmi_entry`]; the heap is there.
//! On exit of [`start_all`]: every CPU that QEMU has plugged in stands in HLT, with interrupts off and work to be given.
//!
//! ```text
//!             start            run_on, storm
//! absent ──▶ starting ──▶ idle ──────▶ busy ──▶ (the panic)          stop_others
//!               ▲          │             └────▶ unstoppable          idle, busy ──▶ stopped
//!               └ offline ◀┘ stop
//! ```
//!
//! NMI is the only interrupt that this kernel knows: it wakes a CPU that waits for work, and it carries the order to stop.

mod cpu; // the CPUs and their states
mod start; // from INIT to idle
mod work; // idle, and what it is woken for
mod nmi; // the handler, and what is done inside it
mod storm; // a CPU that cannot be stopped

pub use nmi::{nmi_entry, panic_in_nmi, stop_others};
pub use start::{start, start_all};
pub use storm::storm;
pub use work::{run_on, stop};

/// The CPUs that are online: number and APIC id, ascending by number. The one that booted is number 0; the others are numbered in
/// the order in which they were first started.
pub fn cpus() -> impl Iterator<Item = (u32, u32)> {
    cpu::all().filter(|cpu| cpu.is_online()).map(|cpu| (cpu.number(), cpu.apic_id()))
}

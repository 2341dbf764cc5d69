//! The other CPUs: started, numbered, given work, stopped, or made to send NMIs to the one that
//! panics.
//!
//! *On entry*: one CPU runs, with the kernel's page tables, GDT and IDT. Its NMI gate leads to
//! [`nmi_entry`]. There is a heap.
//!
//! *On exit* of [`start_all`]: every CPU that QEMU has plugged in is in HLT, with interrupts off,
//! and waits for work.
//!
//! ```text
//!             start            run_on, storm
//! absent ──▶ starting ──▶ idle ──────▶ busy ──▶ (the panic)          stop_others
//!               ▲          │             └────▶ unstoppable          idle, busy ──▶ stopped
//!               └ offline ◀┘ stop
//! ```
//!
//! NMI is the only interrupt of this kernel. It wakes a CPU that waits for work, and it carries the
//! order to stop.

mod cpu; // the CPUs and their states
mod start; // from INIT to idle
mod work; // idle, and the work that ends it
mod nmi; // the handler, and work inside it
mod storm; // a CPU that cannot be stopped

pub use nmi::{nmi_entry, panic_in_nmi, stop_others};
pub use start::{start, start_all};
pub use storm::storm;
pub use work::{run_on, stop};

/// The online CPUs: number and APIC id, ascending by number. The CPU that booted is number 0. The
/// others are numbered in the order of their first start.
pub fn cpus() -> impl Iterator<Item = (u32, u32)> {
    cpu::all().filter(|cpu| cpu.is_online()).map(|cpu| (cpu.number(), cpu.apic_id()))
}

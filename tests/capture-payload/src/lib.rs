//! Checks what a capture kernel relies on: the CPU state that the purgatory left, the memory that
//! the loader wrote, and the parts of the crashed kernel that the elfcorehdr leads to.
//!
//! This library is pure: [`EntryState`] is what `bare/entry.S` saved, [`Physical`] is memory, and
//! lines go to any [`handoff::text::Text`]. `main.rs` owns the machine. The expected values come
//! from boot.rst, from Linux's source, or from the crash note.
//!
//! On COM2, in this order:
//!
//! ```text
//! payload: entered
//! payload: report TEXT
//! payload: ok GROUP
//! payload: FAILED GROUP: ITEM: expected X found Y
//! payload: ending NAME
//! ```
//!
//! Each failed item of a group has a line. A group that lacks something for which another group
//! fails prints `not complete`, and does not decide the ending.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod setup_header; // the bzImage's header
pub mod entry_state; // the CPU on entry
pub mod range;
pub mod physical; // memory
pub mod page_walk; // the crash kernel's page tables
pub mod zero_page; // struct boot_params
pub mod e820;
pub mod command_line;
pub mod report; // the purgatory's, on the command line
pub mod elf; // the elfcorehdr, its notes
pub mod crash_note; // the facts of the crash kernel
pub mod evidence; // all of the above
pub mod checks;

pub use checks::all;
pub use entry_state::EntryState;
pub use physical::Physical;

use range::Range;

/// Where the payload is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The load address. The entry point is [`setup_header::ENTRY_OFFSET`] bytes after it.
    pub load: u64,
    /// One past the last byte that came from the file.
    pub file_end: u64,
    /// One past the last byte of `init_size`.
    pub image_end: u64,
    /// The setup header as it is in the file.
    pub setup_header: &'static [u8],
}

impl Program {
    /// All of `init_size`.
    pub fn image(&self) -> Range {
        Range::between(self.load, self.image_end)
    }

    /// The memory that the payload writes while it runs.
    pub fn tail(&self) -> Range {
        Range::between(self.file_end, self.image_end)
    }
}

/// Counts of non-maskable interrupts in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nmis {
    /// Until just before the first IRET, which lets a latched one in.
    pub before_iret: u32,
    /// Until some time after it.
    pub after_iret: u32,
}

#[cfg(test)]
mod tests;

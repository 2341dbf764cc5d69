//! What a capture kernel relies on, checked: what the purgatory left in the CPU, what the loader wrote into memory, and what of the
//! crashed kernel can still be reached through the elfcorehdr.
//!
//! The parts here are pure: [`EntryState`] is what `bare/entry.S` saved, [`Physical`] is memory, and lines go to anything that takes
//! [`handoff::text::Text`]. `main.rs` owns the machine. What a check expects, it has from boot.rst, from Linux's source, or from the
//! crash note.
//!
//! On COM2, in this order; items of a group that fail have a line each, and a group that lacks what another fails for says
//! `not complete` and does not decide the ending:
//!
//! ```text
//! payload: entered
//! payload: report TEXT
//! payload: ok GROUP
//! payload: FAILED GROUP: ITEM: expected X found Y
//! payload: ending NAME
//! ```

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod setup_header; // what the bzImage asks for
pub mod entry_state; // what the CPU held
pub mod range;
pub mod physical; // memory
pub mod page_walk; // and the way to it that the crash kernel built
pub mod zero_page; // struct boot_params
pub mod e820;
pub mod command_line;
pub mod report; // the purgatory's, in the command line
pub mod elf; // the elfcorehdr, its notes
pub mod crash_note; // what the crash kernel knew
pub mod evidence; // all of the above, found
pub mod checks; // and judged

pub use checks::all;
pub use entry_state::EntryState;
pub use physical::Physical;

use range::Range;

/// Where the payload finds itself.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The load address, where the payload's first byte is; the entry point is [`setup_header::ENTRY_OFFSET`] behind it.
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

    /// What the payload writes to while it runs.
    pub fn tail(&self) -> Range {
        Range::between(self.file_end, self.image_end)
    }
}

/// Non-maskable interrupts that arrived in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nmis {
    /// Until just before the first IRET, which lets a latched one in.
    pub before_iret: u32,
    /// Until some time after it.
    pub after_iret: u32,
}

#[cfg(test)]
mod tests;

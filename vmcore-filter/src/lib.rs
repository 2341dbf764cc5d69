//! Saves the memory of a crashed Linux kernel: reads a vmcore, leaves out free pages and pages of
//! zeroes, and writes a dump that crash, drgn and makedumpfile open (x86-64, Linux 5.4 and newer).
//!
//! ```text
//! /proc/vmcore ─[1]→ memory, notes, VMCOREINFO ─[2…7]→ free pages ─┐
//!                    memory ──────────────────────────────────────[8…10]→ kdump-compressed dump
//! ```
//!
//! ```no_run
//! use std::{fs::File, ops::ControlFlow, path::Path};
//! use vmcore_filter::{Level, Vmcore, dump};
//!
//! let core = Vmcore::open(Path::new("/proc/vmcore"))?;
//! let mut output = File::options().read(true).write(true).create(true).open("dump")?;
//! let summary = dump(&core, Level::NoFreeOrZeroes, &mut output, &mut |progress| {
//!     eprintln!("{} of {} pages", progress.pages, progress.of);
//!     ControlFlow::Continue(())
//! })?;
//! output.set_len(summary.bytes)?;
//! if let Some(reason) = summary.unfiltered {
//!     eprintln!("free pages were kept: {reason}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Its buffers do not grow with the vmcore: a window into it, one section's bits, and half a MiB of
//! data that is not yet written. What is not understood is kept.
//!
//! For each page up to the highest address, a dump has two bits. If these would be longer than both
//! 64 MiB and the memory itself, the dump is refused: then an address in the vmcore is damaged. The
//! bits of address ranges without memory are holes in a file, and zeroes in a partition.
//!
//! For the kernel log, [`AddressSpace`] reads the crashed kernel's virtual memory.

#![deny(unsafe_code)]

mod map; // the only unsafe code
mod source; // [0] bytes of the vmcore, through a window
mod memory; // [1] which part of the vmcore holds which memory
mod notes; // [1] ELF notes
mod vmcore; // [1] ELF headers
mod physical; // [3] physical memory
mod address_space; // [4] page tables
mod page_types; // [5] how a free page is marked
mod sections; // [6] where the struct page of a page is
mod bitmap; // a bit for each page of a section
mod classes; // [7] which pages are free
mod unfiltered; // why free pages cannot be found
mod level; // what a dump leaves out
mod output; // [8] where a dump is written to
mod format; // [9] the dump's structures
mod facts; // [9] what the headers say
mod dump; // [9] the order of writing
mod compress; // [10] one page
mod pages; // [10] all pages
mod reader; // [11] reads a dump back

pub use address_space::AddressSpace;
pub use classes::{Classes, LeftOut, can_filter};
pub use dump::{Error, OnProgress, Progress, Summary, dump};
pub use level::Level;
pub use notes::Notes;
pub use output::Output;
pub use physical::Physical;
/// `[2]` What the kernel says of itself.
pub use printk_ring::Vmcoreinfo;
pub use reader::{Checked, DumpFile, PageReader, PageState, ReadError};
pub use unfiltered::Unfiltered;
pub use vmcore::{OpenError, Vmcore};

/// Bytes of a page.
pub const PAGE_LEN: u64 = 4096;

/// The bytes of a page.
pub type Page = [u8; PAGE_LEN as usize];

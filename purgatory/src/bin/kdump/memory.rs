//! Physical memory as slices. With `arch/`, the only file that may say `unsafe`.
//!
//! What makes it sound: the kernel mapped all RAM that it had and every segment of the image one to one, writable (`init_pgtable`,
//! arch/x86/kernel/machine_kexec_64.c); a [`Span`] exists only after `received.rs` has shown where it lies; and no other Rust code
//! runs. A device, or a CPU that did not stop, may still write to these bytes: that is what the digests are for, every bit pattern of
//! a `u8` is valid, and where something is read twice nothing goes wrong if the second time it is something else. A leaf table that
//! changes after the seal was checked makes a leaf differ; of the elfcorehdr each check takes what it reads, and the capture kernel
//! reads it again in any case. A span that is not mapped after all is a page fault, and ends as a verdict.

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::slice;

use handoff::Block;
use handoff::report::FIELD_LEN;
use purgatory::received::{Itself, Span};
use zerocopy::FromBytes;

/// The block in words, because a volatile read of an array of bytes becomes one instruction per byte.
const BLOCK_WORDS: usize = size_of::<Block>() / size_of::<u64>();

/// The hole that the loader fills with a [`Block`], and as much room.
#[repr(C)]
struct Hole(UnsafeCell<[u64; BLOCK_WORDS]>);

// SAFETY: no second thread of Rust code exists to share it with.
unsafe impl Sync for Hole {}

#[used]
#[unsafe(link_section = ".handoff")]
static HOLE: Hole = Hole(UnsafeCell::new([0; BLOCK_WORDS]));

// From linker/purgatory.ld. Only their addresses mean anything.
unsafe extern "C" {
    static __image_start: u8;
    static __written_start: u8;
    static __image_end: u8;
}

/// What [`received_block`] has read. Not on the stack, whose deepest frames would reach into the page of its guard then.
static COPY: Hole = Hole(UnsafeCell::new([0; BLOCK_WORDS]));

/// The block as it is in memory now. Called by the story once, and once more by whatever ends it.
pub fn received_block() -> &'static Block {
    let hole: *const u64 = HOLE.0.get().cast();
    let copy: *mut u64 = COPY.0.get().cast();
    for index in 0..BLOCK_WORDS {
        // SAFETY: `index` is below BLOCK_WORDS, so the address stays inside the hole.
        let from = unsafe { hole.add(index) };
        // SAFETY: the hole is a live static. Volatile, because the compiler knows only the zeroes in the file.
        let word = unsafe { from.read_volatile() };
        // SAFETY: as for the hole, which is as long.
        let to = unsafe { copy.add(index) };
        // SAFETY: a live static. Who refers to it from an earlier call was interrupted by an exception, and never goes on.
        unsafe { to.write(word) };
    }
    // SAFETY: live, initialised, and from here on written to by nobody who comes back.
    let words = unsafe { &*COPY.0.get() };
    zerocopy::transmute_ref!(words)
}

/// Where the purgatory finds itself.
pub fn itself() -> Itself {
    let start = (&raw const __image_start).addr() as u64;
    Itself {
        start,
        written_offset: (&raw const __written_start).addr() as u64 - start,
        image_len: (&raw const __image_end).addr() as u64 - start,
    }
}

/// The bytes of a proven span.
pub fn bytes(span: Span) -> &'static [u8] {
    // SAFETY: received.rs has shown that the span does not wrap, does not start at 0, and overlaps nothing that this program
    // writes while the slice is used: the story writes to the report field and the elfcorehdr only after verification, through
    // the functions below. That it is mapped, the header of this file explains.
    unsafe { slice::from_raw_parts(span.start() as *const u8, span.len() as usize) }
}

/// The elfcorehdr, to be mended.
pub fn elfcorehdr(span: Span) -> &'static mut [u8] {
    // SAFETY: as in `bytes`; received.rs has shown that the elfcorehdr overlaps no region, so no other slice names it, and the
    // story asks for it once.
    unsafe { slice::from_raw_parts_mut(span.start() as *mut u8, span.len() as usize) }
}

/// The report field of the command line, to be filled in.
pub fn report_field(span: Span) -> &'static mut [u8; FIELD_LEN] {
    // SAFETY: as in `bytes`; received.rs has shown that the field lies in the command line, whose slice verification has dropped.
    let field = unsafe { slice::from_raw_parts_mut(span.start() as *mut u8, span.len() as usize) };
    <[u8; FIELD_LEN]>::mut_from_bytes(field).expect("received.rs has checked the length")
}

//! Physical memory as slices.
//!
//! These facts make it sound:
//! * The kernel mapped all its RAM and every segment of the image one to one, writable
//!   (`init_pgtable`, arch/x86/kernel/machine_kexec_64.c). If a span is not mapped after all, a
//!   page fault is raised, and ends as a verdict.
//! * A [`Span`] exists only after `received.rs` has shown where it is.
//! * No other Rust code runs.
//!
//! A device, or a CPU that did not stop, may still write to these bytes. The digests exist to
//! detect that, and every bit pattern of a `u8` is valid. Reading a byte twice is harmless, even if
//! it changes in between. If the leaf table changes after the seal was checked, a leaf differs.
//! Each check of the elfcorehdr uses what it reads itself, and the capture kernel reads the header
//! again in any case.

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::slice;

use handoff::Block;
use handoff::report::FIELD_LEN;
use purgatory::received::{Itself, Span};
use zerocopy::FromBytes;

/// The block in words, because a volatile read of an array of bytes becomes one instruction per
/// byte.
const BLOCK_WORDS: usize = size_of::<Block>() / size_of::<u64>();

/// Room for a [`Block`].
#[repr(C)]
struct Hole(UnsafeCell<[u64; BLOCK_WORDS]>);

// SAFETY: only one thread of Rust code exists, so nothing is shared.
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

/// What [`received_block`] has read. On the stack it would push the deepest frames into the page of
/// the stack's guard.
static COPY: Hole = Hole(UnsafeCell::new([0; BLOCK_WORDS]));

/// The block as it is in memory now. The story calls this once, and an exception's handler once
/// more.
pub fn received_block() -> &'static Block {
    let hole: *const u64 = HOLE.0.get().cast();
    let copy: *mut u64 = COPY.0.get().cast();
    for index in 0..BLOCK_WORDS {
        // SAFETY: `index` is below BLOCK_WORDS, so the address stays inside the hole.
        let from = unsafe { hole.add(index) };
        // SAFETY: the hole is a live static. Volatile, because the compiler knows only the zeroes
        // in the file.
        let word = unsafe { from.read_volatile() };
        // SAFETY: as for the hole, which is as long.
        let to = unsafe { copy.add(index) };
        // SAFETY: a live static. Earlier references belong to code that an exception interrupted
        // and that never resumes.
        unsafe { to.write(word) };
    }
    // SAFETY: live and initialized. Only a handler that never returns writes to it from here on.
    let words = unsafe { &*COPY.0.get() };
    zerocopy::transmute_ref!(words)
}

/// Where the purgatory is in memory.
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
    // SAFETY: received.rs has shown that the span does not wrap, does not start at 0, and overlaps
    // nothing that this program writes while the slice is used. The story writes to the report
    // field and the elfcorehdr only after verification, through the functions below. The header of
    // this file says why the span is mapped.
    unsafe { slice::from_raw_parts(span.start() as *const u8, span.len() as usize) }
}

/// The elfcorehdr, to be checked and restored.
pub fn elfcorehdr(span: Span) -> &'static mut [u8] {
    // SAFETY: as in `bytes`. received.rs has shown that the elfcorehdr overlaps no region, so no
    // other slice covers it, and the story calls this once.
    unsafe { slice::from_raw_parts_mut(span.start() as *mut u8, span.len() as usize) }
}

/// The report field of the command line, to be filled in.
pub fn report_field(span: Span) -> &'static mut [u8; FIELD_LEN] {
    // SAFETY: as in `bytes`. received.rs has shown that the field is inside the command line, whose
    // slice is no longer used after verification.
    let field = unsafe { slice::from_raw_parts_mut(span.start() as *mut u8, span.len() as usize) };
    <[u8; FIELD_LEN]>::mut_from_bytes(field).expect("received.rs has checked the length")
}

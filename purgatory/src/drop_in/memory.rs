//! Physical memory as slices, for the drop-ins.
//!
//! These facts make it sound: all memory is mapped one to one, no other Rust code runs, and every
//! bit pattern of a `u8` is valid.

use core::slice;

use super::regions::Region;
use crate::received::Itself;

// From linker/drop-in.ld. Only their addresses mean anything.
unsafe extern "C" {
    static __image_start: u8;
    static __image_end: u8;
}

/// Where this program is in memory. All of it counts as written: no digest covers it.
pub fn itself() -> Itself {
    let start = (&raw const __image_start).addr() as u64;
    Itself { start, written_offset: 0, image_len: (&raw const __image_end).addr() as u64 - start }
}

/// The word at the top of the stack that the kernel left.
pub fn word(stack_on_entry: u64) -> u64 {
    // SAFETY: the stack is the kernel's, in a mapped page, with a return address on top
    // (`relocate_kernel`, arch/x86/kernel/relocate_kernel_64.S). Volatile, because no Rust code
    // wrote it.
    unsafe { (stack_on_entry as *const u64).read_volatile() }
}

/// The bytes of a region.
pub fn bytes(region: Region) -> &'static [u8] {
    // SAFETY: regions.rs has shown that the region does not wrap, does not start at 0 and shares no
    // byte with this program. The program writes to nothing else while the slice is used. If the
    // region is not mapped, a page fault ends in `exception`.
    unsafe { slice::from_raw_parts(region.start() as *const u8, region.size() as usize) }
}

//! `[6]` Copies memory by physical address. A slice would not do: Rust allows none at address 0,
//! where low memory begins.

use core::arch::asm;

/// Copies `len` bytes from `from` to `to`, first byte first.
pub fn copy(from: u64, to: u64, len: u64) {
    // SAFETY: the kernel mapped all memory one to one, writable. The host's loader gave the caller
    // both ends: low memory and a segment made for it, or the room after a command line. No Rust
    // reference covers either.
    unsafe {
        asm!(
            "rep movsb",
            inout("rsi") from => _, inout("rdi") to => _, inout("rcx") len => _,
            options(att_syntax, nostack, preserves_flags)
        )
    };
}

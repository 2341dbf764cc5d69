//! `[6]` Memory to memory, by physical address; address 0, of which Rust makes no slice, is one like any other.

use core::arch::asm;

/// Copies `len` bytes from `from` to `to`, first byte first.
pub fn copy(from: u64, to: u64, len: u64) {
    // SAFETY: the kernel mapped all of memory one to one, writable; what lies there is nobody's but the caller's, who has it from
    // the host's loader: low memory and a segment that was made to take it, or the room behind a command line.
    unsafe {
        asm!(
            "rep movsb",
            inout("rsi") from => _, inout("rdi") to => _, inout("rcx") len => _,
            options(att_syntax, nostack, preserves_flags)
        )
    };
}

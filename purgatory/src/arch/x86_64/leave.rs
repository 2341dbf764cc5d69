//! `[7]` The jump into the capture kernel.

use core::arch::{asm, global_asm};

use handoff::Permissions;

use super::guard;

global_asm!(include_str!("leave.S"), options(att_syntax));

/// Enters the capture kernel at `rip` with `rsi` = boot parameters, and CR0, CR4 and DR7 as they
/// were on entry. Never returns.
pub fn leave(permissions: Permissions, rip: u64, rsi: u64) -> ! {
    guard::lift(permissions);
    // SAFETY: received.rs has shown that `rip` is in the verified kernel and `rsi` in the verified
    // boot parameters. leave.S needs only the control registers that entry.S saved.
    unsafe { asm!("jmp leave", in("rdi") rip, in("rsi") rsi, options(att_syntax, noreturn)) }
}

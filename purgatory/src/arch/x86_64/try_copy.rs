//! `[4c]` Copies memory that may not be readable: a page that is not mapped, or memory that fails.
//! The exception is handled, and the copy ends early.
//!
//! The handler resumes elsewhere, so it needs nothing of the interrupted instruction. trap.S lets
//! the next exception be reported again. Both would be wrong if this ran inside a handler: an
//! exception there overwrites the handler's own frame, and resets the machine.

use core::arch::global_asm;

use handoff::Permissions;

use super::banks;
use super::trap::{MACHINE_CHECK, TrapFrame};

/// A reference to an address that is not canonical (SDM vol. 3A, "Interrupt 13").
const GENERAL_PROTECTION: u64 = 13;
/// A page that is not mapped (SDM vol. 3A, "Interrupt 14").
const PAGE_FAULT: u64 = 14;

global_asm!(include_str!("try_copy.S"), options(att_syntax));

unsafe extern "sysv64" {
    /// 1 if all was copied, else 0 (try_copy.S).
    fn try_copy(to: u64, from: u64, len: u64) -> u32;
}

// From try_copy.S. Only their addresses mean anything.
unsafe extern "C" {
    static try_copy_begin: u8;
    static try_copy_end: u8;
    static try_copy_failed: u8;
}

/// Copies `len` bytes, lowest first. Returns false if an exception was raised.
pub fn copy(from: u64, to: u64, len: u64) -> bool {
    // SAFETY: received/black_box.rs has shown that the destination is in whole pages of the crash
    // region which nothing else uses, and that the source is outside the crash region. No Rust
    // reference covers either. If the source cannot be read, `resume` ends the copy.
    unsafe { try_copy(to, from, len) != 0 }
}

/// If the exception was raised by [`copy`] and the program is sound without that copy, makes it
/// resume where [`copy`] returns false.
pub fn resume(frame: &mut TrapFrame, permissions: Permissions) -> bool {
    let address = |mark: *const u8| mark.addr() as u64;
    let copying = address(&raw const try_copy_begin)..address(&raw const try_copy_end);
    let copied = copying.contains(&frame.rip)
        && match frame.vector {
            GENERAL_PROTECTION | PAGE_FAULT => true,
            MACHINE_CHECK => banks::recover(permissions),
            _ => false,
        };
    if copied {
        frame.rip = address(&raw const try_copy_failed);
    }
    copied
}

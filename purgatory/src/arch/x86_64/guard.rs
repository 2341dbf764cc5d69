//! `[2]` A guard at the end of the stack: the four debug registers watch its last 32 bytes. A write
//! there raises an exception, which is delivered on another stack.
//!
//! `cargo xtask audit` shows that no chain of calls gets that deep. The guard catches what the
//! audit cannot see: corrupted code.

use core::arch::asm;

use handoff::Permissions;

/// DR7: each of the four addresses is watched for writes (R/W 01) of eight bytes (LEN 10), globally
/// (G), exactly (GE); bit 10 is always set (SDM vol. 3B, "Debug control register").
const DR7_WATCH: u64 = 0x9999_0000 | 0b10_10_10_10 | 1 << 9 | DR7_OFF;
/// DR7: nothing is watched. The kernel leaves it so, with 0 in DR0 to DR3 (`hw_breakpoint_disable`,
/// arch/x86/include/asm/debugreg.h).
const DR7_OFF: u64 = 1 << 10;
/// Bytes that one register watches.
const WATCHED: usize = 8;

// From linker/purgatory.ld. The story's stack grows down to where the exceptions' stack begins.
unsafe extern "C" {
    static __trap_stack_top: u8;
}

/// Sets the guard if the block allows it: writing DR7 raises #VC in an SEV-ES guest.
#[inline(never)] // `cargo xtask audit` knows debug registers by this name
pub fn set(permissions: Permissions) {
    if !permissions.allow(Permissions::DEBUG) {
        return;
    }
    let end = (&raw const __trap_stack_top).addr();
    // SAFETY: debug registers only decide when #DB is raised, which ends as a verdict. `lift` runs
    // before the capture kernel.
    unsafe {
        asm!(
            "movq {0}, %dr0", "movq {1}, %dr1", "movq {2}, %dr2", "movq {3}, %dr3",
            "movq {4}, %dr7",
            in(reg) end, in(reg) end + WATCHED, in(reg) end + 2 * WATCHED,
            in(reg) end + 3 * WATCHED, in(reg) DR7_WATCH,
            options(att_syntax, nostack, preserves_flags)
        )
    };
}

/// Lifts the guard, and restores the registers. The capture kernel may use these addresses, and
/// runs without a handler at first.
#[inline(never)] // `cargo xtask audit` knows debug registers by this name
pub fn lift(permissions: Permissions) {
    if permissions.allow(Permissions::DEBUG) {
        // SAFETY: the registers get the values that they had on entry; nothing is watched.
        unsafe {
            asm!(
                "movq {0}, %dr7",
                "movq {1}, %dr0", "movq {1}, %dr1", "movq {1}, %dr2", "movq {1}, %dr3",
                in(reg) DR7_OFF, in(reg) 0_u64,
                options(att_syntax, nostack, preserves_flags)
            )
        };
    }
}

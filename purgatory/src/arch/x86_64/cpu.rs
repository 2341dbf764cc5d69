//! `[4]` The CPU: which engine it can run, and the time.

use core::arch::asm;

use digest::{Engine, EngineKind, ShaNi};
use handoff::Permissions;

/// The engine that the sealed block names. If CPUID is allowed and this CPU lacks the engine, the
/// portable one.
pub fn engine(chosen: EngineKind, permissions: Permissions) -> Engine {
    if permissions.allow(Permissions::CPUID) {
        return Engine::detect(chosen).unwrap_or(Engine::soft());
    }
    match chosen {
        EngineKind::Soft => Engine::soft(),
        // SAFETY: entry.S switched SSE on. The seal holds, so the block is the loader's, and the
        // loader found SHA-NI, SSSE3 and SSE4.1 on every CPU of this machine (`Machine::read`).
        EngineKind::ShaNi => Engine::ShaNi(unsafe { ShaNi::assume() }),
    }
}

/// The time-stamp counter. A hypervisor can make RDTSC fault in a confidential guest, so only Rust
/// code executes it: there, an exception ends as a verdict.
#[inline(never)] // `cargo xtask audit` knows RDTSC by this name
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: RDTSC exists on every x86-64 CPU; CR4.TSD is 0 and would not matter at CPL 0.
    unsafe {
        asm!(
            "rdtsc", out("eax") low, out("edx") high,
            options(att_syntax, nomem, nostack, preserves_flags)
        )
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Waits for `ticks` of the time-stamp counter.
pub fn wait(ticks: u64) {
    let start = tsc();
    while tsc().wrapping_sub(start) < ticks {
        core::hint::spin_loop();
    }
}

//! `[4]` Which engine the CPU can run, determined by executing its instructions.
//!
//! CPUID is no option. It raises #VC in SEV-ES and SEV-SNP guests and may raise #VE in TDX guests.
//! Their handlers are gone by now, and no host says whether this is such a guest. A missing
//! instruction raises #UD everywhere, which we handle ourselves.

use core::arch::global_asm;

use digest::{Engine, ShaNi};

use super::trap::TrapFrame;

/// Invalid opcode (SDM vol. 3A, "Interrupt 6").
const INVALID_OPCODE: u64 = 6;

global_asm!(include_str!("probe.S"), options(att_syntax));

unsafe extern "sysv64" {
    /// 1 if the CPU has all instructions that `ShaNi` stands for, else 0 (probe.S).
    safe fn probe_sha_ni() -> u32;
}

// From probe.S. Only their addresses mean anything.
unsafe extern "C" {
    static probe_begin: u8;
    static probe_end: u8;
    static probe_missing: u8;
}

/// The fastest engine.
pub fn engine() -> Engine {
    if probe_sha_ni() == 0 {
        return Engine::soft();
    }
    // SAFETY: the probe executed one of each kind of SHA, SSSE3 and SSE4.1 instruction, so they
    // exist and SSE is on.
    Engine::ShaNi(unsafe { ShaNi::assume() })
}

/// If the exception answers the probe, makes it resume where [`engine`] learns that the CPU lacks
/// the instruction.
pub fn resume(frame: &mut TrapFrame) -> bool {
    let address = |mark: *const u8| mark.addr() as u64;
    let probed = address(&raw const probe_begin)..address(&raw const probe_end);
    let missing = frame.vector == INVALID_OPCODE && probed.contains(&frame.rip);
    if missing {
        frame.rip = address(&raw const probe_missing);
    }
    missing
}

//! `[12]` The panic, on the ordered CPU (`__crash_kexec`, kernel/crash_core.c;
//! `native_machine_crash_shutdown`, arch/x86/kernel/crash.c).
//!
//! *On entry*: one CPU has executed the story, and the others are idle.
//!
//! *On exit*: the CPU that panics is in the purgatory. The others are halted, except for one that
//! sends NMIs if a storm is ordered.

use orders::{Crash, Nmi};
use spin::Once;

use crate::elfcorehdr::Written;
use crate::harness::line;
use crate::idmap::Identity;
use crate::memory::Memory;
use crate::{apic, jump, notes, smp};

/// The facts at the panic.
#[derive(Debug)]
pub struct Crashed {
    pub crash: Crash<'static>,
    /// RAM, including DIMMs that were plugged in.
    pub memory: Memory,
    /// The way into the purgatory.
    pub identity: Identity,
    /// What the elfcorehdr says.
    pub written: Written,
}

/// For the CPU that panics, which may be another than the one that executed the story.
static CRASHED: Once<Crashed> = Once::new();

pub fn as_ordered(crashed: Crashed) -> ! {
    let panic_cpu = CRASHED.call_once(|| crashed).crash.panic_cpu;
    smp::run_on(panic_cpu, panic)
}

fn crashed() -> &'static Crashed {
    CRASHED.get().expect("as_ordered has set it")
}

fn panic() -> ! {
    let Crash { nmi, nmi_ready, .. } = &crashed().crash;
    match nmi {
        Nmi::None => crash_kexec(),
        Nmi::Latched => smp::panic_in_nmi(crash_kexec),
        Nmi::Storm => {
            smp::storm(apic::id(), *nmi_ready);
            crash_kexec()
        }
    }
}

fn crash_kexec() -> ! {
    let crashed = crashed();
    // Counted before they are stopped.
    let online = smp::cpus().count() as u32;
    smp::stop_others();
    let state = jump::state(&crashed.crash, &crashed.identity);
    notes::save(crashed, &state, online);
    line!("panic on cpu {}", crashed.crash.panic_cpu);
    jump::enter(&crashed.crash, &crashed.identity, &state)
}

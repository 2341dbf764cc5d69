//! `[4]` A CPU that cannot be stopped, and that sends NMIs to the one that panics.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use super::cpu::{self, State};
use super::work;
use crate::harness::give_up;
use crate::timeout::Timeout;
use crate::{apic, memory, notes};

/// Microseconds between two NMIs, so that the interrupted code makes progress.
const PAUSE_US: u64 = 20;
/// Seconds within which the CPU must be ready.
const READY_SECONDS: u64 = 10;

static TARGET: AtomicU32 = AtomicU32::new(0);
static READY: AtomicU64 = AtomicU64::new(0);

/// Makes an idle CPU send NMIs to the one with APIC id `target` until the machine ends. It starts
/// when the word at physical address `ready` is no longer zero; `ramdisk.rs` has checked that the
/// word is in a segment. Must be called before [`super::stop_others`], which skips this
/// CPU.
pub fn storm(target: u32, ready: u64) {
    TARGET.store(target, SeqCst);
    READY.store(ready, SeqCst);
    let idle = cpu::others().find(|cpu| cpu.state.load() == State::Idle && cpu.apic_id() != target);
    let Some(cpu) = idle else {
        give_up(format_args!("no CPU is idle that could send NMIs to APIC id {target}"))
    };
    work::give(cpu, send_endlessly);
    if !Timeout::seconds(READY_SECONDS).reached_before(|| cpu.state.load() == State::Unstoppable) {
        give_up(format_args!("CPU {} did not begin to send NMIs", cpu.number()));
    }
}

fn send_endlessly() -> ! {
    let cpu = cpu::this();
    // In Linux a CPU that does not stop leaves no note. Here the contract gives every CPU that is
    // online at the panic a note.
    notes::save_own(cpu.apic_id());
    let (target, ready) = (TARGET.load(SeqCst), READY.load(SeqCst));
    cpu.state.store(State::Unstoppable);
    // Without PAUSE, at which QEMU switches to another CPU: the target may be in the purgatory for
    // a few milliseconds only.
    while memory::read_word(ready) == 0 {}
    loop {
        apic::send_nmi(target);
        Timeout::microseconds(PAUSE_US).wait();
    }
}

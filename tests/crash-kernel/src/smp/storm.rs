//! [4] A CPU that cannot be stopped, and that sends NMIs to the one that panics.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use super::cpu::{self, State};
use super::work;
use crate::harness::give_up;
use crate::timeout::Timeout;
use crate::{apic, memory, notes};

/// Microseconds between two NMIs: room for what is interrupted to get on.
const PAUSE_US: u64 = 20;
/// Seconds in which the CPU has to be ready.
const READY_SECONDS: u64 = 10;

static TARGET: AtomicU32 = AtomicU32::new(0);
static READY: AtomicU64 = AtomicU64::new(0);

/// Lets an idle CPU loose on the one with APIC id `target`: it waits until the word at physical address `ready`, aligned and in a
/// segment as `ramdisk.rs` has seen, is no longer zero, then sends NMIs for ever. To be called before [`super::stop_others`], which
/// leaves it alone.
pub fn storm(target: u32, ready: u64) {
    TARGET.store(target, SeqCst);
    READY.store(ready, SeqCst);
    let idle = cpu::others().find(|cpu| cpu.state() == State::Idle && cpu.apic_id() != target);
    let Some(cpu) = idle else { give_up(format_args!("no CPU is idle that could send NMIs to APIC id {target}")) };
    work::give(cpu, send_for_ever);
    if !Timeout::seconds(READY_SECONDS).reached_before(|| cpu.state() == State::Unstoppable) {
        give_up(format_args!("CPU {} did not begin to send NMIs", cpu.number()));
    }
}

fn send_for_ever() -> ! {
    let cpu = cpu::this();
    // Not as in Linux, where a CPU that does not stop leaves none: by the contract every CPU that is online at the panic has a
    // note.
    notes::save_own(cpu.apic_id());
    let (target, ready) = (TARGET.load(SeqCst), READY.load(SeqCst));
    cpu.set_state(State::Unstoppable);
    // Without PAUSE, at which QEMU takes the turn from this CPU: there may be no more than some milliseconds in which to hit the
    // target.
    while memory::read_word(ready) == 0 {}
    loop {
        apic::send_nmi(target);
        Timeout::microseconds(PAUSE_US).wait();
    }
}

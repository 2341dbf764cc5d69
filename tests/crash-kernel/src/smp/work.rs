//! `[2]` Idle, and the work that ends it.

use x86_64::instructions::hlt;

use super::cpu::{self, Cpu, Order, State, Work};
use crate::apic;
use crate::harness::give_up;
use crate::timeout::Timeout;

/// Microseconds after which a CPU that has not taken its work is woken again. An NMI between its
/// check for work and its HLT has no effect.
const WAKE_AGAIN_US: u64 = 1_000;
/// Seconds within which a CPU must obey.
const OBEY_SECONDS: u64 = 10;

/// Waits for work, and runs it. `cpu` is the CPU that executes this, and its state is idle already.
pub fn idle(cpu: &'static Cpu) -> ! {
    loop {
        if let Some(work) = cpu.work.take() {
            cpu.state.store(State::Busy);
            work();
        }
        hlt();
    }
}

/// Makes the CPU with this number run `work`. If that is another CPU, the caller becomes idle.
pub fn run_on(number: u32, work: Work) -> ! {
    let (own, other) = (cpu::this(), cpu::numbered(number));
    if own.number() == number {
        work()
    }
    // Before `work` begins, because `work` may need this CPU. It takes its order in `idle`.
    own.state.store(State::Idle);
    give(other, work);
    idle(own)
}

/// Wakes an idle CPU to run `work`, and waits until it has taken it.
pub fn give(cpu: &Cpu, work: Work) {
    if cpu.state.load() != State::Idle {
        give_up(format_args!("CPU {} is {:?} and takes no work", cpu.number(), cpu.state.load()));
    }
    cpu.work.store(Some(work));
    let limit = Timeout::seconds(OBEY_SECONDS);
    let taken = limit.reached_before(|| {
        apic::send_nmi(cpu.apic_id());
        Timeout::microseconds(WAKE_AGAIN_US).reached_before(|| cpu.work.load().is_none())
    });
    if !taken {
        give_up(format_args!("CPU {} did not wake within {OBEY_SECONDS} s", cpu.number()));
    }
}

/// Takes a CPU out of service, so that it can be unplugged.
pub fn stop(number: u32) {
    let cpu = cpu::numbered(number);
    if cpu.state.load() != State::Idle {
        give_up(format_args!(
            "CPU {number} is {:?} and cannot be taken out of service",
            cpu.state.load()
        ));
    }
    cpu.order.store(Order::GoOffline);
    apic::send_nmi(cpu.apic_id());
    if !Timeout::seconds(OBEY_SECONDS).reached_before(|| cpu.state.load() == State::Offline) {
        give_up(format_args!("CPU {number} did not stop within {OBEY_SECONDS} s"));
    }
}

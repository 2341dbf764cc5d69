//! `[3]` The NMI handler, and work inside it.
//!
//! *On entry* of the handler: on the interrupted stack, with further NMIs blocked until IRET (SDM
//! vol. 3A, "Handling Multiple NMIs").
//!
//! *On exit*: it returned, and an idle CPU is awake; or it never returns.

use x86_64::instructions::hlt;
use x86_64::structures::idt::InterruptStackFrame;

use super::cpu::{self, Cpu, Order, State, Work};
use crate::harness::give_up;
use crate::timeout::Timeout;
use crate::{apic, notes};

/// Seconds that the others have to stop. Linux waits for one (`nmi_shootdown_cpus`,
/// arch/x86/kernel/reboot.c). Here the host may not schedule a CPU for long.
const SHOOTDOWN_SECONDS: u64 = 10;

/// The handler of vector 2 in the kernel's IDT, with IST 0.
pub extern "x86-interrupt" fn nmi_entry(_: InterruptStackFrame) {
    let cpu = cpu::this();
    match cpu.order.take() {
        // Another CPU wakes this one, or the chipset raised an NMI, which this kernel ignores.
        Order::None => {}
        Order::Stop => {
            notes::save_own(cpu.apic_id());
            apic::disable();
            halt_in_handler(cpu, State::Stopped)
        }
        Order::GoOffline => {
            apic::disable();
            halt_in_handler(cpu, State::Offline)
        }
        Order::Panic => {
            // This NMI has not ended, so the new one is latched until an IRET.
            apic::send_nmi(cpu.apic_id());
            match cpu.work.take() {
                Some(work) => work(),
                None => unreachable!("panic_in_nmi sets both"),
            }
        }
    }
}

/// Halts in the handler, as `crash_nmi_callback` ends (arch/x86/kernel/reboot.c). Neither
/// interrupts nor NMIs end that.
fn halt_in_handler(cpu: &Cpu, state: State) -> ! {
    cpu.state.store(state);
    loop {
        hlt();
    }
}

/// Stops every other CPU that can be stopped, and sets this CPU's APIC as Linux does.
pub fn stop_others() {
    let stoppable = || cpu::others().filter(|cpu| cpu.state.load() != State::Unstoppable);
    stoppable().for_each(|cpu| {
        cpu.order.store(Order::Stop);
        apic::send_nmi(cpu.apic_id());
    });
    if !Timeout::seconds(SHOOTDOWN_SECONDS).reached_before(|| stoppable().next().is_none()) {
        let running = stoppable().next().map(Cpu::number);
        give_up(format_args!("CPU {running:?} did not stop within {SHOOTDOWN_SECONDS} s"));
    }
    apic::leave_for_next_kernel();
}

/// Runs `work` inside an NMI handler of this CPU, with a second NMI latched. The next IRET delivers
/// it.
pub fn panic_in_nmi(work: Work) -> ! {
    let cpu = cpu::this();
    cpu.work.store(Some(work));
    cpu.order.store(Order::Panic);
    apic::send_nmi(cpu.apic_id());
    // The handler does not return.
    Timeout::seconds(SHOOTDOWN_SECONDS).wait();
    give_up(format_args!("CPU {} did not get the NMI that it sent to itself", cpu.number()))
}

//! (6) What the purgatory has signaled out of the machine.
//!
//! *On entry*: the machine was judged; one that hangs still runs.
//! *On exit*: QEMU has seen one event for each pvpanic port, and the event log of a machine that
//! hangs ends with the verdict's entry. The log is in QEMU: it cannot be read after its end.

use super::case::{Case, Ended};
use super::memory::Memory;
use crate::error::{Error, check_eq};
use crate::machine::controller;
use crate::machine::vm::Vm;

/// The guest signaled as its block says.
pub fn check_signals(case: &Case, memory: &Memory, vm: &mut Vm) -> Result<(), Error> {
    let signals = memory.block().black_box.signals;
    let halted = case.expect.ended == Ended::Halted;
    if halted {
        // Events come before the answer to a command.
        vm.monitor.all_cpus_halted()?;
    } else {
        vm.monitor.read_to_end();
    }
    let expected = usize::from(signals.pvpanic_port.get() != 0);
    check_eq!(vm.monitor.crash_loaded(), expected, "events that the capture kernel is entered")?;
    if signals.kcs_port.get() == 0 || !halted {
        return Ok(());
    }
    controller::expect_newest_entry(vm, case.expect.verdict)
}

//! `[11]` The steps between loading and the panic.

use core::ops::Range;

use orders::{Crash, Step, map};

use crate::elfcorehdr::{self, Written};
use crate::harness::{give_up, line};
use crate::memory::{self, Memory};
use crate::{hotplug, smp};

/// Executes all steps in order. Returns what the elfcorehdr says afterwards.
pub fn follow(crash: &Crash<'_>, memory: &mut Memory) -> Written {
    let mut written = Written::at_load(memory);
    for (number, step) in crash.steps.iter().enumerate() {
        line!("step {number} {}", name(step));
        take(step, crash, memory, &mut written);
    }
    written
}

/// Executes one step. Linux rewrites the elfcorehdr after each event, except for memory removal:
/// there it does so before.
fn take(step: &Step<'_>, crash: &Crash<'_>, memory: &mut Memory, written: &mut Written) {
    match *step {
        Step::Write { at, bytes } => return stray_write(at, bytes),
        Step::Rewrite => {}
        Step::MemoryAdded => memory.add(hotplug::await_memory_added()),
        Step::MemoryRemoved => {
            let span = hotplug::await_memory_removed();
            elfcorehdr::rewrite(crash, memory, written);
            memory.remove(span);
            return hotplug::finish_memory_removal(span);
        }
        Step::CpuAdded => _ = smp::start(hotplug::await_cpu_added()),
        Step::CpuRemoved => {
            let apic_id = hotplug::await_cpu_removed();
            let Some((number, _)) = smp::cpus().find(|cpu| cpu.1 == apic_id) else {
                give_up(format_args!(
                    "the CPU with APIC id {apic_id} is to be removed, but is not online"
                ))
            };
            smp::stop(number);
            hotplug::finish_cpu_removal(apic_id);
        }
    }
    elfcorehdr::rewrite(crash, memory, written);
}

/// Writes in the crash region, or where a kernel log is put: elsewhere this kernel might damage
/// itself.
fn stray_write(at: u64, bytes: &[u8]) {
    let crash_region = map::CRASH_REGION_START..map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    let log = map::KERNEL_LOG..map::KERNEL_LOG + map::KERNEL_LOG_LEN;
    let holds = |room: &Range<u64>| room.contains(&at) && bytes.len() as u64 <= room.end - at;
    if ![crash_region, log].iter().any(holds) {
        give_up(format_args!(
            "{} bytes are to be written to {at:#x}, outside the crash region and the kernel log",
            bytes.len()
        ));
    }
    memory::write(at, bytes);
}

fn name(step: &Step<'_>) -> &'static str {
    match step {
        Step::MemoryAdded => "memory added",
        Step::MemoryRemoved => "memory removed",
        Step::CpuAdded => "cpu added",
        Step::CpuRemoved => "cpu removed",
        Step::Rewrite => "rewrite",
        Step::Write { .. } => "write",
    }
}

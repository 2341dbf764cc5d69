//! `[10]` The steps between loading and the panic.

use core::ops::Range;

use orders::{StepKind, map};

use crate::elfcorehdr::{self, Written};
use crate::harness::{give_up, line};
use crate::memory::{self, Memory};
use crate::ramdisk::{Crash, Step};
use crate::{hotplug, smp};

/// Executes all steps in order. Returns what the elfcorehdr says afterwards.
pub fn follow(crash: &Crash, memory: &mut Memory) -> Written {
    let mut written = Written::at_load(memory);
    for (number, step) in crash.steps.iter().enumerate() {
        line!("step {number} {}", name(step.kind));
        take(step, crash, memory, &mut written);
    }
    written
}

/// Executes one step. Linux rewrites the elfcorehdr after each event, except for memory removal:
/// there it does so before.
fn take(step: &Step, crash: &Crash, memory: &mut Memory, written: &mut Written) {
    match step.kind {
        StepKind::Write => return stray_write(step),
        StepKind::Rewrite => {}
        StepKind::MemoryAdded => memory.add(hotplug::await_memory_added()),
        StepKind::MemoryRemoved => {
            let span = hotplug::await_memory_removed();
            elfcorehdr::rewrite(crash, memory, written);
            memory.remove(span);
            return hotplug::finish_memory_removal(span);
        }
        StepKind::CpuAdded => _ = smp::start(hotplug::await_cpu_added()),
        StepKind::CpuRemoved => {
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
fn stray_write(step: &Step) {
    let crash_region = map::CRASH_REGION_START..map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    let log = map::KERNEL_LOG..map::KERNEL_LOG + map::KERNEL_LOG_LEN;
    let holds = |room: &Range<u64>| {
        room.contains(&step.at) && step.bytes.len() as u64 <= room.end - step.at
    };
    if ![crash_region, log].iter().any(holds) {
        give_up(format_args!(
            "{} bytes are to be written to {:#x}, outside the crash region and the kernel log",
            step.bytes.len(),
            step.at
        ));
    }
    memory::write(step.at, step.bytes);
}

fn name(kind: StepKind) -> &'static str {
    match kind {
        StepKind::MemoryAdded => "memory added",
        StepKind::MemoryRemoved => "memory removed",
        StepKind::CpuAdded => "cpu added",
        StepKind::CpuRemoved => "cpu removed",
        StepKind::Rewrite => "rewrite",
        StepKind::Write => "write",
    }
}

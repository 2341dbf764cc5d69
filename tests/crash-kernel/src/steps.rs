//! [10] What happens between loading and the panic.

use orders::{StepKind, map};

use crate::elfcorehdr::{self, Written};
use crate::harness::{give_up, line};
use crate::memory::{self, Memory};
use crate::ramdisk::{Crash, Step};
use crate::{hotplug, smp};

/// Follows all steps in order; returns what the elfcorehdr says by then.
pub fn follow(crash: &Crash, memory: &mut Memory) -> Written {
    let mut written = Written::at_load(memory);
    for (number, step) in crash.steps.iter().enumerate() {
        line!("step {number} {}", name(step.kind));
        take(step, crash, memory, &mut written);
    }
    written
}

/// Takes one step. Of the events on which Linux rewrites the elfcorehdr, only memory's removal is told before it has happened.
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
                give_up(format_args!("the CPU with APIC id {apic_id} is asked back, and is not online"))
            };
            smp::stop(number);
            hotplug::finish_cpu_removal(apic_id);
        }
    }
    elfcorehdr::rewrite(crash, memory, written);
}

/// Only in the crash region: elsewhere this kernel might damage itself.
fn stray_write(step: &Step) {
    let crash_region = map::CRASH_REGION_START..map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    if !crash_region.contains(&step.at) || step.bytes.len() as u64 > crash_region.end - step.at {
        give_up(format_args!("{} bytes are to be written to {:#x}, outside the crash region", step.bytes.len(), step.at));
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

//! [10] What happens between loading and the panic.

use core::ops::Range;

use orders::StepKind;

use crate::harness::{give_up, line};
use crate::memory::{self, Memory};
use crate::ramdisk::{Crash, Step};
use crate::{elfcorehdr, hotplug, smp};

/// Follows all steps in order; returns whether the elfcorehdr is the kernel's own by then.
pub fn follow(crash: &Crash, memory: &mut Memory) -> bool {
    let mut rewritten = false;
    for (number, step) in crash.steps.iter().enumerate() {
        line!("step {number} {}", name(step.kind));
        let changed = take(step, memory);
        rewritten |= changed && elfcorehdr::rewrite(crash, memory);
    }
    rewritten
}

/// Takes one step; returns whether that is an event on which Linux rewrites the elfcorehdr.
fn take(step: &Step, memory: &mut Memory) -> bool {
    match step.kind {
        StepKind::Write => stray_write(step, memory),
        StepKind::Rewrite => {}
        StepKind::MemoryAdded => memory.add(hotplug::await_memory_added()),
        StepKind::MemoryRemoved => {
            let span = hotplug::await_memory_removed();
            memory.remove(span);
            hotplug::finish_memory_removal(span);
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
    step.kind != StepKind::Write
}

fn stray_write(step: &Step, memory: &Memory) {
    let holds = |ram: &Range<u64>| ram.contains(&step.at) && step.bytes.len() as u64 <= ram.end - step.at;
    if !memory.ram.iter().any(holds) {
        give_up(format_args!("{} bytes are to be written to {:#x}, where there is no RAM", step.bytes.len(), step.at));
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

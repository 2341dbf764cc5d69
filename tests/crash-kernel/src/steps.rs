//! [10] What happens between loading and the panic.

use orders::StepKind;

use crate::elfcorehdr;
use crate::harness::{give_up, line};
use crate::memory::{self, Memory};
use crate::ramdisk::Crash;
use crate::{hotplug, smp};

/// Follows all steps in order.
pub fn follow(crash: &Crash, memory: &mut Memory) {
    for (number, step) in crash.steps.iter().enumerate() {
        line!("step {number} {}", name(step.kind));
        match step.kind {
            StepKind::Write => memory::write(step.at, step.bytes),
            StepKind::Rewrite => elfcorehdr::rewrite(crash, memory),
            StepKind::MemoryAdded => {
                let span = hotplug::await_memory_added();
                let (start, len) = (span.start.get(), span.len.get());
                memory.ram.push(start..start + len);
                memory.ram.sort_by_key(|range| range.start);
                memory::write_word(start, orders::note::marker(start));
                memory.markers.push(start);
                elfcorehdr::rewrite(crash, memory);
            }
            StepKind::MemoryRemoved => {
                let span = hotplug::await_memory_removed();
                memory.ram.retain(|range| range.start != span.start.get());
                memory.markers.retain(|at| *at != span.start.get());
                hotplug::finish_memory_removal(span);
                elfcorehdr::rewrite(crash, memory);
            }
            StepKind::CpuAdded => {
                let apic_id = hotplug::await_cpu_added();
                smp::start(apic_id);
                elfcorehdr::rewrite(crash, memory);
            }
            StepKind::CpuRemoved => {
                let apic_id = hotplug::await_cpu_removed();
                let Some((number, _)) = smp::cpus().find(|cpu| cpu.1 == apic_id) else {
                    give_up(format_args!("the CPU with APIC id {apic_id} is to be removed and does not run"))
                };
                smp::stop(number);
                hotplug::finish_cpu_removal(apic_id);
                elfcorehdr::rewrite(crash, memory);
            }
        }
    }
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

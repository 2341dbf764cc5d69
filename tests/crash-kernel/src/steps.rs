//! [10] What happens between loading and the panic.

use orders::StepKind;

use crate::elfcorehdr;
use crate::harness::{give_up, line};
use crate::memory::{self, Memory};
use crate::ramdisk::Crash;

/// Follows all steps in order.
pub fn follow(crash: &Crash, memory: &mut Memory) {
    for (number, step) in crash.steps.iter().enumerate() {
        line!("step {number} {}", name(step.kind));
        match step.kind {
            StepKind::Write => memory::write(step.at, step.bytes),
            StepKind::Rewrite => elfcorehdr::rewrite(crash, memory),
            StepKind::MemoryAdded | StepKind::MemoryRemoved | StepKind::CpuAdded | StepKind::CpuRemoved => {
                give_up(format_args!("this kernel does not take part in {} yet", name(step.kind)))
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

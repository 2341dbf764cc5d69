//! Finds CPUs that the running kernel does not use, because `nr_cpus=`, `possible_cpus=` or its
//! configuration excludes them.
//!
//! Firmware has started these CPUs, and they wait for a startup interrupt. When the kernel decides
//! whether an NMI may be broadcast, it counts only the CPUs that it knows (`apic_smt_update`,
//! arch/x86/kernel/apic/ipi.c). After a panic, the broadcast also reaches the excluded CPUs. They
//! wake up, run firmware, and reset the machine while the purgatory verifies.

use loader::cmdline;

use super::Scene;
use super::files::Files;
use crate::findings::{Code, Finding};

/// ACPI devices by hardware id and number.
const ACPI_DEVICES: &str = "sys/bus/acpi/devices";
/// Processors, as objects and as devices (`processor_device_ids`, drivers/acpi/acpi_processor.c).
const PROCESSORS: [&str; 2] = ["LNXCPU:", "ACPI0007:"];
/// Present and enabled, in what `_STA` returns (ACPI specification, "_STA (Device Status)").
const ENABLED: u32 = 0b11;
/// Keeps the kernel from broadcasting interrupts (arch/x86/kernel/apic/ipi.c).
const NO_BROADCAST: &str = "no_ipi_broadcast";

pub(super) fn look(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let files = Files::new(scene.root);
    let command_line = files.text("proc/cmdline").unwrap_or_default();
    let refused = refused(&files);
    // `no_ipi_broadcast=0` has no effect (`apic_ipi_shorthand` parses a number).
    let broadcasts = cmdline::value(&command_line, NO_BROADCAST)
        .is_none_or(|value| value.trim_start_matches("0x").trim_matches('0').is_empty());
    if refused > 0 && broadcasts {
        let message = format!(
            "the running kernel does not use {refused} of this machine's CPUs: the NMI broadcast \
             after a panic wakes {} up, which can reset the machine before the dump",
            if refused == 1 { "it" } else { "them" },
        );
        let remedy = format!(
            "boot with {NO_BROADCAST}=1, or without the nr_cpus= or possible_cpus= that excludes \
             them"
        );
        findings.push(Finding::new(Code::CpuRefused, message).remedy(remedy));
    }
}

/// Counts ACPI processors that are enabled but have no CPU in the kernel.
///
/// Firmware also lists sockets without a CPU. `_STA` tells them apart; a processor without `_STA`
/// has no file `status` and does not count.
fn refused(files: &Files<'_>) -> usize {
    let is_refused = |name: &String| {
        let device = format!("{ACPI_DEVICES}/{name}");
        let status =
            files.line(format!("{device}/status")).and_then(|status| status.parse::<u32>().ok());
        let enabled = status.is_some_and(|status| status & ENABLED == ENABLED);
        // The link to the kernel's CPU (`acpi_bind_one`, drivers/acpi/glue.c).
        enabled && !files.exists(format!("{device}/physical_node"))
    };
    let processors = files
        .names(ACPI_DEVICES)
        .into_iter()
        .filter(|name| PROCESSORS.iter().any(|id| name.starts_with(id)));
    processors.filter(is_refused).count()
}

//! `[7]` The capture kernel's parameters with `--capture`: those of the user, and defaults that
//! save memory or the dump.
//!
//! *On entry* the parameters that were chosen, the running kernel's command line, and whether DMA
//! must go through a bounce buffer. *On exit* the same parameters, with every default that they do
//! not mention.

use loader::cmdline::{self, Base};
use loader::machine::CpuFacts;
use loader::phys::PhysRange;

/// A default: the parameter's name, and the parameter.
type Default = (&'static str, &'static str);

/// What a capture kernel that runs only /init should get (docs/capture.md has the reasons).
const DEFAULTS: [Default; 6] = [
    // Memory for each CPU.
    ("nr_cpus", "nr_cpus=1"),
    // Memory during the boot: tests of ciphers are among what makes it run out.
    ("cryptomgr.notests", "cryptomgr.notests"),
    // Devices were not shut down ...
    ("reset_devices", "reset_devices"),
    // ... and one without a driver here can still raise the interrupt that the disk shares.
    ("irqpoll", "irqpoll"),
    // DIMMs that were added hold what must be dumped.
    ("acpi_no_memhotplug", "acpi_no_memhotplug"),
    // A capture kernel that panics itself must not hang.
    ("panic", "panic=10"),
];
/// 2 MiB for bounce buffers, in slabs of 2 KiB (`IO_TLB_SHIFT`, include/linux/swiotlb.h). On a
/// machine that can have memory above 4 GiB, the kernel takes up to 64 MiB: as much of it as it
/// gets (`swiotlb_init_remap`, kernel/dma/swiotlb.c), which was 16 of 88 MiB.
const BOUNCE: Default = ("swiotlb", "swiotlb=1024");
/// What every device that can reach it by DMA can address.
const DMA_END: u64 = 1 << 32;
/// What the capture kernel gets as the running kernel has it
/// (Documentation/admin-guide/kernel-parameters.txt). It runs on the same hardware, so it may need
/// what lets the running kernel find its disks and interrupts.
const INHERITED: [&str; 12] = [
    "console",
    // Without it, on a machine with SME, it reads the dump's memory as it is on the bus.
    "mem_encrypt",
    // Windows of host bridges, configuration space, resources, MSI (`pci=nocrs,nommconf`).
    "pci",
    "iommu",
    "intel_iommu",
    "amd_iommu",
    "intremap",
    "acpi",
    "noapic",
    "nolapic",
    "nox2apic",
    // Links and commands of SATA disks that fail otherwise.
    "libata.force",
];

/// Adds the defaults, and what the running kernel's command line says about consoles and hardware.
pub fn complete(base: &mut Base, running: &[u8], bounces: bool) {
    let missing = |&&(name, _): &&Default| !cmdline::has_parameter(&base.line, name);
    let bounce = if bounces { None } else { Some(&BOUNCE) };
    let mut added: Vec<String> = DEFAULTS
        .iter()
        .chain(bounce)
        .filter(missing)
        .map(|(_, parameter)| (*parameter).to_owned())
        .collect();
    for name in INHERITED {
        if !cmdline::has_parameter(&base.line, name) {
            added.extend(cmdline::written(running, name));
        }
    }
    base.append(&added.join(" "));
}

/// Whether the capture kernel's disks may need bounce buffers for all they transfer: devices of a
/// confidential guest cannot read its memory, and some cannot address memory above 4 GiB.
pub fn bounces(cpu: &CpuFacts, crash_regions: &[PhysRange]) -> bool {
    cpu.confidential.is_some() || crash_regions.iter().any(|region| region.end() > DMA_END)
}

#[cfg(test)]
mod tests {
    use loader::machine::ConfidentialGuest;
    use loader::machine::example::machine;

    use super::*;

    const RUNNING: &[u8] = b"root=/dev/vda1 console=tty0 console=ttyS0,115200 crashkernel=80M";

    fn completed(line: &str) -> String {
        let mut base = Base::from(line);
        complete(&mut base, RUNNING, false);
        String::from_utf8(base.line).unwrap()
    }

    #[test]
    fn empty_line_gets_every_default_and_the_running_kernels_consoles_in_order() {
        assert_eq!(
            completed(""),
            "nr_cpus=1 cryptomgr.notests reset_devices irqpoll acpi_no_memhotplug panic=10 \
             swiotlb=1024 console=tty0 console=ttyS0,115200"
        );
    }

    #[test]
    fn parameters_of_the_user_are_kept_and_not_repeated() {
        assert_eq!(
            completed("nr-cpus=2 panic=0 console=hvc0 swiotlb=force -- for init"),
            "nr-cpus=2 panic=0 console=hvc0 swiotlb=force cryptomgr.notests \
             reset_devices irqpoll acpi_no_memhotplug -- for init"
        );
    }

    #[test]
    fn encrypted_memory_stays_readable() {
        let mut base = Base::default();
        complete(&mut base, b"mem_encrypt=on quiet", false);
        assert!(base.line.ends_with(b" mem_encrypt=on"), "{:?}", base.line);
    }

    #[test]
    fn hardware_gets_the_parameters_that_this_machine_was_booted_with() {
        let running = b"pci=nocrs,nommconf quiet pci=realloc intel_iommu=off iommu=pt noapic \
                        intremap=off \"libata.force=1:1.5Gbps noncq\" acpi=noirq hugepages=9 \
                        nolapic nox2apic amd_iommu=off";
        let mut base = Base::from("acpi=ht pci=nomsi");
        complete(&mut base, running, false);
        let line = String::from_utf8(base.line).unwrap();
        assert!(line.starts_with("acpi=ht pci=nomsi nr_cpus=1"), "{line}");
        let words = " iommu=pt intel_iommu=off amd_iommu=off intremap=off noapic nolapic nox2apic \
                     \"libata.force=1:1.5Gbps noncq\"";
        assert!(line.ends_with(words), "the user's acpi= and pci= win: {line}");
        let mut base = Base::default();
        complete(&mut base, running, false);
        let line = String::from_utf8(base.line).unwrap();
        assert!(line.contains(" pci=nocrs,nommconf pci=realloc "), "{line}");
    }

    #[test]
    fn bounce_buffer_keeps_its_size_where_disks_may_need_it() {
        let mut cpu = machine().cpu;
        let low = [PhysRange::new(0x3900_0000, DMA_END).unwrap()];
        assert!(!bounces(&cpu, &low));
        assert!(bounces(&cpu, &[low[0], PhysRange::new(DMA_END, DMA_END + 4096).unwrap()]));
        cpu.confidential = Some(ConfidentialGuest { kind: "tdx_guest", evidence: "a flag" });
        assert!(bounces(&cpu, &low));
        let mut base = Base::default();
        complete(&mut base, b"", true);
        assert!(!cmdline::has_parameter(&base.line, "swiotlb"));
    }

    #[test]
    fn no_default_is_unfit_for_a_capture_kernel() {
        let mut base = Base::default();
        complete(&mut base, b"", false);
        assert!(base.unfit().is_empty(), "{:?}", base.unfit());
    }
}

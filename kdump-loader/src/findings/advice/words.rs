//! Each warning in words: the problem, its effect on the dump, and the remedy.

use std::fmt;

use loader::image::mib;

use super::*;

/// The remedy for too little memory. `one_cpu`: it is enough with one CPU.
pub fn more_room(one_cpu: bool, suggested_mib: u64) -> String {
    let fewer = if one_cpu { "add nr_cpus=1 to its command line, or " } else { "" };
    format!(
        "{fewer}boot the running kernel with crashkernel={suggested_mib}M, or test one panic and \
         look for the dump"
    )
}

impl fmt::Display for Advice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryHotplug => write!(
                out,
                "the capture kernel's command line has no {NO_MEMORY_HOTPLUG}: the capture kernel \
                 uses DIMMs as RAM, mainly hot-added ones, and overwrites the data to dump; add it \
                 unless this machine cannot have DIMMs"
            ),
            Self::DevicesNotReset => write!(
                out,
                "the capture kernel's command line has no {RESET_DEVICES}: drivers may fail on \
                 devices that the crashed kernel left busy, which may make the dump target \
                 unreachable; add {RESET_DEVICES}"
            ),
            Self::ManyCpus { cpus, memory } => write!(
                out,
                "the capture kernel's command line allows {cpus} CPUs, which take about {} MiB of \
                 crash memory and may reset the machine when they start; add nr_cpus=1",
                mib(*memory)
            ),
            Self::BootCpu { cpus } => write!(
                out,
                "the capture kernel's command line allows {cpus} CPUs: before Linux {}.{}, it \
                 resets the machine when it starts the first CPU, unless that is the one that \
                 panicked; add nr_cpus=1, or {DISABLE_CPU}=N, where N is the \"initial apicid\" of \
                 the first CPU in /proc/cpuinfo",
                SPARES_BOOT_CPU.0, SPARES_BOOT_CPU.1
            ),
            Self::NoLowMemory => write!(
                out,
                "no crash memory is below 4 GiB: devices with 32-bit DMA do not work in the \
                 capture kernel, which may make the dump target unreachable; boot the running \
                 kernel without crashkernel=0,low, or with crashkernel=256M,low"
            ),
            Self::Unfit { parameters, effect, .. } => write!(
                out,
                "the capture kernel's command line has {}, which suits only the running kernel: \
                 {effect}; remove it",
                parameters.join(" ")
            ),
            Self::NoReport { lacks } => write!(
                out,
                "the capture kernel's command line has no room for the purgatory's report: the \
                 capture kernel boots, but its user space cannot read the result of the \
                 verification; shorten the command line by {lacks} bytes"
            ),
            Self::NoConsole { guest } => write!(
                out,
                "this is a {guest}, where port I/O faults: the purgatory gets no console, and \
                 resets or halts without a message on a failure; if this is not such a guest, use \
                 --confidential no"
            ),
            Self::PurgatoryHangs { whose, silent } => write!(
                out,
                "a purgatory like {whose} hangs{} if the image has changed, unless it was built \
                 differently; the embedded one, without --purgatory, reports what has changed and \
                 resets the machine",
                if *silent { " without a message" } else { "" }
            ),
            Self::LittleRoom { free, safe, one_cpu, suggested_mib } => write!(
                out,
                "the image leaves {} MiB for the capture kernel to run; with this kernel and \
                 initrd, about {} MiB were always enough in tests; {}",
                mib(*free),
                mib(*safe),
                more_room(*one_cpu, *suggested_mib)
            ),
            Self::KeysLeftBehind { keys } => write!(
                out,
                "the kernel is configured to hand over {keys} dm-crypt keys \
                 (/sys/kernel/config/crash_dm_crypt_keys), but only kexec_file_load does so: the \
                 capture kernel cannot open an encrypted dump target; load with --file"
            ),
            Self::HiddenCma { asked, reserved } => write!(
                out,
                "the running kernel was booted with {} MiB of crashkernel=…,cma, but does not show \
                 where they are (/sys/kernel/kexec/crash_cma_ranges, since Linux 6.19): the \
                 capture kernel gets only the other {} MiB; reserve more with a plain \
                 crashkernel=, or use --file, because the kernel itself knows them",
                asked >> 20,
                reserved >> 20
            ),
            Self::RefusedCma { asked, reserved } => write!(
                out,
                "the running kernel was booted with {} MiB of crashkernel=…,cma, but reserved none \
                 of them (/sys/kernel/kexec/crash_cma_ranges is empty): the capture kernel gets \
                 only {} MiB; reserve more with a plain crashkernel=, or request less with ,cma",
                asked >> 20,
                reserved >> 20
            ),
            Self::Cma { len } => write!(
                out,
                "{} MiB of the capture kernel's memory are crashkernel=…,cma: user pages there are \
                 not in the dump, and after a panic the crashed kernel waits ten seconds for \
                 devices to stop writing there",
                len >> 20
            ),
        }
    }
}

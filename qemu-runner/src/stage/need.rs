//! What a scenario cannot do without: programs and firmware of this machine, and parts of the
//! kernel.
//!
//! Debian's kernels have every part. A developer's kernel may lack some. Its configuration answers
//! beforehand if it is known; the running kernel is asked as well.

use crate::assets::kernel::{KernelUnderTest, Setting};
use crate::context::{self, Context};
use crate::error::Error;
use crate::stage::installed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Debian's kernel of this series, or the kernel under test.
    Kernel(&'static str),
    /// A kernel that updates the elfcorehdr itself on CPU and memory hotplug.
    CrashHotplug,
    /// A kernel that does not.
    NoCrashHotplug,
    Hotplug,
    /// Old memory through /proc/kcore, and a log as `kdump-loader last` writes it.
    Kcore,
    KexecFile,
    /// Lockdown, and events from the kernel to user space.
    Lockdown,
    HugePages,
    FiveLevels,
    Makedumpfile,
    /// makedumpfile 1.7.7 or newer, which finds the free pages of Linux 6.12.
    NewMakedumpfile,
    Kexec,
    /// udev and flock, and the programs that watch and crash a guest.
    Storm,
    Ovmf,
    /// The open series' driver for virtio-mem.
    VirtioMem,
    DebianDisk,
    /// The loader's package for Debian.
    Package,
    Mke2fs,
    MkfsXfs,
    /// The purgatory as a file, for its symbols.
    Purgatory,
    /// The purgatories for Linux and for kexec-tools.
    DropIns,
}

/// What is asked of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Symbols of its configuration that must be set.
    pub symbols: &'static [&'static str],
    /// What the running kernel lacks ...
    pub lacks: &'static str,
    /// ... if this command fails in the first kernel's user space.
    pub command: &'static str,
}

/// What every scenario asks of the first kernel and of the capture kernel.
pub(crate) const OF_EVERY_KERNEL: Asked = Asked {
    symbols: &[
        "KEXEC",
        "CRASH_DUMP",
        "PROC_VMCORE",
        "PROC_PAGE_MONITOR",
        "BLK_DEV_INITRD",
        "BINFMT_ELF",
        "BINFMT_SCRIPT",
        "DEVTMPFS",
        "TMPFS",
        "SYSFS",
        "SERIAL_8250_CONSOLE",
        "MAGIC_SYSRQ",
        "SMP",
        "ACPI",
    ],
    lacks: "the kernel cannot arm a capture kernel: /sys/kernel/kexec_crash_loaded is absent",
    command: "[ -e /sys/kernel/kexec_crash_loaded ]",
};

/// Our purgatories for Linux and for kexec-tools.
const DROP_INS: &[&str] = &[
    context::LINUX_DROP_IN,
    context::LINUX_DROP_IN_WITH_CONSOLE,
    context::LINUX_DROP_IN_RESETTING,
    context::KEXEC_TOOLS_DROP_IN,
    context::KEXEC_TOOLS_DROP_IN_SYMBOLS,
];

impl Need {
    /// Whether this machine has it.
    pub(crate) fn provided(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Kernel(series) => context.kernel(series).map(drop),
            Self::Makedumpfile => context.makedumpfile().map(drop),
            Self::NewMakedumpfile => context.new_makedumpfile().map(drop),
            Self::Kexec => context.kexec().map(drop),
            Self::Storm => {
                context.udev()?;
                context.flock()?;
                all_built(context, &[context::POLLER, context::TRIGGER])
            }
            Self::Ovmf => context.ovmf().map(drop),
            Self::VirtioMem => context.virtio_mem(context.series()).map(drop),
            Self::DebianDisk => context.debian_disk().map(drop),
            Self::Package => context.built(installed::PACKAGE).map(drop),
            Self::Mke2fs => context.mke2fs().map(drop),
            Self::MkfsXfs => context.mkfs_xfs().map(drop),
            Self::Purgatory => all_built(context, &[context::PURGATORY]),
            Self::DropIns => all_built(context, DROP_INS),
            Self::CrashHotplug | Self::NoCrashHotplug | Self::Hotplug | Self::Kcore => Ok(()),
            Self::KexecFile | Self::Lockdown | Self::HugePages | Self::FiveLevels => Ok(()),
        }
    }

    /// The part of `cargo xtask setup` that it is, if only the laboratory fetches that.
    pub(crate) fn laboratory_part(self) -> Option<&'static str> {
        match self {
            Self::Kernel(context::FULL) => Some("full-kernel"),
            Self::NewMakedumpfile => Some("new-makedumpfile"),
            _ => None,
        }
    }

    /// Why the kernel under test is not one for this scenario, as far as its file tells.
    pub(crate) fn unfit(self, context: &Context, kernel: &KernelUnderTest) -> Option<String> {
        match self {
            Self::Kernel("7" | context::FULL) => {
                Some("the same as another scenario, on another of Debian's kernels".into())
            }
            Self::DebianDisk => Some("it is about Debian's own kernel, installed on a disk".into()),
            Self::NoCrashHotplug => {
                let on =
                    kernel.setting("CRASH_HOTPLUG").is_some_and(|setting| setting != Setting::Off);
                on.then(|| "it is about kernels without CONFIG_CRASH_HOTPLUG".into())
            }
            Self::VirtioMem => {
                context.virtio_mem(context.series()).err().map(|error| error.to_string())
            }
            _ => lacks(kernel, self.asked().symbols),
        }
    }

    /// What it asks of the kernel. Some parts are known by their symbols only.
    pub(crate) fn asked(self) -> Asked {
        const HOTPLUG: &[&str] =
            &["HOTPLUG_CPU", "ACPI_HOTPLUG_CPU", "ACPI_HOTPLUG_MEMORY", "MEMORY_HOTREMOVE"];
        let (symbols, lacks, command): (&[_], _, _) = match self {
            Self::CrashHotplug => (
                &["CRASH_HOTPLUG", "HOTPLUG_CPU", "ACPI_HOTPLUG_CPU", "ACPI_HOTPLUG_MEMORY"],
                "the kernel does not update the elfcorehdr itself: no crash_hotplug in \
                 /sys/devices/system/{cpu,memory}",
                "cd /sys/devices/system && [ -e cpu/crash_hotplug ] && [ -e memory/crash_hotplug ]",
            ),
            Self::NoCrashHotplug => (
                &[],
                "the kernel updates the elfcorehdr itself, and the scenario is about kernels that \
                 do not",
                "[ ! -e /sys/devices/system/memory/crash_hotplug ]",
            ),
            Self::Hotplug => (
                HOTPLUG,
                "the kernel has no memory hotplug: no /sys/devices/system/memory",
                "[ -d /sys/devices/system/memory ]",
            ),
            Self::Kcore => (
                &["PROC_KCORE", "PRINTK_TIME"],
                "the kernel has no /proc/kcore, or dmesg prints no times or also threads",
                r"[ -e /proc/kcore ] && dmesg | grep -q '^\[ *[0-9]*\.[0-9]*\] '",
            ),
            Self::Lockdown => (
                &["SECURITYFS", "SECURITY_LOCKDOWN_LSM", "NET"],
                "the kernel has no lockdown: no /sys/kernel/security/lockdown",
                "[ -e /sys/kernel/security/lockdown ]",
            ),
            Self::HugePages => (
                &["HUGETLBFS"],
                "the kernel has no huge pages: no nr_hugepages",
                "[ -e /proc/sys/vm/nr_hugepages ]",
            ),
            Self::FiveLevels => {
                (&[], "the kernel has no five-level page tables", "grep -qw la57 /proc/cpuinfo")
            }
            Self::Storm => (
                &["KPROBE_EVENTS", "CGROUPS", "UNIX", "KALLSYMS"],
                "the kernel has no kprobe events, or no cgroup2",
                "[ -d /sys/kernel/tracing ] && grep -qw cgroup2 /proc/filesystems",
            ),
            Self::KexecFile => (&["KEXEC_FILE"], "", "true"),
            Self::Ovmf => (&["EFI", "EFI_STUB"], "", "true"),
            _ => (&[], "", "true"),
        };
        Asked { symbols, lacks, command }
    }
}

fn all_built(context: &Context, files: &[&str]) -> Result<(), Error> {
    files.iter().try_for_each(|file| context.built(file).map(drop))
}

/// The symbols that are known not to be set.
pub(crate) fn lacks(kernel: &KernelUnderTest, symbols: &[&str]) -> Option<String> {
    let off: Vec<_> =
        symbols.iter().filter(|symbol| kernel.setting(symbol) == Some(Setting::Off)).collect();
    (!off.is_empty()).then(|| {
        off.iter().map(|symbol| format!("CONFIG_{symbol}")).collect::<Vec<_>>().join(", ")
            + " not set"
    })
}

//! `[1a]` The table of all files that describe a machine.
//!
//! [`Machine::read`](super::Machine::read) and [`snapshot::save`] use the same
//! table, [`ALL`]. So a snapshot has every file that is read, and no other.

pub mod open; // opens files, in a snapshot without following links out of it
mod read; // reads one
pub mod snapshot; // a copy of every file in the table

use super::Error;
use super::kcore;
use super::no_reservation::boot_log;
use super::signals;
pub(super) use read::{Found, Tree, parse_decimal, parse_hexadecimal, quoted};

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The ELF header, the program headers and the notes: /proc/kcore is as large as the address
    /// space.
    ElfHeaders,
    /// The lines of the kernel's log with `crashkernel`. If the log cannot be read, there are none.
    CrashkernelLines,
    /// The structures of an SMBIOS table that describe IPMI devices. Others hold serial numbers.
    IpmiStructures,
    /// Nothing. Only its existence matters.
    Presence,
}

/// The file of one fact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Its possible paths below the root, the newest kernel's first. `{}` stands for a number.
    pub paths: &'static [&'static str],
    /// How much of it is read.
    pub part: Part,
    /// What it must hold, for error messages.
    pub expected: &'static str,
    /// What its absence means and what to do, for error messages.
    pub absent: &'static str,
}

impl Source {
    /// Whether there are several files, each with a number.
    pub fn is_numbered(&self) -> bool {
        self.paths[0].contains("{}")
    }
}

macro_rules! sources {
    ($($name:ident = [$($path:literal),+], $part:ident, $expected:literal, $absent:expr;)+) => {
        $(
            #[doc = concat!("`", $($path, "` `",)+ "`")]
            pub(super) const $name: Source = Source {
                paths: &[$($path),+],
                part: Part::$part,
                expected: $expected,
                absent: $absent,
            };
        )+
    };
}

macro_rules! machine_sources {
    ($($name:ident = $fields:tt, $part:ident, $expected:literal, $absent:expr;)+) => {
        sources! { $($name = $fields, $part, $expected, $absent;)+ }

        /// Every file that a machine is read from.
        pub(super) const ALL: &[Source] = &[$($name),+];
    };
}

const NO_PROC: &str = "mount /proc; if this is a snapshot, take it again";
const NO_SYSFS: &str = "mount /sys; if this is a snapshot, take it again";
const NO_KEXEC: &str = "the running kernel cannot load a crash kernel; boot one with CONFIG_KEXEC \
                        and CONFIG_CRASH_DUMP";
const OPTIONAL: &str = "take the snapshot again";

// /sys/kernel/kexec/ exists since Linux 6.19. The old names are links to it for now
// (Documentation/ABI/testing/sysfs-kernel-kexec-kdump).
machine_sources! {
    IOMEM = ["proc/iomem"], Whole,
        "lines `START-END : NAME`, hexadecimal, among them System RAM", NO_PROC;
    LOAD_DISABLED = ["proc/sys/kernel/kexec_load_disabled"], Whole, "0 or 1", NO_KEXEC;
    MEMINFO = ["proc/meminfo"], Whole, "a line `MemTotal: NUMBER kB`", NO_PROC;
    CRASH_CMA = ["sys/kernel/kexec/crash_cma_ranges"], Whole,
        "lines `START-END`, hexadecimal", OPTIONAL;
    ELFCOREHDR_SIZE =
        ["sys/kernel/kexec/crash_elfcorehdr_size", "sys/kernel/crash_elfcorehdr_size"], Whole,
        "a decimal number of bytes", OPTIONAL;
    VMCOREINFO = ["sys/kernel/vmcoreinfo"], Whole,
        "a hexadecimal address and a hexadecimal size", NO_KEXEC;
    LOCKDOWN = ["sys/kernel/security/lockdown"], Whole, "words, one of them in brackets", OPTIONAL;
    KCORE = ["proc/kcore"], ElfHeaders,
        "an x86-64 ELF core whose program headers show the kernel's text and its direct map",
        "the running kernel hides its memory layout; boot one with CONFIG_PROC_KCORE and without \
         lockdown=confidentiality";
    CPU_POSSIBLE = ["sys/devices/system/cpu/possible"], Whole,
        "a list of CPUs like `0-3,8`", NO_SYSFS;
    CRASH_NOTES = ["sys/devices/system/cpu/cpu{}/crash_notes"], Whole,
        "a hexadecimal address", NO_KEXEC;
    CRASH_NOTES_SIZE = ["sys/devices/system/cpu/cpu{}/crash_notes_size"], Whole,
        "a decimal number of bytes", NO_KEXEC;
    CPUINFO = ["proc/cpuinfo"], Whole, "`flags` and `address sizes` for every CPU", NO_PROC;
    COMMAND_LINE = ["proc/cmdline"], Whole, "one line of text", NO_PROC;
    BOOT_PARAMS = ["sys/kernel/boot_params/data"], Whole,
        "the 4096 bytes of struct boot_params", NO_SYSFS;
    EFI_SYSTAB = ["sys/firmware/efi/systab"], Whole, "lines `TABLE=0xADDRESS`", OPTIONAL;
    EFI_FW_VENDOR = ["sys/firmware/efi/fw_vendor"], Whole, "a hexadecimal address", OPTIONAL;
    EFI_CONFIG_TABLE = ["sys/firmware/efi/config_table"], Whole, "a hexadecimal address", OPTIONAL;
    EFI_MAP_TYPE = ["sys/firmware/efi/runtime-map/{}/type"], Whole,
        "a hexadecimal number", OPTIONAL;
    EFI_MAP_PHYS_ADDR = ["sys/firmware/efi/runtime-map/{}/phys_addr"], Whole,
        "a hexadecimal address", OPTIONAL;
    EFI_MAP_VIRT_ADDR = ["sys/firmware/efi/runtime-map/{}/virt_addr"], Whole,
        "a hexadecimal address", OPTIONAL;
    EFI_MAP_NUM_PAGES = ["sys/firmware/efi/runtime-map/{}/num_pages"], Whole,
        "a hexadecimal number", OPTIONAL;
    EFI_MAP_ATTRIBUTE = ["sys/firmware/efi/runtime-map/{}/attribute"], Whole,
        "a hexadecimal number", OPTIONAL;
    SEV_VMPL = ["sys/devices/system/cpu/sev/vmpl"], Whole, "a decimal number", OPTIONAL;
    SEV_GUEST = ["dev/sev-guest"], Presence, "anything", OPTIONAL;
    TDX_GUEST = ["dev/tdx_guest"], Presence, "anything", OPTIONAL;
    CPUID = ["kdump-loader/cpuid"], Whole, "lines `LEAF EAX EBX ECX EDX`, hexadecimal", OPTIONAL;
    DM_CRYPT_KEYS = ["sys/kernel/config/crash_dm_crypt_keys/count"], Whole,
        "a decimal number of keys", OPTIONAL;
    IOPORTS = ["proc/ioports"], Whole, "lines `START-END : NAME`, hexadecimal", OPTIONAL;
    DMI = ["sys/firmware/dmi/tables/DMI"], IpmiStructures, "an SMBIOS table", OPTIONAL;
    PRINTK_RING = ["kdump-loader/printk_ring"], Whole,
        "the address of the printk ring buffer, and its struct", OPTIONAL;
    TSC_KHZ = ["kdump-loader/tsc_khz"], Whole,
        "the time-stamp counter's frequency in kHz, a decimal number above 0",
        "only snapshots have this file; take the snapshot again";
}

// The evidence for why no memory is reserved. It is read, and kept in snapshots, only in that case,
// because reading CRASH_SIZE takes the kernel's kexec lock.
sources! {
    CRASHKERNEL_LOG = ["dev/kmsg"], CrashkernelLines, "lines of the kernel's log", OPTIONAL;
    CRASH_SIZE = ["sys/kernel/kexec/crash_size", "sys/kernel/kexec_crash_size"], Whole,
        "a decimal number of bytes", NO_KEXEC;
    HYPERVISOR_TYPE = ["sys/hypervisor/type"], Whole, "the hypervisor's name", OPTIONAL;
    XEN_GUEST_TYPE = ["sys/hypervisor/guest_type"], Whole, "PV, HVM or PVH", OPTIONAL;
    XEN_CAPABILITIES = ["proc/xen/capabilities"], Whole, "words", OPTIONAL;
}

/// Every file with evidence for why no memory is reserved.
pub(super) const WITHOUT_RESERVATION: &[Source] =
    &[CRASHKERNEL_LOG, CRASH_SIZE, HYPERVISOR_TYPE, XEN_GUEST_TYPE, XEN_CAPABILITIES];

// Files about the armed image, not about the machine.
sources! {
    CRASH_LOADED = ["sys/kernel/kexec/crash_loaded", "sys/kernel/kexec_crash_loaded"], Whole,
        "0 or 1", NO_KEXEC;
    CPU_CRASH_HOTPLUG = ["sys/devices/system/cpu/crash_hotplug"], Whole, "0 or 1", OPTIONAL;
    MEMORY_BLOCK_SIZE = ["sys/devices/system/memory/block_size_bytes"], Whole,
        "a hexadecimal number of bytes",
        "this kernel was built without memory hotplug (CONFIG_MEMORY_HOTPLUG)";
    MEMORY_CRASH_HOTPLUG = ["sys/devices/system/memory/crash_hotplug"], Whole, "0 or 1", OPTIONAL;
}

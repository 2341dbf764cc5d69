//! [1] What this machine is: everything the image depends on, read from /proc and /sys, or from a snapshot of them.

use crate::phys::PhysRange;

/// The facts about one machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Every "System RAM" range of /proc/iomem, nested ones of hotplug drivers included, merged, ascending.
    pub system_ram: Vec<PhysRange>,
    /// The ranges named "Crash kernel", ascending; the last is the one an image goes into.
    pub crash_regions: Vec<PhysRange>,
    /// Crash memory in CMA (7.2: /sys/kernel/kexec/crash_cma_ranges).
    pub crash_cma: Vec<PhysRange>,
    /// Ranges named "ACPI Tables".
    pub acpi_tables: Vec<PhysRange>,
    /// Ranges named "ACPI Non-volatile Storage".
    pub acpi_nvs: Vec<PhysRange>,
    /// Ranges named "Reserved" or "reserved".
    pub reserved: Vec<PhysRange>,
    /// Ranges named "Persistent Memory".
    pub pmem: Vec<PhysRange>,
    /// Ranges named "Persistent Memory (legacy)".
    pub pram: Vec<PhysRange>,
    /// The running kernel's text and the direct map, from /proc/kcore.
    pub kcore: Kcore,
    /// Where the running kernel keeps its VMCOREINFO note.
    pub vmcoreinfo: PhysRange,
    /// One PRSTATUS buffer per present CPU.
    pub crash_notes: Vec<CrashNotes>,
    /// How many CPUs could ever be there (/sys/devices/system/cpu/possible).
    pub possible_cpus: u32,
    /// /sys/kernel/crash_elfcorehdr_size, absent before Linux 6.6.
    pub elfcorehdr_size: Option<u64>,
    /// The running kernel's `struct boot_params` (/sys/kernel/boot_params/data), 4096 bytes.
    pub boot_params: Vec<u8>,
    /// What EFI firmware left, if the machine was booted by it.
    pub efi: Option<Efi>,
    /// /proc/cmdline without its line feed.
    pub command_line: String,
    /// What the CPUs can do.
    pub cpu: CpuFacts,
    /// The state of the crash kernel interface.
    pub kexec: KexecState,
}

/// From the program headers of /proc/kcore (fs/proc/kcore.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kcore {
    /// Virtual address of `_text`.
    pub text_virt: u64,
    /// Physical address of `_text`.
    pub text_phys: u64,
    /// Bytes from `_text` to `_end`.
    pub text_len: u64,
    /// Virtual address at which physical address 0 is mapped (`PAGE_OFFSET`, moved by KASLR).
    pub page_offset: u64,
}

/// Where one CPU saves its registers on a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashNotes {
    /// The CPU's number.
    pub cpu: u32,
    /// Its buffer.
    pub range: PhysRange,
}

/// What EFI firmware left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Efi {
    /// /sys/firmware/efi/fw_vendor.
    pub fw_vendor: u64,
    /// /sys/firmware/efi/config_table.
    pub config_table: u64,
    /// `SMBIOS=` or `SMBIOS3=` of /sys/firmware/efi/systab, 0 if absent.
    pub smbios: u64,
    /// `ACPI20=`, else `ACPI=` of /sys/firmware/efi/systab, 0 if absent.
    pub acpi_rsdp: u64,
    /// /sys/firmware/efi/runtime-map/*, in order.
    pub runtime_map: Vec<EfiMemoryDescriptor>,
}

/// EFI_MEMORY_DESCRIPTOR, as /sys/firmware/efi/runtime-map/N gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EfiMemoryDescriptor {
    /// `type`.
    pub kind: u32,
    /// `phys_addr`.
    pub phys_addr: u64,
    /// `virt_addr`.
    pub virt_addr: u64,
    /// `num_pages`, of 4 KiB.
    pub num_pages: u64,
    /// `attribute`.
    pub attribute: u64,
}

/// What the CPUs can do, from /proc/cpuinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuFacts {
    /// All CPUs have SHA-NI, SSSE3 and SSE4.1.
    pub sha_ni: bool,
    /// 1 GiB pages (`pdpe1gb`).
    pub gbpages: bool,
    /// Width of a physical address in bits ("address sizes").
    pub physical_bits: u32,
    /// A confidential guest (`sev_es`, `sev_snp` or `tdx_guest`), by that name.
    pub confidential: Option<String>,
    /// Frequency of the time-stamp counter in kHz; measured when live, from the snapshot otherwise.
    pub tsc_khz: u32,
}

/// The state of the crash kernel interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KexecState {
    /// /sys/kernel/kexec_crash_loaded, or kexec/crash_loaded.
    pub crash_loaded: bool,
    /// /sys/kernel/kexec_crash_size: the sum of all crash regions, bytes.
    pub crash_size: u64,
    /// /sys/devices/system/cpu/crash_hotplug; absent before Linux 6.6.
    pub crash_hotplug_cpu: Option<bool>,
    /// /sys/devices/system/memory/crash_hotplug; absent before Linux 6.6.
    pub crash_hotplug_memory: Option<bool>,
    /// /proc/sys/kernel/kexec_load_disabled.
    pub load_disabled: bool,
    /// The bracketed word of /sys/kernel/security/lockdown, if it can be read.
    pub lockdown: Option<String>,
}

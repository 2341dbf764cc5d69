//! [1] What this machine is: everything the image depends on, read from /proc and /sys, or from a snapshot of them.
//!
//! *On entry:* a directory that holds `proc` and `sys`, `/` when live. *On exit:* facts that have been checked for form, so that no later
//! step parses text; or an error that names the file and what it should have held.

use std::io;
use std::path::{Path, PathBuf};

use crate::phys::PhysRange;

mod source;
mod iomem;
mod kcore;
mod cpus;
mod efi;
mod kexec;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod example;

use source::Tree;

/// The facts about one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The running kernel uses five levels of page tables (`la57`; the kernel clears the flag when it does not).
    pub la57: bool,
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

impl KexecState {
    /// Reads only this, which needs no privilege.
    pub fn read(root: &Path) -> Result<Self, Error> {
        kexec::read_state(Tree::new(root))
    }
}

impl Machine {
    /// Reads the machine below `root`: `/`, or a snapshot. The time-stamp counter's frequency comes from whoever measured it, or from
    /// the snapshot.
    pub fn read(root: &Path, measured_tsc_khz: Option<u32>) -> Result<Self, Error> {
        let tree = Tree::new(root);
        let iomem = iomem::parse(&tree.required(&source::IOMEM)?)?;
        // Before anything else that a kernel without kexec lacks, so that the message is about kexec.
        let kexec = kexec::read_state(tree)?;
        let tsc_khz = measured_tsc_khz.map_or_else(|| read_tsc_khz(tree), Ok)?;
        let elfcorehdr_size = tree.optional(&source::ELFCOREHDR_SIZE)?.map(|file| file.decimal()).transpose()?;
        Ok(Self {
            system_ram: iomem.system_ram,
            crash_regions: iomem.crash_regions,
            crash_cma: tree.optional(&source::CRASH_CMA)?.map_or(Ok(Vec::new()), |file| kexec::parse_cma_ranges(&file))?,
            acpi_tables: iomem.acpi_tables,
            acpi_nvs: iomem.acpi_nvs,
            reserved: iomem.reserved,
            pmem: iomem.pmem,
            pram: iomem.pram,
            kcore: kcore::parse(&tree.required(&source::KCORE)?)?,
            vmcoreinfo: kexec::parse_vmcoreinfo(&tree.required(&source::VMCOREINFO)?)?,
            crash_notes: cpus::read_crash_notes(tree)?,
            possible_cpus: cpus::parse_possible(&tree.required(&source::CPU_POSSIBLE)?)?,
            elfcorehdr_size,
            boot_params: read_boot_params(tree)?,
            efi: efi::read(tree)?,
            command_line: read_command_line(tree)?,
            cpu: cpus::parse_cpuinfo(&tree.required(&source::CPUINFO)?, tsc_khz)?,
            kexec,
        })
    }

    /// The region an image goes into: the highest that is named "Crash kernel". With `crashkernel=…,high` there is a lower one too, for
    /// DMA, into which kexec_load(2) lets no segment (`sanity_check_segment_list`, kernel/kexec_core.c).
    pub fn crash_region(&self) -> Result<PhysRange, Error> {
        let asked = self.command_line.split_ascii_whitespace().rfind(|word| word.starts_with("crashkernel="));
        self.crash_regions.last().copied().ok_or_else(|| match asked {
            Some(asked) => Error::CrashRegionRefused { asked: asked.to_owned() },
            None => Error::NoCrashRegion,
        })
    }
}

/// Size of `struct boot_params` (arch/x86/include/uapi/asm/bootparam.h).
const BOOT_PARAMS_LEN: usize = 4096;

fn read_boot_params(tree: Tree<'_>) -> Result<Vec<u8>, Error> {
    let file = tree.required(&source::BOOT_PARAMS)?;
    if file.bytes.len() != BOOT_PARAMS_LEN {
        return Err(file.garbled(format!("{} bytes", file.bytes.len())));
    }
    Ok(file.bytes)
}

/// The running kernel's command line may hold any byte; what is no UTF-8 becomes U+FFFD, which the command line of an image may not hold.
fn read_command_line(tree: Tree<'_>) -> Result<String, Error> {
    let file = tree.required(&source::COMMAND_LINE)?;
    Ok(String::from_utf8_lossy(&file.bytes).trim_end_matches('\n').to_owned())
}

fn read_tsc_khz(tree: Tree<'_>) -> Result<u32, Error> {
    let file = tree.required(&source::TSC_KHZ)?;
    match file.decimal()? {
        0 => Err(file.garbled("0")),
        tsc_khz => Ok(tsc_khz),
    }
}

/// Why the machine could not be read, or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that must be there is not.
    #[error("{} is missing: {absent}", path.display())]
    Missing {
        /// Where it was looked for first.
        path: PathBuf,
        /// What that means and what to do.
        absent: &'static str,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}, which root can unless the kernel is locked down", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{} should hold {expected}, but holds {found}; if this is a snapshot, take it again", path.display())]
    Garbled {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The kernel shows zeroes instead of addresses.
    #[error("{} shows only zero addresses, as it does to everybody without CAP_SYS_ADMIN; run as root", path.display())]
    Hidden {
        /// /proc/iomem.
        path: PathBuf,
    },
    /// No memory is reserved, and none was asked for.
    #[error(
        "no memory is reserved for a capture kernel: add crashkernel=256M (or crashkernel=256M,high) to the running kernel's command \
         line and reboot"
    )]
    NoCrashRegion,
    /// No memory is reserved, although it was asked for.
    #[error(
        "no memory is reserved for a capture kernel although the running kernel was booted with {asked}: it found no room (see \
         dmesg | grep crashkernel); ask for less, or for {asked},high, and reboot"
    )]
    CrashRegionRefused {
        /// The parameter.
        asked: String,
    },
    /// A snapshot would mix with what is there.
    #[error("{} is not empty: name a directory that is, or that does not exist yet", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the snapshot could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests;

//! Facts that consist of several values.

use super::ConfidentialGuest;
use crate::phys::PhysRange;

/// Where the running kernel is mapped, from the program headers of /proc/kcore (fs/proc/kcore.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kcore {
    /// Virtual address of `_text`.
    pub text_virt: u64,
    /// Physical address of `_text`.
    pub text_phys: u64,
    /// Bytes from `_text` to `_end`.
    pub text_len: u64,
    /// Virtual address of physical address 0 in the direct map (`PAGE_OFFSET`, which KASLR moves).
    pub page_offset: u64,
}

/// The buffer in which one CPU saves its registers on a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashNotes {
    /// The CPU's number.
    pub cpu: u32,
    /// The buffer's physical addresses.
    pub range: PhysRange,
}

/// What EFI firmware left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Efi {
    /// Physical address of the vendor's name (/sys/firmware/efi/fw_vendor); 0 if absent.
    pub fw_vendor: u64,
    /// Physical address of the configuration tables (/sys/firmware/efi/config_table); 0 if absent.
    pub config_table: u64,
    /// `SMBIOS=` or `SMBIOS3=` of /sys/firmware/efi/systab; 0 if absent.
    pub smbios: u64,
    /// `ACPI20=`, else `ACPI=` of /sys/firmware/efi/systab; 0 if absent.
    pub acpi_rsdp: u64,
    /// Memory of the runtime services (/sys/firmware/efi/runtime-map/*), in the order of its
    /// numbers.
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
    /// Whether every CPU has SHA-NI, SSSE3 and SSE4.1.
    pub sha_ni: bool,
    /// Whether every CPU has 1 GiB pages (`pdpe1gb`).
    pub gbpages: bool,
    /// Whether the running kernel uses five levels of page tables (`la57`; if not, the kernel
    /// clears the flag).
    pub la57: bool,
    /// Width of a physical address in bits ("address sizes"); the narrowest of all CPUs.
    pub physical_bits: u32,
    /// The evidence that this is a confidential guest, if there is any.
    pub confidential: Option<ConfidentialGuest>,
    /// Frequency of the time-stamp counter in kHz; see [`Measured`](super::Measured).
    pub tsc_khz: u32,
}

//! `[1]` The facts about a machine on which an image depends, read from /proc and /sys or from a
//! snapshot of them.
//!
//! *On entry*
//! * a directory that holds `proc` and `sys`: `/`, or a snapshot.
//!
//! *On exit*
//! * a [`Machine`]. Every value is well formed, and no later step parses text.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::cmdline;
use crate::phys::PhysRange;

mod error;
mod facts;
mod source;
mod memory;
mod cpus;
mod kexec;
mod reservation;
mod present;
mod vmcoreinfo;
pub mod printk;
pub mod signals;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(test, feature = "testing"))]
pub mod example;

pub use cpus::confidential::{ConfidentialGuest, Cpuid};
pub use error::Error;
pub use facts::{CpuFacts, CrashNotes, Efi, EfiMemoryDescriptor, Kcore};
pub use kexec::{CrashHotplug, KexecPermission, KexecState};
use memory::{efi, iomem, kcore, meminfo};
pub(crate) use present::without_crash_memory;
pub use present::{Present, block_range, read_memory};
use printk::PrintkRing;
pub use reservation::Reservation;
pub use reservation::no_reservation;
use reservation::no_reservation::{Evidence, Ram};
use signals::SignalPorts;
pub use source::open::Refusal;
pub use source::snapshot;
use source::{Found, Tree, open};
use vmcoreinfo::Vmcoreinfo;

/// How wide a physical address of x86-64 can be, in bits (SDM vol. 3A §4.1.4, MAXPHYADDR). A CPU
/// without CPUID leaf 0x8000_0008 has 32 or 36.
pub const PHYSICAL_BITS: RangeInclusive<u32> = 32..=52;

/// The facts about one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory that the kernel manages (`MemTotal` of /proc/meminfo): RAM except what was
    /// reserved at boot.
    pub total_ram: u64,
    /// Every "System RAM" range of /proc/iomem, including those of hotplug drivers; merged,
    /// ascending.
    pub system_ram: Vec<PhysRange>,
    /// The ranges named "Crash kernel", ascending. The image goes into the last one.
    pub crash_regions: Vec<PhysRange>,
    /// Crash memory in CMA (/sys/kernel/kexec/crash_cma_ranges, since Linux 6.19); empty if the
    /// kernel reserved none. `None` on an older kernel, which shows it in no file.
    pub crash_cma: Option<Vec<PhysRange>>,
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
    /// The running kernel's VMCOREINFO note (/sys/kernel/vmcoreinfo).
    pub vmcoreinfo: PhysRange,
    /// The note's text, from /proc/kcore; empty if it has none.
    pub vmcoreinfo_text: String,
    /// The memory of the kernel log, or why it will not be kept.
    pub printk: Result<PrintkRing, printk::Unresolved>,
    /// Ports for signals out of the machine.
    pub signals: SignalPorts,
    /// One PRSTATUS buffer per present CPU.
    pub crash_notes: Vec<CrashNotes>,
    /// How many CPUs the machine can ever have (/sys/devices/system/cpu/possible).
    pub possible_cpus: u32,
    /// Bytes of elfcorehdr that the kernel can keep up to date (/sys/kernel/crash_elfcorehdr_size).
    /// `None` before Linux 6.6.
    pub elfcorehdr_size: Option<u64>,
    /// The running kernel's `struct boot_params` (/sys/kernel/boot_params/data), 4096 bytes.
    pub boot_params: Vec<u8>,
    /// What EFI firmware left; `None` if EFI did not boot the machine.
    pub efi: Option<Efi>,
    /// /proc/cmdline without its line feed. It can hold any byte except NUL.
    pub command_line: Vec<u8>,
    /// What the CPUs can do.
    pub cpu: CpuFacts,
    /// Whether the kernel permits loading.
    pub kexec: KexecPermission,
    /// How many dm-crypt keys the kernel is configured to pass to the capture kernel, since Linux
    /// 6.16 (kernel/crash_dump_dm_crypt.c).
    pub dm_crypt_keys: u32,
    /// Evidence for why no memory is reserved; empty if some is.
    pub no_reservation: Evidence,
}

/// Facts that no file of a live machine holds. [`crate::submit::measure`] finds them; a snapshot
/// keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Frequency of the time-stamp counter in kHz.
    pub tsc_khz: u32,
    /// What CPUID reports.
    pub cpuid: Cpuid,
}

impl Measured {
    /// Reads them from a snapshot.
    fn read(tree: Tree<'_>) -> Result<Self, Error> {
        Ok(Self { tsc_khz: read_tsc_khz(tree)?, cpuid: Cpuid::read(tree)? })
    }
}

impl Machine {
    /// Reads the machine below `root`: `/`, or a snapshot.
    ///
    /// `measured` is `Some` for a live machine and `None` for a snapshot, which has a file for it.
    ///
    /// # Errors
    ///
    /// The [`Error`] names the first file that is missing, unreadable or malformed, and what to do.
    pub fn read(root: &Path, measured: Option<Measured>) -> Result<Self, Error> {
        let tree = Tree::new(root);
        let iomem = iomem::parse(&tree.required(&source::IOMEM)?)?;
        // Read first, so that the error on a kernel without kexec is about kexec.
        let kexec = kexec::read_permission(tree)?;
        let measured = measured.map_or_else(|| Measured::read(tree), Ok)?;
        let elfcorehdr_size =
            tree.optional(&source::ELFCOREHDR_SIZE)?.map(|file| file.decimal()).transpose()?;
        let headers = tree.required(&source::KCORE)?;
        let kcore = kcore::parse(&headers)?;
        let info = Vmcoreinfo::find(&headers.bytes);
        Ok(Self {
            dm_crypt_keys: dm_crypt_keys(tree)?,
            no_reservation: evidence(tree, &iomem.crash_regions)?,
            total_ram: meminfo::parse(&tree.required(&source::MEMINFO)?)?,
            printk: printk(tree, &headers, info.as_ref(), &kcore, &iomem)?,
            signals: signals::read(tree),
            vmcoreinfo_text: info.map_or_else(String::new, |info| info.text().to_owned()),
            system_ram: iomem.system_ram,
            crash_regions: iomem.crash_regions,
            crash_cma: crash_cma(tree)?,
            acpi_tables: iomem.acpi_tables,
            acpi_nvs: iomem.acpi_nvs,
            reserved: iomem.reserved,
            pmem: iomem.pmem,
            pram: iomem.pram,
            kcore,
            vmcoreinfo: kexec::parse_vmcoreinfo(&tree.required(&source::VMCOREINFO)?)?,
            crash_notes: cpus::read_crash_notes(tree)?,
            possible_cpus: cpus::parse_possible(&tree.required(&source::CPU_POSSIBLE)?)?,
            elfcorehdr_size,
            boot_params: read_boot_params(tree)?,
            efi: efi::read(tree)?,
            command_line: read_command_line(tree)?,
            cpu: cpus::read(tree, &measured)?,
            kexec,
        })
    }

    /// The region for the image: the highest one named "Crash kernel".
    ///
    /// With `crashkernel=…,high` there is a lower one for DMA. kexec_load(2) accepts no segment
    /// there (`sanity_check_segment_list`, kernel/kexec_core.c).
    ///
    /// # Errors
    ///
    /// [`Error::NotReserved`], with the cause, if there is no such region.
    pub fn crash_region(&self) -> Result<PhysRange, Error> {
        crash_region(&self.crash_regions, &self.command_line, &self.system_ram, self.no_reservation)
    }
}

/// Bytes of crash memory in CMA that the running kernel's command line requests.
pub fn asked_cma(command_line: &[u8]) -> Option<u64> {
    no_reservation::crashkernel::cma(&cmdline::text(command_line))
}

/// The crash memory in CMA. Linux 6.17 and 6.18 have no file for it, and it is not in /proc/iomem
/// (`reserve_crashkernel_cma`, kernel/crash_reserve.c).
fn crash_cma(tree: Tree<'_>) -> Result<Option<Vec<PhysRange>>, Error> {
    let file = tree.optional(&source::CRASH_CMA)?;
    file.map(|file| kexec::parse_cma_ranges(&file)).transpose()
}

/// The memory of the kernel log, or why it is unknown.
fn printk(
    tree: Tree<'_>,
    headers: &Found,
    info: Option<&Vmcoreinfo>,
    kcore: &Kcore,
    iomem: &iomem::Iomem,
) -> Result<Result<PrintkRing, printk::Unresolved>, Error> {
    let Some(info) = info else { return Ok(Err(printk::Unresolved::NoNote)) };
    let bytes = printk::read_bytes(tree, &headers.bytes, info)?;
    Ok(bytes.and_then(|bytes| {
        printk::resolve(&bytes, info, kcore, &iomem.system_ram, &iomem.crash_regions)
    }))
}

fn crash_region(
    crash_regions: &[PhysRange],
    command_line: &[u8],
    system_ram: &[PhysRange],
    evidence: Evidence,
) -> Result<PhysRange, Error> {
    let cause =
        || no_reservation::decide(&cmdline::text(command_line), Ram::of(system_ram), evidence);
    crash_regions.last().copied().ok_or_else(|| Error::NotReserved(cause()))
}

/// The evidence for why no memory is reserved. If some is, nothing is read.
fn evidence(tree: Tree<'_>, crash_regions: &[PhysRange]) -> Result<Evidence, Error> {
    if crash_regions.is_empty() { Evidence::read(tree) } else { Ok(Evidence::default()) }
}

fn dm_crypt_keys(tree: Tree<'_>) -> Result<u32, Error> {
    Ok(tree.optional(&source::DM_CRYPT_KEYS)?.map(|file| file.decimal()).transpose()?.unwrap_or(0))
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

fn read_command_line(tree: Tree<'_>) -> Result<Vec<u8>, Error> {
    let mut line = tree.required(&source::COMMAND_LINE)?.bytes;
    line.truncate(line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len));
    Ok(line)
}

fn read_tsc_khz(tree: Tree<'_>) -> Result<u32, Error> {
    let file = tree.required(&source::TSC_KHZ)?;
    match file.decimal()? {
        0 => Err(file.garbled("0")),
        tsc_khz => Ok(tsc_khz),
    }
}

#[cfg(test)]
mod tests;

//! The parsers of a machine's files, for fuzz targets: they take bytes, because a tree of files
//! would be a thousand times slower.
//!
//! They need the feature `fuzzing`. All other code uses [`Machine::read`](super::Machine::read).

use super::printk::{self, PrintkRing, Unresolved};
use super::signals::{self, Kcs};
use super::source::{self, Found, Source};
use super::vmcoreinfo::Vmcoreinfo;
use super::{CpuFacts, Error, Kcore, Machine, cpus, iomem, kcore, kexec};
use crate::phys::PhysRange;

fn found(source: &Source, bytes: &[u8]) -> Found {
    Found { path: source.paths[0].into(), bytes: bytes.to_vec(), expected: source.expected }
}

/// /proc/iomem: the ranges of each name that the loader needs. "System RAM" and "Reserved" include
/// their variants.
pub fn iomem(bytes: &[u8]) -> Result<[(&'static str, Vec<PhysRange>); 7], Error> {
    let iomem::Iomem {
        system_ram, crash_regions, acpi_tables, acpi_nvs, reserved, pmem, pram, ..
    } = iomem::parse(&found(&source::IOMEM, bytes))?;
    Ok([
        ("System RAM", system_ram),
        ("Crash kernel", crash_regions),
        ("ACPI Tables", acpi_tables),
        ("ACPI Non-volatile Storage", acpi_nvs),
        ("Reserved", reserved),
        ("Persistent Memory", pmem),
        ("Persistent Memory (legacy)", pram),
    ])
}

/// /sys/kernel/vmcoreinfo: where the note is.
pub fn vmcoreinfo(bytes: &[u8]) -> Result<PhysRange, Error> {
    kexec::parse_vmcoreinfo(&found(&source::VMCOREINFO, bytes))
}

/// /proc/kcore: the part of the file that is read, and the result of parsing it.
pub fn kcore(mut file: &[u8]) -> (Vec<u8>, Result<Kcore, Error>) {
    let headers = kcore::read_headers(&mut file).expect("a slice can be read");
    let parsed = kcore::parse(&found(&source::KCORE, &headers));
    (headers, parsed)
}

/// /sys/devices/system/cpu/possible: how many there are.
pub fn possible_cpus(bytes: &[u8]) -> Result<u32, Error> {
    cpus::parse_possible(&found(&source::CPU_POSSIBLE, bytes))
}

/// /proc/cpuinfo, with a frequency of 1 GHz.
pub fn cpuinfo(bytes: &[u8]) -> Result<CpuFacts, Error> {
    cpus::parse_cpuinfo(&found(&source::CPUINFO, bytes), 1_000_000)
}

/// The text of the VMCOREINFO note in the headers and notes of /proc/kcore.
pub fn vmcoreinfo_note(headers: &[u8]) -> Option<String> {
    Vmcoreinfo::find(headers).map(|info| info.text().to_owned())
}

/// Where the printk ring buffer is: VMCOREINFO, the address of `struct printk_ringbuffer` and its
/// bytes, and the memory of this machine.
pub fn printk(info: String, bytes: &[u8], machine: &Machine) -> Result<PrintkRing, Unresolved> {
    let Machine { kcore, system_ram, crash_regions, .. } = machine;
    printk::resolve(bytes, &Vmcoreinfo::of(info), kcore, system_ram, crash_regions)
}

/// The SMBIOS table: the KCS interface, and the part of the table that a snapshot keeps.
pub fn smbios(table: &[u8]) -> (Option<Kcs>, Vec<u8>) {
    (signals::kcs(table), signals::ipmi_structures(table))
}

/// /proc/ioports: the port of the pvpanic device.
pub fn pvpanic(ioports: &str) -> Option<u16> {
    signals::pvpanic(ioports)
}

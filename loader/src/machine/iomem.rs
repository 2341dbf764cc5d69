//! [1b] /proc/iomem: which physical ranges are what.

use super::Error;
use super::source::{Found, quoted};
use crate::phys::{PhysRange, merged};

/// The ranges that the loader cares about, each list merged and ascending.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Iomem {
    pub system_ram: Vec<PhysRange>,
    pub crash_regions: Vec<PhysRange>,
    pub acpi_tables: Vec<PhysRange>,
    pub acpi_nvs: Vec<PhysRange>,
    pub reserved: Vec<PhysRange>,
    pub pmem: Vec<PhysRange>,
    pub pram: Vec<PhysRange>,
}

pub(super) fn parse(file: &Found) -> Result<Iomem, Error> {
    let mut iomem = Iomem::default();
    let mut all_zero = true;
    for line in file.text()?.lines() {
        let (range, name) = parse_line(line).ok_or_else(|| file.garbled(quoted(line)))?;
        // Without CAP_SYS_ADMIN every line reads 00000000-00000000 (`r_show`, kernel/resource.c).
        all_zero &= (range.start(), range.end()) == (0, 1);
        if let Some(list) = iomem.list_for(name) {
            list.push(range);
        }
    }
    if all_zero && !iomem.system_ram.is_empty() {
        return Err(Error::Hidden { path: file.path.clone() });
    }
    for list in iomem.lists() {
        *list = merged(std::mem::take(list));
    }
    if iomem.system_ram.is_empty() {
        return Err(file.garbled(if file.bytes.is_empty() { "nothing" } else { "no System RAM" }));
    }
    Ok(iomem)
}

impl Iomem {
    /// The names are those of `e820_type_to_string` (arch/x86/kernel/e820.c), `crashk_res` (kernel/crash_reserve.c) and, behind the
    /// prefix "System RAM", of `add_memory_driver_managed` (mm/memory_hotplug.c).
    fn list_for(&mut self, name: &str) -> Option<&mut Vec<PhysRange>> {
        Some(match name {
            "Crash kernel" => &mut self.crash_regions,
            "ACPI Tables" => &mut self.acpi_tables,
            "ACPI Non-volatile Storage" => &mut self.acpi_nvs,
            "Reserved" | "reserved" => &mut self.reserved,
            "Persistent Memory" => &mut self.pmem,
            "Persistent Memory (legacy)" => &mut self.pram,
            name if name.starts_with("System RAM") => &mut self.system_ram,
            _ => return None,
        })
    }

    fn lists(&mut self) -> [&mut Vec<PhysRange>; 7] {
        let Self { system_ram, crash_regions, acpi_tables, acpi_nvs, reserved, pmem, pram } = self;
        [system_ram, crash_regions, acpi_tables, acpi_nvs, reserved, pmem, pram]
    }
}

/// `START-END : NAME`, both ends included, indented by depth.
fn parse_line(line: &str) -> Option<(PhysRange, &str)> {
    let (range, name) = line.trim_start().split_once(" : ")?;
    Some((parse_range(range)?, name))
}

/// `START-END` in hexadecimal, both ends included.
pub(super) fn parse_range(text: &str) -> Option<PhysRange> {
    let (start, last) = text.split_once('-')?;
    let number = |digits: &str| if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() };
    PhysRange::new(number(start)?, number(last)?.checked_add(1)?)
}

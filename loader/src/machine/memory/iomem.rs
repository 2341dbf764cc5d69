//! `[1b]` /proc/iomem: the physical ranges of RAM, firmware, crash memory and devices.

use crate::machine::Error;
use crate::machine::source::{Found, quoted};
use crate::phys::{PhysRange, merged};

/// The ranges that the loader needs, by name. Each list is merged and ascending.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::machine) struct Iomem {
    pub system_ram: Vec<PhysRange>,
    pub crash_regions: Vec<PhysRange>,
    pub acpi_tables: Vec<PhysRange>,
    pub acpi_nvs: Vec<PhysRange>,
    pub reserved: Vec<PhysRange>,
    pub pmem: Vec<PhysRange>,
    pub pram: Vec<PhysRange>,
    /// All lines but those of RAM and what is in it, in the file's order.
    pub devices: Vec<PhysRange>,
}

pub(in crate::machine) fn parse(file: &Found) -> Result<Iomem, Error> {
    let mut iomem = Iomem::default();
    let mut all_zero = true;
    for line in file.bytes.split(|&byte| byte == b'\n') {
        let Some(Line { range, name }) = Line::split(line) else { continue };
        let range = range.and_then(parse_range);
        // Without CAP_SYS_ADMIN every line reads 00000000-00000000 (`r_show`, kernel/resource.c).
        all_zero &= range.is_none_or(|range| (range.start(), range.end()) == (0, 1));
        if let Some(range) = range.filter(|_| !is_of_ram(name)) {
            iomem.devices.push(range);
        }
        if let Some(list) = iomem.list_for(name) {
            list.push(range.ok_or_else(|| file.garbled(quoted(&String::from_utf8_lossy(line))))?);
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
    /// The names are those of `e820_type_to_string` (arch/x86/kernel/e820.c), of `crashk_res`
    /// (kernel/crash_reserve.c) and, after the prefix "System RAM", of `add_memory_driver_managed`
    /// (mm/memory_hotplug.c).
    fn list_for(&mut self, name: &[u8]) -> Option<&mut Vec<PhysRange>> {
        Some(match name {
            b"Crash kernel" => &mut self.crash_regions,
            b"ACPI Tables" => &mut self.acpi_tables,
            b"ACPI Non-volatile Storage" => &mut self.acpi_nvs,
            b"Reserved" | b"reserved" => &mut self.reserved,
            b"Persistent Memory" => &mut self.pmem,
            b"Persistent Memory (legacy)" => &mut self.pram,
            name if name.starts_with(b"System RAM") => &mut self.system_ram,
            _ => return None,
        })
    }

    fn lists(&mut self) -> [&mut Vec<PhysRange>; 7] {
        let Self { system_ram, crash_regions, acpi_tables, acpi_nvs, reserved, pmem, pram, .. } =
            self;
        [system_ram, crash_regions, acpi_tables, acpi_nvs, reserved, pmem, pram]
    }
}

/// Whether a line names RAM, or a part of it.
fn is_of_ram(name: &[u8]) -> bool {
    name.starts_with(b"System RAM") || name == b"Crash kernel" || name.starts_with(b"Kernel ")
}

/// `START-END : NAME`, both ends included, indented by depth. The name can be any bytes: it is a
/// driver's, and a removed driver may have left a pointer to memory that is no longer text.
struct Line<'a> {
    /// The text before the separator; `None` if it is not text.
    range: Option<&'a str>,
    name: &'a [u8],
}

impl<'a> Line<'a> {
    /// Splits a line. Without a separator, the name is everything after the first word. `None` if
    /// there is no name.
    fn split(line: &'a [u8]) -> Option<Self> {
        const SEPARATOR: &[u8] = b" : ";
        let line = line.trim_ascii_start();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let separator = line.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
        match separator {
            Some(at) => Some(Self {
                range: str::from_utf8(&line[..at]).ok(),
                name: &line[at + SEPARATOR.len()..],
            }),
            None => {
                let at = line.iter().position(|&byte| byte == b' ')?;
                Some(Self { range: None, name: line[at..].trim_ascii_start() })
            }
        }
    }
}

/// `START-END` in hexadecimal, both ends included.
pub(in crate::machine) fn parse_range(text: &str) -> Option<PhysRange> {
    let (start, last) = text.split_once('-')?;
    let number = |digits: &str| {
        if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
    };
    PhysRange::new(number(start)?, number(last)?.checked_add(1)?)
}

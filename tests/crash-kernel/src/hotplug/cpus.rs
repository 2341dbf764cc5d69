//! The registers of CPU hotplug: QEMU docs/specs/acpi_cpu_hotplug.rst, hw/acpi/cpu.c.
//!
//! After a reset an older interface is active at the same ports, a bitmap of CPUs. Writing 0 to the
//! selector, as [`places`] does first, switches to this one (hw/acpi/cpu_hotplug.c,
//! `cpu_status_write`).

use super::{Place, flags, read, write};

/// `ICH9_CPU_HOTPLUG_IO_BASE` (include/hw/acpi/pc-hotplug.h): the selector.
const BASE: u16 = 0x0cd8;
/// Selects the meaning of `DATA`, one byte.
const COMMAND: u16 = BASE + 0x5;
/// Data of the command.
const DATA: u16 = BASE + 0x8;

/// Command: reading data gives the selector. Writing the command also moves the selector to a CPU
/// that has an event.
const SELECTED: u8 = 0;
/// Command: writing data sets the _OST event.
const OST_EVENT: u8 = 1;
/// Command: writing data sets the _OST status and sends both to QEMU's owner.
const OST_STATUS: u8 = 2;
/// Command: reading data gives the lower half of the architecture's id, on x86 the APIC id.
const ARCHITECTURE_ID: u8 = 3;

/// A place for a CPU.
pub struct CpuPlace(u32);

/// All places, as the specification says under "Enumerate CPUs": the selector of one that does not
/// exist reads as 0. With such a selector the block ignores everything but the next selector.
fn places() -> impl Iterator<Item = CpuPlace> {
    let exists = |place: &CpuPlace| {
        CpuPlace(0).command(SELECTED);
        place.select();
        place.0 == 0 || read::<u32>(DATA) == place.0
    };
    (0..).map(CpuPlace).take_while(exists)
}

/// The places with a CPU in them.
pub fn enabled() -> impl Iterator<Item = CpuPlace> {
    places().filter(|place| place.has(flags::ENABLED))
}

/// The APIC ids of the CPUs that are there.
pub fn present() -> impl Iterator<Item = u32> {
    enabled().map(|place| place.apic_id())
}

impl CpuPlace {
    /// The APIC id of the CPU that is, or would be, there.
    pub fn apic_id(&self) -> u32 {
        self.command(ARCHITECTURE_ID);
        read(DATA)
    }

    fn command(&self, command: u8) {
        self.select();
        write(COMMAND, command);
    }
}

impl Place for CpuPlace {
    const FLAGS: u16 = BASE + 0x4;

    fn select(&self) {
        write(BASE, self.0);
    }

    fn report(&self, event: u32, status: u32) {
        self.command(OST_EVENT);
        write(DATA, event);
        self.command(OST_STATUS);
        write(DATA, status);
    }
}

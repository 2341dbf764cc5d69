//! The registers of memory hotplug: QEMU docs/specs/acpi_mem_hotplug.rst, hw/acpi/memory_hotplug.c.

use orders::PhysSpan;

use super::{Place, flags, read, write};

/// `ACPI_MEMORY_HOTPLUG_BASE` (include/hw/acpi/pc-hotplug.h): the selector when written; address,
/// low half, when read.
const BASE: u16 = 0x0a00;
/// Address, high half, when read; _OST event when written.
const ADDRESS_HIGH_OR_OST_EVENT: u16 = BASE + 0x4;
/// Size, low half, when read; _OST status when written, which sends both to QEMU's owner.
const SIZE_LOW_OR_OST_STATUS: u16 = BASE + 0x8;
/// Size, high half.
const SIZE_HIGH: u16 = BASE + 0xc;
/// `ACPI_MAX_RAM_SLOTS` (include/hw/acpi/acpi.h); the flags of slots that the machine lacks read as
/// 0.
const MAX_SLOTS: u32 = 256;

/// A place for a DIMM.
pub struct Slot(u32);

/// The slots with a DIMM in them.
pub fn enabled() -> impl Iterator<Item = Slot> {
    (0..MAX_SLOTS).map(Slot).filter(|slot| slot.has(flags::ENABLED))
}

impl Slot {
    /// The DIMM's memory.
    pub fn span(&self) -> PhysSpan {
        self.select();
        let wide =
            |low: u16, high: u16| u64::from(read::<u32>(high)) << 32 | u64::from(read::<u32>(low));
        PhysSpan::new(
            wide(BASE, ADDRESS_HIGH_OR_OST_EVENT),
            wide(SIZE_LOW_OR_OST_STATUS, SIZE_HIGH),
        )
    }
}

impl Place for Slot {
    const FLAGS: u16 = BASE + 0x14;

    fn select(&self) {
        write(BASE, self.0);
    }

    fn report(&self, event: u32, status: u32) {
        self.select();
        write(ADDRESS_HIGH_OR_OST_EVENT, event);
        write(SIZE_LOW_OR_OST_STATUS, status);
    }
}

//! Memory and CPUs that come and go while the machine runs: ACPI's hotplug, without its bytecode.
//!
//! QEMU's AML talks to two blocks of registers; we do. Where an operating system takes an interrupt (SCI) and runs AML methods
//! that look for the device with an event, we look again and again.
//!
//! ```text
//! added:   insert event ──▶ cleared ──▶ _OST says success ──▶ QEMU tells the runner that the guest has taken the device
//! removed: remove event ──▶ cleared ──▶ (the kernel gives it up) ──▶ eject ──▶ QEMU tells the runner that it is gone
//! ```

use orders::{AWAIT_SECONDS, PhysSpan};
use x86_64::instructions::port::{Port, PortRead, PortWrite};

use crate::harness::{give_up, line};
use crate::timeout::Timeout;

mod memory;
mod cpus;

/// The CPUs that are plugged in: their APIC ids, in QEMU's order.
pub use cpus::present as present_cpus;

/// Microseconds between two looks: each is a dozen exits to QEMU, which has to answer the runner meanwhile.
const LOOK_AGAIN_US: u64 = 1_000;

/// _OST source event: a device check, that is a device was inserted (ACPI specification, "Device Object Notification Values").
const OST_DEVICE_CHECK: u32 = 1;
/// _OST source event: an eject request (same table).
const OST_EJECT_REQUEST: u32 = 3;
/// _OST status: success (ACPI specification, "_OST (OSPM Status Indication)").
const OST_SUCCESS: u32 = 0;

/// The bits of the flags that both blocks have alike (QEMU docs/specs/acpi_mem_hotplug.rst, acpi_cpu_hotplug.rst).
mod flags {
    /// Read: the device is there.
    pub const ENABLED: u8 = 1 << 0;
    /// Read: it was plugged in and nobody has been told. Write: somebody has.
    pub const INSERTING: u8 = 1 << 1;
    /// Read: it shall go and nobody has been told. Write: somebody has.
    pub const REMOVING: u8 = 1 << 2;
    /// Write: it may go.
    pub const EJECT: u8 = 1 << 3;
}

/// Waits until a DIMM has been plugged in, and takes it.
pub fn await_memory_added() -> PhysSpan {
    let slot = awaited("memory", || memory::with_event(flags::INSERTING));
    slot.acknowledge(flags::INSERTING);
    let span = slot.span();
    slot.report(OST_DEVICE_CHECK, OST_SUCCESS);
    span
}

/// Waits until a DIMM is asked back.
pub fn await_memory_removed() -> PhysSpan {
    let slot = awaited("memory removal", || memory::with_event(flags::REMOVING));
    slot.acknowledge(flags::REMOVING);
    slot.span()
}

/// Gives back the DIMM at `span`, of which nothing is in use any more.
pub fn finish_memory_removal(span: PhysSpan) {
    let slot = memory::enabled().find(|slot| slot.span() == span);
    let Some(slot) = slot else { give_up(format_args!("no DIMM lies at {:#x}", span.start)) };
    slot.eject();
    slot.report(OST_EJECT_REQUEST, OST_SUCCESS);
}

/// Waits until a CPU has been plugged in, and takes it; returns its APIC id.
pub fn await_cpu_added() -> u32 {
    let place = awaited("cpu", || cpus::with_event(flags::INSERTING));
    place.acknowledge(flags::INSERTING);
    let apic_id = place.apic_id();
    place.report(OST_DEVICE_CHECK, OST_SUCCESS);
    apic_id
}

/// Waits until a CPU is asked back; returns its APIC id.
pub fn await_cpu_removed() -> u32 {
    let place = awaited("cpu removal", || cpus::with_event(flags::REMOVING));
    place.acknowledge(flags::REMOVING);
    place.apic_id()
}

/// Gives back the CPU with this APIC id, which stands still.
pub fn finish_cpu_removal(apic_id: u32) {
    let place = cpus::enabled().find(|place| place.apic_id() == apic_id);
    let Some(place) = place else { give_up(format_args!("no CPU with APIC id {apic_id} is plugged in")) };
    place.eject();
    place.report(OST_EJECT_REQUEST, OST_SUCCESS);
}

/// Tells the runner what is awaited, and looks for it until it is there.
fn awaited<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    line!("awaiting {what}");
    let limit = Timeout::seconds(AWAIT_SECONDS);
    let mut found = None;
    limit.reached_before(|| {
        found = look();
        found.is_some() || {
            Timeout::microseconds(LOOK_AGAIN_US).wait();
            false
        }
    });
    found.unwrap_or_else(|| give_up(format_args!("{what}: nothing came within {AWAIT_SECONDS} s")))
}

/// Reads a register of either block.
fn read<T: PortRead>(port: u16) -> T {
    // SAFETY: the ports belong to QEMU's hotplug controllers, in which reading changes nothing.
    unsafe { Port::new(port).read() }
}

/// Writes a register of either block.
fn write<T: PortWrite>(port: u16, value: T) {
    // SAFETY: the ports belong to QEMU's hotplug controllers. What they can do to memory is to take a DIMM away, which only
    // `finish_memory_removal` asks for, whose caller has given it up.
    unsafe { Port::new(port).write(value) }
}

//! Memory and CPUs that come and go while the machine runs: ACPI's hotplug, without its bytecode.
//!
//! QEMU's AML uses two blocks of registers, and so does this module. An operating system would take
//! an interrupt (SCI) and run AML methods that look for the device with an event. This kernel
//! polls.
//!
//! ```text
//! added:   insert event ──▶ cleared ──▶ _OST reports success ──▶ QEMU tells the runner
//! removed: remove event ──▶ cleared ──▶ (given up) ──▶ eject ──▶ QEMU tells the runner
//! ```

use orders::{AWAIT_SECONDS, PhysSpan};
use x86_64::instructions::port::{Port, PortRead, PortWrite};

use crate::harness::{give_up, line};
use crate::timeout::Timeout;

mod memory;
mod cpus;

/// The APIC ids of the CPUs that are plugged in, in QEMU's order.
pub use cpus::present as present_cpus;

/// Microseconds between two polls. Each takes a dozen exits to QEMU, which must also answer the
/// runner.
const POLL_US: u64 = 1_000;

/// _OST source event: a device check, that is, a device was inserted (ACPI specification, "Device
/// Object Notification Values").
const OST_DEVICE_CHECK: u32 = 1;
/// _OST source event: an eject request (same table).
const OST_EJECT_REQUEST: u32 = 3;
/// _OST status: success (ACPI specification, "_OST (OSPM Status Indication)").
const OST_SUCCESS: u32 = 0;

/// The flags that both blocks have in common (QEMU docs/specs/acpi_mem_hotplug.rst,
/// acpi_cpu_hotplug.rst).
mod flags {
    /// Read: the device is there.
    pub const ENABLED: u8 = 1 << 0;
    /// Read: it was plugged in, and the guest has not acknowledged it. Write: acknowledges it.
    pub const INSERTING: u8 = 1 << 1;
    /// Read: its removal is requested, and the guest has not acknowledged it. Write: acknowledges
    /// it.
    pub const REMOVING: u8 = 1 << 2;
    /// Write: it may go.
    pub const EJECT: u8 = 1 << 3;
}

/// A place for a device, in either block.
trait Place {
    /// The port of its flags, one byte.
    const FLAGS: u16;

    /// Makes the block's other registers those of this place.
    fn select(&self);

    /// Reports the outcome of an event, as the method _OST would.
    fn report(&self, event: u32, status: u32);

    fn has(&self, flag: u8) -> bool {
        self.select();
        read::<u8>(Self::FLAGS) & flag != 0
    }

    /// Acknowledges an event, or ejects the device.
    fn set(&self, flag: u8) {
        self.select();
        write(Self::FLAGS, flag);
    }
}

/// Waits until a DIMM is plugged in, and takes it.
pub fn await_memory_added() -> PhysSpan {
    let slot = awaited("memory", flags::INSERTING, memory::enabled);
    let span = slot.span();
    slot.report(OST_DEVICE_CHECK, OST_SUCCESS);
    span
}

/// Waits until a DIMM's removal is requested.
pub fn await_memory_removed() -> PhysSpan {
    awaited("memory removal", flags::REMOVING, memory::enabled).span()
}

/// Gives back the DIMM at `span`, of which nothing is in use any more.
pub fn finish_memory_removal(span: PhysSpan) {
    give_back(memory::enabled().find(|slot| slot.span() == span));
}

/// Waits until a CPU is plugged in, and takes it; returns its APIC id.
pub fn await_cpu_added() -> u32 {
    let place = awaited("cpu", flags::INSERTING, cpus::enabled);
    let apic_id = place.apic_id();
    place.report(OST_DEVICE_CHECK, OST_SUCCESS);
    apic_id
}

/// Waits until a CPU's removal is requested; returns its APIC id.
pub fn await_cpu_removed() -> u32 {
    awaited("cpu removal", flags::REMOVING, cpus::enabled).apic_id()
}

/// Gives back the CPU with this APIC id, which is halted.
pub fn finish_cpu_removal(apic_id: u32) {
    give_back(cpus::enabled().find(|place| place.apic_id() == apic_id));
}

/// Tells the runner what is awaited, polls until a place has the event, and acknowledges it.
fn awaited<P: Place, I: Iterator<Item = P>>(what: &str, event: u8, places: impl Fn() -> I) -> P {
    line!("awaiting {what}");
    let limit = Timeout::seconds(AWAIT_SECONDS);
    let mut found = None;
    limit.reached_before(|| {
        found = places().find(|place| place.has(event));
        found.is_some() || {
            Timeout::microseconds(POLL_US).wait();
            false
        }
    });
    let place = found
        .unwrap_or_else(|| give_up(format_args!("{what}: nothing came within {AWAIT_SECONDS} s")));
    place.set(event);
    place
}

fn give_back(place: Option<impl Place>) {
    let Some(place) = place else {
        give_up(format_args!("the device to give back is not plugged in"))
    };
    place.set(flags::EJECT);
    place.report(OST_EJECT_REQUEST, OST_SUCCESS);
}

/// Reads a register of either block.
fn read<T: PortRead>(port: u16) -> T {
    // SAFETY: the ports belong to QEMU's hotplug controllers, in which reading changes nothing.
    unsafe { Port::new(port).read() }
}

/// Writes a register of either block.
fn write<T: PortWrite>(port: u16, value: T) {
    // SAFETY: the ports belong to QEMU's hotplug controllers. Their only effect on memory is to
    // remove a DIMM. Only `finish_memory_removal` asks for that, after its caller has given the
    // DIMM up.
    unsafe { Port::new(port).write(value) }
}

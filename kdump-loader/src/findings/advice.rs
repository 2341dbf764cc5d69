//! `[10]` Warnings before an image is armed, about what is allowed but probably not intended. They
//! never reject an image.
//!
//! *On entry*
//! - the finished image
//! - the request
//! - the machine
//!
//! *On exit* one message for each problem that would cost the dump without any other sign.

mod words; // each warning as a sentence
mod cma; // about crash memory in CMA

pub use cma::{Builder, of_cma};
pub use words::more_room;

use loader::cmdline::{self, Base, Weight};
use loader::image::{Image, Verification};
use loader::kernel;
use loader::machine::{ConfidentialGuest, Machine};
use loader::phys::PhysRange;
use loader::place::room::{self, Room};
use loader::purgatory::settings;
use loader::request::{Console, Request};

use crate::findings::{Code, Level};
use crate::initrd::Initrd;

/// Keeps the capture kernel from adding ACPI memory devices (`acpi_no_memhotplug`,
/// drivers/acpi/acpi_memhotplug.c).
pub const NO_MEMORY_HOTPLUG: &str = "acpi_no_memhotplug";

/// Makes drivers reset devices that the crashed kernel left in an unknown state (`reset_devices`,
/// init/main.c).
const RESET_DEVICES: &str = "reset_devices";
/// Memory that one CPU costs the capture kernel, measured on Linux 6.12 without `nr_cpus=1`.
const PER_CPU: u64 = 800 * 1000;
/// Memory for CPUs that causes a warning even if the caller has chosen their number.
const MUCH_FOR_CPUS: u64 = 16 << 20;
/// Names a CPU that the capture kernel leaves alone (`disable_cpu_apicid`,
/// arch/x86/kernel/apic/apic.c until Linux 6.8).
const DISABLE_CPU: &str = "disable_cpu_apicid";
/// The first release that leaves the CPU alone that firmware booted (the commit "x86/cpu: Detect
/// real BSP on crash kernels", which also removed [`DISABLE_CPU`]).
const SPARES_BOOT_CPU: (u32, u32) = (6, 9);
/// End of the memory that devices with 32-bit DMA can address.
const DMA32_END: u64 = 1 << 32;

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The capture kernel would use the crashed kernel's DIMMs as RAM.
    MemoryHotplug,
    /// Drivers of the capture kernel would find devices in the state that the crashed kernel left.
    DevicesNotReset,
    /// The capture kernel would start several CPUs, or set up more than it needs.
    ManyCpus {
        /// CPUs that it would set up.
        cpus: u32,
        /// Bytes that they take.
        memory: u64,
    },
    /// The capture kernel would start the CPU that firmware booted, which resets the machine.
    BootCpu {
        /// CPUs that it would set up.
        cpus: u32,
    },
    /// All crash memory is above 4 GiB.
    NoLowMemory,
    /// The caller passed parameters that do not suit a capture kernel.
    Unfit {
        /// The parameters, as given.
        parameters: Vec<String>,
        /// Their effect in a capture kernel.
        effect: &'static str,
        /// Their effect on the dump.
        weight: Weight,
    },
    /// The command line has no room for the purgatory's report.
    NoReport {
        /// Bytes by which it is too long.
        lacks: usize,
    },
    /// Port I/O faults in this guest, so there is no console.
    NoConsole {
        /// The kind of guest, and the evidence.
        guest: ConfidentialGuest,
    },
    /// A foreign purgatory hangs instead of resetting the machine.
    PurgatoryHangs {
        /// Whose contract it follows.
        whose: &'static str,
        /// Whether it prints nothing.
        silent: bool,
    },
    /// The capture kernel would have too little memory to run.
    LittleRoom {
        /// Bytes of its memory that the image leaves free.
        free: u64,
        /// Bytes that were always enough in tests.
        safe: u64,
        /// Whether it would be enough with one CPU.
        one_cpu: bool,
        /// A size to reserve, in MiB.
        suggested_mib: u64,
    },
    /// The capture kernel gets no keys for an encrypted dump target.
    KeysLeftBehind {
        /// Keys that the kernel is configured to hand over.
        keys: u32,
    },
    /// The command line requests memory in CMA, but the kernel does not show where it is.
    HiddenCma {
        /// Requested bytes.
        asked: u64,
        /// Bytes that the capture kernel has without it.
        reserved: u64,
    },
    /// The command line requests memory in CMA, but the kernel reserved none.
    RefusedCma {
        /// Requested bytes.
        asked: u64,
        /// Bytes that the capture kernel has without it.
        reserved: u64,
    },
    /// Part of the capture kernel's memory is shared with the running kernel's user space and
    /// devices.
    Cma {
        /// Bytes.
        len: u64,
    },
}

impl Advice {
    /// Its code in the record and in `status`.
    pub fn code(&self) -> Code {
        match self {
            Self::MemoryHotplug => Code::MemoryHotplug,
            Self::DevicesNotReset => Code::DevicesNotReset,
            Self::ManyCpus { .. } | Self::BootCpu { .. } => Code::ManyCpus,
            Self::NoLowMemory => Code::NoLowMemory,
            Self::Unfit { weight: Weight::Loses, .. } => Code::DeadlyParameter,
            Self::Unfit { .. } => Code::UnfitParameter,
            Self::NoReport { .. } => Code::NoReport,
            Self::NoConsole { .. } => Code::ConsoleImpossible,
            Self::PurgatoryHangs { .. } => Code::PurgatoryHangs,
            Self::LittleRoom { .. } => Code::LittleRoom,
            Self::KeysLeftBehind { .. } => Code::KeysLeftBehind,
            Self::HiddenCma { .. } | Self::RefusedCma { .. } => Code::CmaHidden,
            Self::Cma { .. } => Code::CmaShared,
        }
    }

    /// Its effect on the dump.
    pub fn level(&self) -> Level {
        self.code().level()
    }
}

/// All warnings about `image`, which was built for `request` on `machine`. `needed` is the memory
/// that the capture kernel needs besides the image, if that is known.
pub fn advise(
    image: &Image<'_>,
    request: &Request,
    machine: &Machine,
    needed: Option<u64>,
) -> Vec<Advice> {
    let release = kernel::release(&request.kernel);
    let mut advice = of_line(
        &request.command_line,
        release.as_deref(),
        machine.possible_cpus,
        &machine.crash_regions,
    );
    if let Verification::ByBlock(block) = image.verification()
        && block.report_lacks > 0
    {
        advice.push(Advice::NoReport { lacks: block.report_lacks });
    }
    if let (Console::Port(_), Some(guest)) =
        (request.console, settings::confidential(request, machine))
    {
        advice.push(Advice::NoConsole { guest });
    }
    if let Verification::BySymbols(symbols) = image.verification() {
        advice.push(Advice::PurgatoryHangs {
            whose: symbols.contract.whose,
            silent: symbols.console.is_none(),
        });
    }
    let len: u64 = machine.crash_cma.iter().flatten().map(|range| range.len()).sum();
    let reserved: u64 = machine.crash_regions.iter().map(|range| range.len()).sum();
    let used: u64 = image.segments().iter().map(|segment| segment.range().len()).sum();
    let free = (reserved + len).saturating_sub(used);
    let initrd = request.initrd.as_ref().map_or(&[][..], |initrd| &initrd.bytes);
    let cpus = cmdline::cpu_limit(&request.command_line.line)
        .unwrap_or(u32::MAX)
        .min(machine.possible_cpus);
    let safe_with = |unpacked, cpus| {
        needed.unwrap_or_else(|| Room::needed(release.as_deref(), unpacked, cpus).safe)
    };
    let mut unpacked = room::about_unpacked(initrd);
    if free < safe_with(unpacked, cpus) {
        // The estimate is too high for an initrd of compressed files. Unpacking takes time, so it
        // happens only before a warning.
        unpacked = Initrd::read(initrd, |_| false).map_or(unpacked, |initrd| initrd.unpacked);
    }
    let safe = safe_with(unpacked, cpus);
    if free < safe {
        let suggested_mib = needed.map_or_else(
            || room::suggested_mib(used, unpacked, safe),
            |run| room::estimate(used + run),
        );
        let one_cpu = free >= safe_with(unpacked, 1);
        advice.push(Advice::LittleRoom { free, safe, one_cpu, suggested_mib });
    }
    advice.extend(of_cma(
        &machine.command_line,
        machine.crash_cma.as_deref(),
        &machine.crash_regions,
        Builder::Loader,
    ));
    if machine.dm_crypt_keys > 0 {
        advice.push(Advice::KeysLeftBehind { keys: machine.dm_crypt_keys });
    }
    advice
}

/// Warnings without an image: about the command line of a capture kernel of this release, and the
/// crash memory.
pub fn of_line(
    base: &Base,
    release: Option<&str>,
    possible_cpus: u32,
    crash_regions: &[PhysRange],
) -> Vec<Advice> {
    let line = &base.line;
    let mut advice = Vec::new();
    if !cmdline::has_parameter(line, NO_MEMORY_HOTPLUG) {
        advice.push(Advice::MemoryHotplug);
    }
    if !cmdline::has_parameter(line, RESET_DEVICES) {
        advice.push(Advice::DevicesNotReset);
    }
    let limit = cmdline::cpu_limit(line);
    let cpus = possible_cpus.min(limit.unwrap_or(u32::MAX));
    let memory = u64::from(cpus) * PER_CPU;
    let one = cmdline::starts_one_cpu(line);
    if cpus > 1 && (limit.is_none() && !one || memory >= MUCH_FOR_CPUS) {
        advice.push(Advice::ManyCpus { cpus, memory });
    } else if cpus > 1
        && !one
        && !cmdline::has_parameter(line, DISABLE_CPU)
        && !spares_boot_cpu(release)
    {
        advice.push(Advice::BootCpu { cpus });
    }
    if crash_regions.first().is_some_and(|lowest| lowest.start() >= DMA32_END) {
        advice.push(Advice::NoLowMemory);
    }
    let unfit = base.unfit().into_iter();
    advice.extend(unfit.map(|(row, parameters)| Advice::Unfit {
        parameters,
        effect: row.effect,
        weight: row.weight,
    }));
    advice
}

/// Whether a kernel of this release leaves the CPU alone that firmware booted. Of an unknown
/// release, it may not.
fn spares_boot_cpu(release: Option<&str>) -> bool {
    let mut numbers = release
        .unwrap_or_default()
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    let series = numbers.next().zip(numbers.next());
    series.is_some_and(|series| series >= SPARES_BOOT_CPU)
}

#[cfg(test)]
mod tests;

//! [10] What is allowed but hardly meant: said before it is armed, refused never.
//!
//! *On entry* the finished image, what was asked for and the machine. *On exit* one sentence for each thing that would spoil a dump in silence.

use std::fmt;

use crate::cmdline;
use crate::image::{Image, Verification, mib};
use crate::machine::{ConfidentialGuest, Machine};
use crate::place::{ROOM_TO_RUN, suggested_mib};
use crate::request::{Console, Request};
use crate::settings;

/// Keeps the capture kernel from adding ACPI memory devices (`acpi_no_memhotplug`, drivers/acpi/acpi_memhotplug.c).
pub const NO_MEMORY_HOTPLUG: &str = "acpi_no_memhotplug";

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The capture kernel would take DIMMs of the crashed kernel for memory of its own.
    MemoryHotplug,
    /// Port I/O faults in this guest, so there is no console.
    NoConsole {
        /// Which, and what shows it.
        guest: ConfidentialGuest,
    },
    /// Another's purgatory does not reset the machine.
    StandsStill {
        /// Whose it is.
        whose: &'static str,
        /// Whether it says so before.
        silent: bool,
    },
    /// The capture kernel would hardly have memory to run in.
    LittleRoom {
        /// Bytes of its memory that the image leaves free.
        free: u64,
        /// A size to reserve, in MiB.
        suggested_mib: u64,
    },
    /// Part of the capture kernel's memory is shared with the running kernel's user space and devices.
    Cma {
        /// How many bytes.
        len: u64,
    },
}

impl fmt::Display for Advice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryHotplug => write!(
                out,
                "the capture kernel's command line has no {NO_MEMORY_HOTPLUG}: it would take DIMMs, hot-added ones above all, for memory of \
                 its own and write over what it is to dump; add it unless this machine can have none"
            ),
            Self::NoConsole { guest } => write!(
                out,
                "this is a {guest}, where port I/O faults: the purgatory gets no console, and a failure ends in a silent reset or halt; if \
                 it is none, use --confidential no"
            ),
            Self::StandsStill { whose, silent } => write!(
                out,
                "a purgatory like {whose} stands still for ever when the image was changed, unless it was built otherwise{}; the one in \
                 this program, without --purgatory, says what was changed and resets the machine",
                if *silent { ", and says nothing" } else { "" }
            ),
            Self::LittleRoom { free, suggested_mib } => write!(
                out,
                "the image leaves {} MiB for the capture kernel to run in, and kernel and initrd rarely make do with less than {} MiB: boot the \
                 running kernel with crashkernel={suggested_mib}M, or see for yourself that a dump succeeds",
                mib(*free),
                ROOM_TO_RUN >> 20
            ),
            Self::Cma { len } => write!(
                out,
                "{} MiB of the capture kernel's memory are crashkernel=…,cma: user pages there are not in the dump, and after a panic the \
                 running kernel waits ten seconds for devices to stop writing to it",
                len >> 20
            ),
        }
    }
}

/// Everything worth saying about `image`, which `request` asked for on `machine`.
pub fn advise(image: &Image<'_>, request: &Request, machine: &Machine) -> Vec<Advice> {
    let mut advice = Vec::new();
    if !cmdline::has_parameter(&request.command_line, NO_MEMORY_HOTPLUG) {
        advice.push(Advice::MemoryHotplug);
    }
    if let (Console::Port(_), Some(guest)) = (request.console, settings::confidential(request, machine)) {
        advice.push(Advice::NoConsole { guest });
    }
    if let Verification::BySymbols(told) = image.verification() {
        advice.push(Advice::StandsStill { whose: told.contract.whose, silent: told.console.is_none() });
    }
    let len: u64 = machine.crash_cma.iter().map(|range| range.len()).sum();
    let reserved: u64 = machine.crash_regions.iter().map(|range| range.len()).sum();
    let used: u64 = image.segments().iter().map(|segment| segment.range().len()).sum();
    let free = (reserved + len).saturating_sub(used);
    if free < ROOM_TO_RUN {
        advice.push(Advice::LittleRoom { free, suggested_mib: suggested_mib(used) });
    }
    if len > 0 {
        advice.push(Advice::Cma { len });
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::example::machine;
    use crate::phys::PhysRange;
    use crate::request;

    fn quiet() -> (Request, Machine) {
        let mut machine = machine();
        machine.crash_cma.clear();
        let request = Request { command_line: "nr_cpus=1 acpi_no_memhotplug".into(), ..request::example() };
        (request, machine)
    }

    fn advised(request: &Request, machine: &Machine) -> Vec<Advice> {
        advise(&crate::build(request, machine).unwrap(), request, machine)
    }

    #[test]
    fn image_that_leaves_little_memory_to_run_in_is_remarked_on() {
        let (request, mut machine) = quiet();
        let used = crate::build(&request, &machine).unwrap().summary().used();
        let start = machine.crash_regions[0].start();
        let with = |len| PhysRange::with_len(start, len).unwrap();
        machine.crash_regions = vec![with(used + ROOM_TO_RUN)];
        assert_eq!(advised(&request, &machine), []);
        machine.crash_regions = vec![with(used + ROOM_TO_RUN - 4096)];
        let advice = advised(&request, &machine);
        assert_eq!(advice, [Advice::LittleRoom { free: ROOM_TO_RUN - 4096, suggested_mib: suggested_mib(used) }]);
        let message = advice[0].to_string();
        assert!(message.contains("128.0 MiB") && message.contains("crashkernel=144M"), "{message}");
    }

    #[test]
    fn sensible_request_needs_no_advice() {
        let (request, machine) = quiet();
        assert_eq!(advised(&request, &machine), []);
    }

    #[test]
    fn command_line_that_lets_the_capture_kernel_add_dimms_is_remarked_on() {
        let (request, machine) = quiet();
        for command_line in ["nr_cpus=1", "", "acpi_no_memhotplugs", "x=acpi_no_memhotplug", "quiet -- acpi_no_memhotplug"] {
            let request = Request { command_line: command_line.into(), ..request.clone() };
            assert_eq!(advised(&request, &machine), [Advice::MemoryHotplug], "{command_line}");
        }
    }

    #[test]
    fn console_that_cannot_be_had_is_remarked_on() {
        let (request, mut machine) = quiet();
        let guest = ConfidentialGuest { kind: "tdx_guest", evidence: "/proc/cpuinfo" };
        machine.cpu.confidential = Some(guest);
        assert_eq!(advised(&request, &machine), [], "nobody asked for one");
        let request = Request { console: Console::Port(0x3f8), ..request };
        assert_eq!(advised(&request, &machine), [Advice::NoConsole { guest }]);
        let request = Request { confidential: crate::request::Confidential::No, ..request };
        assert_eq!(advised(&request, &machine), [], "it is none");
    }

    #[test]
    fn purgatory_that_will_not_reset_the_machine_is_remarked_on() {
        use crate::purgatory::foreign::{KEXEC_TOOLS, LINUX};
        use crate::purgatory::relocatable::example::object;
        let (request, machine) = quiet();
        for (contract, console, silent) in
            [(&LINUX, Console::Auto, true), (&KEXEC_TOOLS, Console::Auto, true), (&KEXEC_TOOLS, Console::Port(0x3f8), false)]
        {
            let purgatory = object().told(contract.written.iter().map(|written| (written.symbol, written.len)));
            let request = Request {
                on_corrupt: None,
                reset_delay_ms: None,
                leaf_size: None,
                console,
                purgatory: request::InputFile { path: "purgatory.ro".into(), bytes: purgatory.bytes() },
                ..request.clone()
            };
            assert_eq!(advised(&request, &machine), [Advice::StandsStill { whose: contract.whose, silent }]);
        }
    }

    #[test]
    fn memory_shared_with_the_running_kernel_is_remarked_on() {
        let (request, _) = quiet();
        assert_eq!(advised(&request, &machine()), [Advice::Cma { len: 16 << 20 }]);
    }
}

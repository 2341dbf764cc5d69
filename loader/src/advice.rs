//! [10] What is allowed but hardly meant: said before it is armed, refused never.
//!
//! *On entry* what was asked for and the machine. *On exit* one sentence for each thing that would spoil a dump in silence.

use std::fmt;

use crate::machine::Machine;
use crate::request::{Console, Request};

/// Keeps the capture kernel from adding ACPI memory devices (`acpi_no_memhotplug`, drivers/acpi/acpi_memhotplug.c).
const NO_MEMORY_HOTPLUG: &str = "acpi_no_memhotplug";

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The capture kernel would take DIMMs of the crashed kernel for memory of its own.
    MemoryHotplug,
    /// Port I/O faults in this guest, so there is no console.
    NoConsole {
        /// What kind of guest, as /proc/cpuinfo calls it.
        guest: String,
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
                "this is a {guest} guest, where port I/O faults: the purgatory gets no console, and a failure ends in a silent reset or halt"
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

/// Everything worth saying about `request` on `machine`.
pub fn advise(request: &Request, machine: &Machine) -> Vec<Advice> {
    let mut advice = Vec::new();
    if !request.command_line.split_whitespace().any(|word| word == NO_MEMORY_HOTPLUG) {
        advice.push(Advice::MemoryHotplug);
    }
    if let (Console::Port(_), Some(guest)) = (request.console, &machine.cpu.confidential) {
        advice.push(Advice::NoConsole { guest: guest.clone() });
    }
    let len = machine.crash_cma.iter().map(|range| range.len()).sum();
    if len > 0 {
        advice.push(Advice::Cma { len });
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::example::machine;
    use crate::request;

    fn quiet() -> (Request, Machine) {
        let mut machine = machine();
        machine.crash_cma.clear();
        let request = Request { command_line: "nr_cpus=1 acpi_no_memhotplug".into(), ..request::example() };
        (request, machine)
    }

    #[test]
    fn sensible_request_needs_no_advice() {
        let (request, machine) = quiet();
        assert_eq!(advise(&request, &machine), []);
    }

    #[test]
    fn command_line_that_lets_the_capture_kernel_add_dimms_is_remarked_on() {
        let (request, machine) = quiet();
        for command_line in ["nr_cpus=1", "", "acpi_no_memhotplugs", "x=acpi_no_memhotplug"] {
            let request = Request { command_line: command_line.into(), ..request.clone() };
            assert_eq!(advise(&request, &machine), [Advice::MemoryHotplug], "{command_line}");
        }
    }

    #[test]
    fn console_that_cannot_be_had_is_remarked_on() {
        let (request, mut machine) = quiet();
        machine.cpu.confidential = Some("tdx_guest".into());
        assert_eq!(advise(&request, &machine), [], "nobody asked for one");
        let request = Request { console: Console::Port(0x3f8), ..request };
        assert_eq!(advise(&request, &machine), [Advice::NoConsole { guest: "tdx_guest".into() }]);
    }

    #[test]
    fn memory_shared_with_the_running_kernel_is_remarked_on() {
        let (request, _) = quiet();
        assert_eq!(advise(&request, &machine()), [Advice::Cma { len: 16 << 20 }]);
    }
}

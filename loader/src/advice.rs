//! [10] What is allowed but hardly meant: said before it is armed, refused never.
//!
//! *On entry* the finished image, what was asked for and the machine. *On exit* one sentence for each thing that would spoil a dump in silence.

use std::fmt;

use crate::cmdline::{self, Base};
use crate::findings::{Code, Level};
use crate::image::{Image, Verification, mib};
use crate::kernel;
use crate::machine::{ConfidentialGuest, Machine};
use crate::phys::PhysRange;
use crate::place::suggested_mib;
use crate::request::{Console, Request};
use crate::room::{self, Room};
use crate::settings;

/// Keeps the capture kernel from adding ACPI memory devices (`acpi_no_memhotplug`, drivers/acpi/acpi_memhotplug.c).
pub const NO_MEMORY_HOTPLUG: &str = "acpi_no_memhotplug";

/// Makes drivers reset their devices, which the crashed kernel left in any state (`reset_devices`, init/main.c).
const RESET_DEVICES: &str = "reset_devices";
/// What one CPU costs the capture kernel: measured on Linux 6.12 without `nr_cpus=1`.
const PER_CPU: u64 = 800 * 1000;
/// What CPUs may cost before it is worth a word, although the caller chose how many there are.
const MUCH_FOR_CPUS: u64 = 16 << 20;
/// Devices with 32 bits of address reach memory below this.
const DMA32_END: u64 = 1 << 32;

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The capture kernel would take DIMMs of the crashed kernel for memory of its own.
    MemoryHotplug,
    /// Drivers of the capture kernel would meet devices in the state that the crashed kernel left them in.
    DevicesNotReset,
    /// The capture kernel would start more than one CPU, or has memory for more than it needs.
    ManyCpus {
        /// How many it would know of.
        cpus: u32,
        /// Bytes that they take.
        memory: u64,
    },
    /// All crash memory is above 4 GiB.
    NoLowMemory,
    /// The caller gave parameters that are unfit for a capture kernel.
    Unfit {
        /// Which, as they were given.
        parameters: Vec<String>,
        /// What they do there.
        effect: &'static str,
    },
    /// The command line has no room for the purgatory's report.
    NoReport {
        /// By how many bytes it is too long.
        lacks: usize,
    },
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
        /// Bytes that were always enough in tests.
        safe: u64,
        /// A size to reserve, in MiB.
        suggested_mib: u64,
    },
    /// The capture kernel gets no keys for an encrypted dump target.
    KeysLeftBehind {
        /// How many the kernel was asked to hand over.
        keys: u32,
    },
    /// The command line asks for memory in CMA, but the kernel does not show where it is.
    HiddenCma {
        /// Bytes asked for.
        asked: u64,
        /// Bytes that the capture kernel has without it.
        reserved: u64,
    },
    /// Part of the capture kernel's memory is shared with the running kernel's user space and devices.
    Cma {
        /// How many bytes.
        len: u64,
    },
}

impl Advice {
    /// Its code in the record, and where `status` repeats it.
    pub fn code(&self) -> Code {
        match self {
            Self::MemoryHotplug => Code::MemoryHotplug,
            Self::DevicesNotReset => Code::DevicesNotReset,
            Self::ManyCpus { .. } => Code::ManyCpus,
            Self::NoLowMemory => Code::NoLowMemory,
            Self::Unfit { .. } => Code::UnfitParameter,
            Self::NoReport { .. } => Code::NoReport,
            Self::NoConsole { .. } => Code::ConsoleImpossible,
            Self::StandsStill { .. } => Code::PurgatoryHangs,
            Self::LittleRoom { .. } => Code::LittleRoom,
            Self::KeysLeftBehind { .. } => Code::KeysLeftBehind,
            Self::HiddenCma { .. } => Code::CmaHidden,
            Self::Cma { .. } => Code::CmaShared,
        }
    }

    /// How much it says about the dump.
    pub fn level(&self) -> Level {
        self.code().level()
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryHotplug => write!(
                out,
                "the capture kernel's command line has no {NO_MEMORY_HOTPLUG}: it would take DIMMs, hot-added ones above all, for memory of \
                 its own and write over what it is to dump; add it unless this machine can have none"
            ),
            Self::DevicesNotReset => write!(
                out,
                "the capture kernel's command line has no {RESET_DEVICES}; drivers may fail on devices that the crashed kernel left busy, \
                 and with them the dump target; add {RESET_DEVICES}"
            ),
            Self::ManyCpus { cpus, memory } => write!(
                out,
                "the capture kernel's command line allows {cpus} CPUs; they take about {} MiB of crash memory, and starting them may reset \
                 the machine; add nr_cpus=1",
                mib(*memory)
            ),
            Self::NoLowMemory => write!(
                out,
                "no crash memory is below 4 GiB; a device with 32-bit DMA cannot work in the capture kernel, and with it perhaps the dump \
                 target; boot the running kernel without crashkernel=0,low, or with crashkernel=256M,low"
            ),
            Self::Unfit { parameters, effect } => write!(
                out,
                "the capture kernel's command line has {}, which belongs to the running kernel; {effect}; remove it",
                parameters.join(" ")
            ),
            Self::NoReport { lacks } => write!(
                out,
                "the capture kernel's command line has no room for the purgatory's report; the capture kernel boots, but its user space \
                 cannot read what was verified; shorten the command line by {lacks} bytes"
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
            Self::LittleRoom { free, safe, suggested_mib } => write!(
                out,
                "the image leaves the capture kernel {} MiB to run in, and with this kernel and initrd about {} MiB were always enough in tests; \
                 boot the running kernel with crashkernel={suggested_mib}M, or try a panic once and look for the dump",
                mib(*free),
                mib(*safe)
            ),
            Self::KeysLeftBehind { keys } => write!(
                out,
                "the kernel is asked to hand over {keys} dm-crypt keys (/sys/kernel/config/crash_dm_crypt_keys), but only kexec_file_load does \
                 that: the capture kernel could not open an encrypted dump target; load with --file"
            ),
            Self::HiddenCma { asked, reserved } => write!(
                out,
                "the running kernel was booted with {} MiB of crashkernel=…,cma, but does not show where they are \
                 (/sys/kernel/kexec/crash_cma_ranges, since Linux 6.19): the capture kernel gets {} MiB without them; reserve more with \
                 a plain crashkernel=, or use --file, for the kernel itself knows them",
                asked >> 20,
                reserved >> 20
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
    let mut advice = of_line(&request.command_line, machine.possible_cpus, &machine.crash_regions);
    if let Verification::ByBlock(told) = image.verification()
        && told.report_lacks > 0
    {
        advice.push(Advice::NoReport { lacks: told.report_lacks });
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
    let unpacked = request.initrd.as_ref().map_or(0, |initrd| room::about_unpacked(&initrd.bytes));
    let cpus = cmdline::cpu_limit(&request.command_line.line).unwrap_or(u32::MAX).min(machine.possible_cpus);
    let Room { safe, .. } = Room::needed(kernel::release(&request.kernel).as_deref(), unpacked, cpus);
    if free < safe {
        advice.push(Advice::LittleRoom { free, safe, suggested_mib: suggested_mib(used + unpacked) });
    }
    if len > 0 {
        advice.push(Advice::Cma { len });
    }
    if machine.dm_crypt_keys > 0 {
        advice.push(Advice::KeysLeftBehind { keys: machine.dm_crypt_keys });
    }
    if let Some(asked) = machine.hidden_cma() {
        advice.push(Advice::HiddenCma { asked, reserved });
    }
    advice
}

/// What is worth saying without an image: about the command line, and the memory that it will be read in.
pub fn of_line(base: &Base, possible_cpus: u32, crash_regions: &[PhysRange]) -> Vec<Advice> {
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
    let chosen = limit.is_some() || cmdline::starts_one_cpu(line);
    if cpus > 1 && (!chosen || memory >= MUCH_FOR_CPUS) {
        advice.push(Advice::ManyCpus { cpus, memory });
    }
    if crash_regions.first().is_some_and(|lowest| lowest.start() >= DMA32_END) {
        advice.push(Advice::NoLowMemory);
    }
    let unfit = base.unfit().into_iter();
    advice.extend(unfit.map(|(row, parameters)| Advice::Unfit { parameters, effect: row.effect }));
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
        let request = Request { command_line: "nr_cpus=1 reset_devices acpi_no_memhotplug".into(), ..request::example() };
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
        let unpacked = room::about_unpacked(&request.initrd.as_ref().unwrap().bytes);
        let Room { safe, .. } = Room::needed(None, unpacked, 1);
        machine.crash_regions = vec![with(used + safe)];
        assert_eq!(advised(&request, &machine), []);
        let free = safe - 4096;
        machine.crash_regions = vec![with(used + free)];
        let advice = advised(&request, &machine);
        assert_eq!(advice, [Advice::LittleRoom { free, safe, suggested_mib: suggested_mib(used + unpacked) }]);
        let message = advice[0].to_string();
        assert!(message.contains("about 38.0 MiB were always enough") && message.contains("crashkernel=144M"), "{message}");
    }

    #[test]
    fn sensible_request_needs_no_advice() {
        let (request, machine) = quiet();
        assert_eq!(advised(&request, &machine), []);
    }

    #[test]
    fn command_line_that_lets_the_capture_kernel_add_dimms_is_remarked_on() {
        let (request, machine) = quiet();
        for command_line in ["", "acpi_no_memhotplugs", "x=acpi_no_memhotplug", "quiet -- acpi_no_memhotplug"] {
            let command_line = format!("nr_cpus=1 reset_devices {command_line}");
            let request = Request { command_line: command_line.as_str().into(), ..request.clone() };
            assert_eq!(advised(&request, &machine), [Advice::MemoryHotplug], "{command_line}");
        }
    }

    /// Advice about `line` on a machine of `cpus` CPUs that has low crash memory.
    fn about(line: &str, cpus: u32) -> Vec<Advice> {
        of_line(&line.into(), cpus, &machine().crash_regions)
    }

    const GOOD: &str = "nr_cpus=1 reset-devices acpi-no-memhotplug";

    #[test]
    fn every_parameter_that_a_capture_kernel_should_have_is_missed_once() {
        let expected = [Advice::MemoryHotplug, Advice::DevicesNotReset, Advice::ManyCpus { cpus: 4, memory: 4 * PER_CPU }];
        assert_eq!(about("", 4), expected);
        assert_eq!(about(GOOD, 4), []);
        assert_eq!(about(&GOOD.replace("nr_cpus", "maxcpus"), 4), []);
        assert_eq!(about(&GOOD.replace("nr_cpus=1", "nosmp"), 4), []);
        assert_eq!(about(&GOOD.replace("nr_cpus=1", "nr_cpus=4"), 64), [], "the caller chose");
        assert_eq!(about(&GOOD.replace("nr_cpus=1", ""), 1), [], "there is only one");
    }

    #[test]
    fn memory_for_two_thousand_cpus_is_remarked_on() {
        let expected = [Advice::ManyCpus { cpus: 2000, memory: 2000 * PER_CPU }];
        for line in [GOOD.replace("nr_cpus=1", ""), GOOD.replace("nr_cpus=1", "maxcpus=1"), GOOD.replace("=1", "=4096")] {
            assert_eq!(about(&line, 2000), expected, "{line}");
        }
        let message = expected[0].to_string();
        assert!(message.contains("2000 CPUs; they take about 1525.9 MiB") && message.contains("add nr_cpus=1"), "{message}");
        assert_eq!(about(GOOD, 2000), []);
    }

    #[test]
    fn crash_memory_above_4_gib_alone_is_remarked_on() {
        let at = |gib: u64| PhysRange::with_len(gib << 30, 512 << 20).unwrap();
        assert_eq!(of_line(&GOOD.into(), 1, &[at(8)]), [Advice::NoLowMemory]);
        assert_eq!(of_line(&GOOD.into(), 1, &[at(3), at(8)]), []);
        assert_eq!(of_line(&GOOD.into(), 1, &[at(3)]), []);
    }

    #[test]
    fn given_parameter_that_belongs_to_the_running_kernel_is_named_with_its_effect() {
        let advice = about(&format!("hugepagesz=1G {GOOD} hugepages=2 cma=0 crashkernel=64M -- hugepages=3"), 1);
        let sentences: Vec<_> = advice.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), 2, "{sentences:?}");
        assert!(sentences[0].contains("has crashkernel=64M, which") || sentences[1].contains("has crashkernel=64M, which"));
        let huge = sentences.iter().find(|sentence| sentence.contains("hugepagesz=1G hugepages=2,")).unwrap();
        assert!(huge.contains("deadlocked on memory") && huge.ends_with("remove it"), "{huge}");
    }

    #[test]
    fn command_line_without_room_for_the_report_is_remarked_on() {
        let (request, machine) = quiet();
        let line = format!("{} nr_cpus=1 reset_devices acpi_no_memhotplug", "x".repeat(1900));
        let advice = advised(&Request { command_line: line.as_str().into(), ..request }, &machine);
        let [Advice::NoReport { lacks }] = advice[..] else { panic!("{advice:?}") };
        assert!(advice[0].to_string().ends_with(&format!("by {lacks} bytes")));
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

    #[test]
    fn cma_that_the_kernel_does_not_show_is_remarked_on() {
        let (request, mut machine) = quiet();
        machine.command_line = "crashkernel=192M crashkernel=1G,cma".into();
        let advice = advised(&request, &machine);
        assert_eq!(advice, [Advice::HiddenCma { asked: 1 << 30, reserved: 192 << 20 }]);
        let message = advice[0].to_string();
        assert!(message.contains("1024 MiB") && message.contains("--file"), "{message}");
        machine.crash_cma = crate::machine::example::machine().crash_cma;
        assert_eq!(advised(&request, &machine), [Advice::Cma { len: 16 << 20 }]);
    }

    #[test]
    fn keys_that_only_the_kernels_own_loader_hands_over_are_remarked_on() {
        let (request, mut machine) = quiet();
        machine.dm_crypt_keys = 2;
        let advice = advised(&request, &machine);
        assert_eq!(advice, [Advice::KeysLeftBehind { keys: 2 }]);
        assert!(advice[0].to_string().contains("--file"));
    }
}

//! Images, and the warnings that they cause.

mod line; // those about the command line alone

use loader::machine::example::machine;
use loader::phys::PhysRange;
use loader::place::suggested_mib;
use loader::request;

use super::*;
use crate::initrd::example::archive;

fn quiet() -> (Request, Machine) {
    let mut machine = machine();
    machine.crash_cma = None;
    let request = Request {
        command_line: "nr_cpus=1 reset_devices acpi_no_memhotplug".into(),
        ..request::example()
    };
    (request, machine)
}

fn advised(request: &Request, machine: &Machine) -> Vec<Advice> {
    advise(&loader::build(request, machine).unwrap(), request, machine, None)
}

/// An image for `request` must cause a warning if it leaves less than `safe` bytes of crash memory,
/// and not before. Returns the warning. `suggested` makes the size to reserve of the image's size.
#[track_caller]
fn warning_below(
    safe: u64,
    needed: Option<u64>,
    request: &Request,
    suggested: impl Fn(u64) -> u64,
) -> Advice {
    let (_, mut machine) = quiet();
    let used = loader::build(request, &machine).unwrap().summary().used();
    let start = machine.crash_regions[0].start();
    let mut advised_with = |free| {
        machine.crash_regions = vec![PhysRange::with_len(start, used + free).unwrap()];
        advise(&loader::build(request, &machine).unwrap(), request, &machine, needed)
    };
    let enough = safe.next_multiple_of(4096);
    assert_eq!(advised_with(enough), []);
    let free = enough - 4096;
    let warning = Advice::LittleRoom { free, safe, one_cpu: false, suggested_mib: suggested(used) };
    assert_eq!(advised_with(free), std::slice::from_ref(&warning));
    warning
}

#[test]
fn image_that_leaves_little_memory_causes_a_warning() {
    let (request, _) = quiet();
    let unpacked = room::about_unpacked(&request.initrd.as_ref().unwrap().bytes);
    let Room { safe, .. } = Room::needed(None, unpacked, 1);
    let warning = warning_below(safe, None, &request, |used| suggested_mib(used + unpacked));
    let message = warning.to_string();
    assert!(
        message.contains("about 38.0 MiB were always enough")
            && message.contains("crashkernel=144M"),
        "{message}"
    );
}

#[test]
fn crash_memory_for_an_initrd_of_capture_is_suggested_as_estimate_does() {
    let needed = 24 << 20;
    warning_below(needed, Some(needed), &quiet().0, |used| room::estimate(used + needed));
}

#[test]
fn memory_that_is_too_little_for_256_cpus_is_not_to_be_made_smaller() {
    let (mut request, mut machine) = quiet();
    machine.possible_cpus = 256;
    request.command_line = "reset_devices acpi_no_memhotplug".into();
    let start = machine.crash_regions[0].start();
    let mut advised_with = |mib: u64| {
        machine.crash_regions = vec![PhysRange::with_len(start, mib << 20).unwrap()];
        let advice = advised(&request, &machine);
        advice.into_iter().find(|advice| matches!(advice, Advice::LittleRoom { .. }))
    };
    let advice = advised_with(224).unwrap();
    let Advice::LittleRoom { one_cpu, suggested_mib, .. } = advice else { unreachable!() };
    assert!(one_cpu && suggested_mib > 224, "{advice:?}");
    let message = advice.to_string();
    assert!(message.contains("add nr_cpus=1 to its command line, or boot"), "{message}");
    assert_eq!(advised_with(suggested_mib), None);
}

#[test]
fn room_for_an_initrd_of_compressed_files_is_not_overestimated() {
    let (mut request, _) = quiet();
    let module = loader::example::pattern(4 << 20);
    // Microcode, followed by an archive with a compressed module.
    let initrd = [
        archive(&[("kernel/x86/microcode/GenuineIntel.bin", &[0x5a; 512])]),
        archive(&[("lib/modules/6.12.43/kernel/fs/ext4.ko.xz", &module)]),
    ]
    .concat();
    let (guess, unpacked) = (room::about_unpacked(&initrd), module.len() as u64 + 512);
    assert!(guess > 3 * unpacked, "{guess}");
    request.initrd.as_mut().unwrap().bytes = initrd;
    let Room { safe, .. } = Room::needed(None, unpacked, 1);
    warning_below(safe, None, &request, |used| suggested_mib(used + unpacked));
}

#[test]
fn command_line_without_room_for_the_report_causes_a_note() {
    let (request, machine) = quiet();
    let line = format!("{} nr_cpus=1 reset_devices acpi_no_memhotplug", "x".repeat(1900));
    let advice = advised(&Request { command_line: line.as_str().into(), ..request }, &machine);
    let [Advice::NoReport { lacks }] = advice[..] else { panic!("{advice:?}") };
    assert!(advice[0].to_string().ends_with(&format!("by {lacks} bytes")));
}

#[test]
fn impossible_console_causes_a_warning() {
    let (request, mut machine) = quiet();
    let guest = ConfidentialGuest { kind: "tdx_guest", evidence: "/proc/cpuinfo" };
    machine.cpu.confidential = Some(guest);
    assert_eq!(advised(&request, &machine), [], "no console was requested");
    let request = Request { console: Console::Port(0x3f8), ..request };
    assert_eq!(advised(&request, &machine), [Advice::NoConsole { guest }]);
    let request = Request { confidential: loader::request::Confidential::No, ..request };
    assert_eq!(advised(&request, &machine), [], "it is none");
}

#[test]
fn foreign_purgatory_that_hangs_causes_a_warning() {
    use loader::purgatory::foreign::{KEXEC_TOOLS, LINUX};
    use loader::purgatory::relocatable::example::object;
    let (request, machine) = quiet();
    for (contract, console, silent) in [
        (&LINUX, Console::Auto, true),
        (&KEXEC_TOOLS, Console::Auto, true),
        (&KEXEC_TOOLS, Console::Port(0x3f8), false),
    ] {
        let purgatory = object()
            .with_written(contract.written.iter().map(|written| (written.symbol, written.len)));
        let request = Request {
            on_corrupt: None,
            reset_delay_ms: None,
            leaf_size: None,
            console,
            purgatory: request::InputFile { path: "purgatory.ro".into(), bytes: purgatory.bytes() },
            ..request.clone()
        };
        assert_eq!(
            advised(&request, &machine),
            [Advice::PurgatoryHangs { whose: contract.whose, silent }]
        );
    }
}

#[test]
fn memory_shared_with_the_running_kernel_causes_a_warning() {
    let (request, _) = quiet();
    assert_eq!(advised(&request, &machine()), [Advice::Cma { len: 16 << 20 }]);
}

#[test]
fn hidden_cma_causes_a_warning() {
    let (request, mut machine) = quiet();
    machine.command_line = "crashkernel=192M crashkernel=1G,cma".into();
    let advice = advised(&request, &machine);
    assert_eq!(advice, [Advice::HiddenCma { asked: 1 << 30, reserved: 192 << 20 }]);
    let message = advice[0].to_string();
    assert!(message.contains("1024 MiB") && message.contains("--file"), "{message}");
    machine.crash_cma = loader::machine::example::machine().crash_cma;
    assert_eq!(advised(&request, &machine), [Advice::Cma { len: 16 << 20 }]);
}

#[test]
fn unreserved_cma_causes_its_own_warning() {
    let (request, mut machine) = quiet();
    machine.command_line = "crashkernel=192M crashkernel=1G,cma".into();
    machine.crash_cma = Some(Vec::new());
    let advice = advised(&request, &machine);
    assert_eq!(advice, [Advice::RefusedCma { asked: 1 << 30, reserved: 192 << 20 }]);
    let message = advice[0].to_string();
    assert!(message.contains("reserved none") && !message.contains("--file"), "{message}");
    machine.command_line = "crashkernel=192M".into();
    assert_eq!(advised(&request, &machine), []);
}

#[test]
fn dm_crypt_keys_without_kexec_file_load_cause_a_warning() {
    let (request, mut machine) = quiet();
    machine.dm_crypt_keys = 2;
    let advice = advised(&request, &machine);
    assert_eq!(advice, [Advice::KeysLeftBehind { keys: 2 }]);
    assert!(advice[0].to_string().contains("--file"));
}

//! Images, and the warnings that they cause.

use loader::machine::example::machine;
use loader::phys::PhysRange;
use loader::place::suggested_mib;
use loader::request;

use super::*;

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

#[test]
fn image_that_leaves_little_memory_causes_a_warning() {
    let (request, mut machine) = quiet();
    let used = loader::build(&request, &machine).unwrap().summary().used();
    let start = machine.crash_regions[0].start();
    let with = |len| PhysRange::with_len(start, len).unwrap();
    let unpacked = room::about_unpacked(&request.initrd.as_ref().unwrap().bytes);
    let Room { safe, .. } = Room::needed(None, unpacked, 1);
    machine.crash_regions = vec![with(used + safe)];
    assert_eq!(advised(&request, &machine), []);
    let free = safe - 4096;
    machine.crash_regions = vec![with(used + free)];
    let advice = advised(&request, &machine);
    assert_eq!(
        advice,
        [Advice::LittleRoom {
            free,
            safe,
            one_cpu: false,
            suggested_mib: suggested_mib(used + unpacked)
        }]
    );
    let message = advice[0].to_string();
    assert!(
        message.contains("about 38.0 MiB were always enough")
            && message.contains("crashkernel=144M"),
        "{message}"
    );
}

#[test]
fn crash_memory_for_an_initrd_of_capture_is_suggested_as_estimate_does() {
    let (request, mut machine) = quiet();
    let image = loader::build(&request, &machine).unwrap();
    let used = image.summary().used();
    let start = machine.crash_regions[0].start();
    let needed = 24 << 20;
    let mut advised = |free| {
        machine.crash_regions = vec![PhysRange::with_len(start, used + free).unwrap()];
        advise(&image, &request, &machine, Some(needed))
    };
    let suggested_mib = room::estimate(used + needed);
    assert_eq!(
        [needed, needed - 4096].map(&mut advised),
        [
            vec![],
            vec![Advice::LittleRoom {
                free: needed - 4096,
                safe: needed,
                one_cpu: false,
                suggested_mib
            }]
        ]
    );
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

/// Microcode, followed by an archive with a compressed module.
fn of_compressed_files(len: u32) -> Vec<u8> {
    use std::io::Write;
    let mut bytes = Vec::new();
    for (name, len) in [
        ("kernel/x86/microcode/GenuineIntel.bin", 512),
        ("lib/modules/6.12.43/kernel/fs/ext4.ko.xz", len),
    ] {
        let mut file = cpio::newc::Builder::new(name).mode(0o100_644).write(&mut bytes, len);
        file.write_all(&loader::example::pattern(len as usize)).unwrap();
        file.finish().unwrap();
        cpio::newc::trailer(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn room_for_an_initrd_of_compressed_files_is_not_overestimated() {
    let (mut request, mut machine) = quiet();
    let len = 4 << 20;
    let initrd = of_compressed_files(len);
    let (guess, unpacked) = (room::about_unpacked(&initrd), u64::from(len) + 512);
    assert!(guess > 3 * unpacked, "{guess}");
    request.initrd.as_mut().unwrap().bytes = initrd;
    let used = loader::build(&request, &machine).unwrap().summary().used();
    let Room { safe, .. } = Room::needed(None, unpacked, 1);
    let free = (safe + 4095) & !4095;
    let start = machine.crash_regions[0].start();
    machine.crash_regions = vec![PhysRange::with_len(start, used + free).unwrap()];
    assert_eq!(advised(&request, &machine), []);
    let free = free - 4096;
    machine.crash_regions = vec![PhysRange::with_len(start, used + free).unwrap()];
    assert_eq!(
        advised(&request, &machine),
        [Advice::LittleRoom {
            free,
            safe,
            one_cpu: false,
            suggested_mib: suggested_mib(used + unpacked)
        }]
    );
}

#[test]
fn sensible_request_needs_no_advice() {
    let (request, machine) = quiet();
    assert_eq!(advised(&request, &machine), []);
}

#[test]
fn command_line_without_acpi_no_memhotplug_causes_a_warning() {
    let (request, machine) = quiet();
    for command_line in
        ["", "acpi_no_memhotplugs", "x=acpi_no_memhotplug", "quiet -- acpi_no_memhotplug"]
    {
        let command_line = format!("nr_cpus=1 reset_devices {command_line}");
        let request = Request { command_line: command_line.as_str().into(), ..request.clone() };
        assert_eq!(advised(&request, &machine), [Advice::MemoryHotplug], "{command_line}");
    }
}

/// Warnings about `line` for Linux 6.12, on a machine with `cpus` CPUs and low crash memory.
fn about(line: &str, cpus: u32) -> Vec<Advice> {
    of_line(&line.into(), Some("6.12.43-amd64"), cpus, &machine().crash_regions)
}

const GOOD: &str = "nr_cpus=1 reset-devices acpi-no-memhotplug";

#[test]
fn every_missing_parameter_causes_one_warning() {
    let expected = [
        Advice::MemoryHotplug,
        Advice::DevicesNotReset,
        Advice::ManyCpus { cpus: 4, memory: 4 * PER_CPU },
    ];
    assert_eq!(about("", 4), expected);
    assert_eq!(about(GOOD, 4), []);
    assert_eq!(about(&GOOD.replace("nr_cpus", "maxcpus"), 4), []);
    assert_eq!(about(&GOOD.replace("nr_cpus=1", "nosmp"), 4), []);
    assert_eq!(about(&GOOD.replace("nr_cpus=1", "nr_cpus=4"), 64), [], "the caller chose");
    assert_eq!(about(&GOOD.replace("nr_cpus=1", ""), 1), [], "there is only one");
}

#[test]
fn memory_for_two_thousand_cpus_causes_a_warning() {
    let expected = [Advice::ManyCpus { cpus: 2000, memory: 2000 * PER_CPU }];
    for line in [
        GOOD.replace("nr_cpus=1", ""),
        GOOD.replace("nr_cpus=1", "maxcpus=1"),
        GOOD.replace("=1", "=4096"),
    ] {
        assert_eq!(about(&line, 2000), expected, "{line}");
    }
    let message = expected[0].to_string();
    assert!(
        message.contains("2000 CPUs, which take about 1525.9 MiB")
            && message.contains("add nr_cpus=1"),
        "{message}"
    );
    assert_eq!(about(GOOD, 2000), []);
}

#[test]
fn kernel_before_6_9_that_starts_the_first_cpu_causes_a_warning() {
    let about = |line: &str, release| of_line(&line.into(), release, 64, &machine().crash_regions);
    let four = GOOD.replace("nr_cpus=1", "nr_cpus=4");
    for release in [None, Some("6.8.0-51-generic"), Some("5.14.0"), Some("6")] {
        assert_eq!(about(&four, release), [Advice::BootCpu { cpus: 4 }], "{release:?}");
        assert_eq!(about(GOOD, release), [], "{release:?}");
        assert_eq!(about(&format!("{four} maxcpus=1"), release), [], "{release:?}");
        assert_eq!(about(&format!("{four} disable_cpu_apicid=0"), release), [], "{release:?}");
    }
    for release in ["6.9.0", "6.12.43-amd64", "7.3-rc1"] {
        assert_eq!(about(&four, Some(release)), [], "{release}");
    }
    let message = Advice::BootCpu { cpus: 4 }.to_string();
    assert!(
        message.contains("before Linux 6.9") && message.contains("initial apicid"),
        "{message}"
    );
    assert_eq!(Advice::BootCpu { cpus: 4 }.code(), Code::ManyCpus);
}

#[test]
fn crash_memory_only_above_4_gib_causes_a_warning() {
    let at = |gib: u64| PhysRange::with_len(gib << 30, 512 << 20).unwrap();
    assert_eq!(of_line(&GOOD.into(), None, 1, &[at(8)]), [Advice::NoLowMemory]);
    assert_eq!(of_line(&GOOD.into(), None, 1, &[at(3), at(8)]), []);
    assert_eq!(of_line(&GOOD.into(), None, 1, &[at(3)]), []);
}

#[test]
fn unsuitable_parameter_is_named_with_its_effect() {
    let advice =
        about(&format!("hugepagesz=1G {GOOD} hugepages=2 cma=0 crashkernel=64M -- hugepages=3"), 1);
    let sentences: Vec<_> = advice.iter().map(ToString::to_string).collect();
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(
        sentences[0].contains("has crashkernel=64M, which")
            || sentences[1].contains("has crashkernel=64M, which")
    );
    let huge =
        sentences.iter().find(|sentence| sentence.contains("hugepagesz=1G hugepages=2,")).unwrap();
    assert!(huge.contains("deadlocked on memory") && huge.ends_with("remove it"), "{huge}");
}

#[test]
fn parameter_is_deadly_only_if_it_can_lose_or_damage_the_dump() {
    let code_of = |word: &str| {
        let [advice] = &about(&format!("{GOOD} {word}"), 1)[..] else { panic!("{word}") };
        advice.code()
    };
    for costs in [
        "log_buf_len=1M",
        "slub_max_order=0",
        "dhash_entries=1",
        "trace_buf_size=1",
        "slub_debug=P",
        "swiotlb=65536",
        "transparent_hugepage=always",
        "possible_cpus=8",
        "memtest=1",
    ] {
        assert_eq!(code_of(costs), Code::UnfitParameter, "{costs}");
    }
    for loses in [
        "hugepages=2",
        "cma=64M",
        "mem=1G",
        "memmap=1G$4G",
        "kernelcore=1G",
        "crashkernel=64M",
        "panic_on_warn=1",
        "nmi_watchdog=panic",
        "resume=/dev/vda2",
        "isolcpus=0",
        "ignition.firstboot",
        "failslab=1,1,0,-1",
    ] {
        assert_eq!(code_of(loses), Code::DeadlyParameter, "{loses}");
    }
    assert_eq!(Code::UnfitParameter.level(), Level::Warning);
    assert_eq!(Code::DeadlyParameter.level(), Level::Unknown);
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

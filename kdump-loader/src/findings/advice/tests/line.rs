//! Command lines, and the warnings that they cause.

use super::*;

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
fn missing_parameter_is_not_replaced_by_a_word_that_looks_like_it() {
    for word in ["acpi_no_memhotplugs", "x=acpi_no_memhotplug", "-- acpi_no_memhotplug"] {
        let line = format!("nr_cpus=1 reset_devices {word}");
        assert_eq!(about(&line, 1), [Advice::MemoryHotplug], "{word}");
    }
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

//! Problems of the machine's settings, of its CPUs and of the capture kernel's command line.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn other_service_is_found_if_the_config_exists() {
    let armed = Armed::new();
    let wants = armed.path("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("/usr/lib/systemd/system/kdump-tools.service", wants.join("kdump-tools.service"))
        .unwrap();
    let unit = armed.path("usr/lib/systemd/system/kdump-tools.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(unit, "[Service]\n").unwrap();
    assert_eq!(armed.found(), [] as [&str; 0], "it may be the one that calls this program");
    armed.config("");
    assert_eq!(armed.found(), ["other_service"]);
    symlink("/dev/null", armed.path("etc/systemd/system/kdump-tools.service")).unwrap();
    assert_eq!(armed.found(), [] as [&str; 0], "it is masked");
    fs::remove_file(armed.path("etc/systemd/system/kdump-tools.service")).unwrap();
    assert_eq!(armed.found(), ["other_service"]);
    let drop_in = armed.path("etc/systemd/system/kdump-tools.service.d/90-kdump-loader.conf");
    fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
    fs::write(drop_in, "[Unit]\nConditionPathExists=/proc/vmcore\n").unwrap();
    assert_eq!(armed.found(), [] as [&str; 0], "it runs in capture kernels only");
}

#[test]
fn oops_and_notifiers_are_checked() {
    let armed = Armed::new();
    armed.write("proc/sys/kernel/panic_on_oops", "0\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["oops_without_dump"], Answer::YesBut));
    fs::remove_file(armed.path("proc/sys/kernel/panic_on_oops")).unwrap();
    assert_eq!(
        armed.found(),
        ["oops_without_dump"],
        "an unreadable setting is not assumed to be right"
    );
    armed.write("proc/sys/kernel/panic_on_oops", "1\n");
    armed.write("sys/module/kernel/parameters/crash_kexec_post_notifiers", "Y\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["post_notifiers"], Answer::Yes));
}

#[test]
fn cpu_that_the_kernel_does_not_use_is_found() {
    let armed = Armed::new();
    for (name, status) in [("LNXCPU:00", "15\n"), ("ACPI0007:02", "15\n"), ("LNXCPU:03", "0\n")] {
        armed.write(&format!("sys/bus/acpi/devices/{name}/status"), status);
    }
    armed.write("sys/bus/acpi/devices/LNXCPU:04/path", "no _STA\n");
    armed.write("sys/bus/acpi/devices/LNXCPU:00/physical_node/online", "1\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["cpu_refused"], Answer::YesBut));
    let finding = &armed.findings()[0];
    assert!(
        finding.message.starts_with("the running kernel does not use 1 of this machine's CPUs"),
        "{finding}"
    );
    let command_line = fs::read_to_string(armed.path("proc/cmdline")).unwrap();
    armed.write("proc/cmdline", &format!("no_ipi_broadcast=0 {command_line}"));
    assert_eq!(armed.found(), ["cpu_refused"]);
    armed.write("proc/cmdline", &format!("no_ipi_broadcast=1 {command_line}"));
    assert_eq!(armed.found(), [] as [&str; 0]);
}

#[test]
fn deadly_parameter_is_found_in_an_image_of_an_older_loader() {
    let armed = Armed::new();
    armed.record(|record| record.image.as_mut().unwrap().command_line += " hugepages=200");
    assert_eq!((armed.found(), armed.answer()), (vec!["deadly_parameter"], Answer::CannotTell));
    let finding = &armed.findings()[0];
    assert!(
        finding.message.contains("hugepages=200")
            && finding.message.contains("deadlocked on memory"),
        "{finding}"
    );
    // `load` has already warned about it.
    armed.record(|record| {
        record.image.as_mut().unwrap().command_line += " hugepages=200";
        let line = record.image.as_ref().unwrap().command_line.as_str();
        record.advice = crate::findings::advice::of_line(&line.into(), None, 1, &[])
            .iter()
            .map(Into::into)
            .collect();
    });
    assert_eq!(armed.found(), ["deadly_parameter"]);
}

#[test]
fn parameter_that_only_costs_memory_is_a_warning() {
    let armed = Armed::new();
    armed.record(|record| {
        record.image.as_mut().unwrap().command_line += " log_buf_len=1M udev.children-max=2"
    });
    assert_eq!((armed.found(), armed.answer()), (vec!["unfit_parameter"], Answer::YesBut));
}

#[test]
fn too_little_crash_memory_is_found() {
    let armed = Armed::new();
    let mut image = 0;
    armed.record(|record| image = record.image.as_ref().unwrap().used());
    let cma = 16 << 20;
    for (room, expected) in
        [(15 << 20, Some("too_little_room")), (30 << 20, Some("little_room")), (60 << 20, None)]
    {
        armed.write("sys/kernel/kexec_crash_size", &format!("{}\n", image + room - cma));
        assert_eq!(armed.found(), Vec::from_iter(expected), "{room}");
    }
}

#[test]
fn memory_that_is_too_little_for_256_cpus_is_not_to_be_made_smaller() {
    let armed = Armed::new();
    armed.write("sys/devices/system/cpu/possible", "0-255\n");
    armed.record(|record| {
        let line = &mut record.image.as_mut().unwrap().command_line;
        *line = line.replace("nr_cpus=1", "");
    });
    let findings = armed.findings();
    let room = findings.iter().find(|finding| finding.code == Code::TooLittleRoom).unwrap();
    let remedy = room.remedy.as_deref().unwrap();
    let (_, size) = remedy.split_once("crashkernel=").unwrap();
    let mib: u64 = size.split_once('M').unwrap().0.parse().unwrap();
    assert!(remedy.starts_with("add nr_cpus=1") && mib > 192, "{remedy}");
}

#[test]
fn image_that_cannot_be_replaced_gets_a_possible_remedy() {
    let armed = Armed::new();
    armed.config("");
    armed.write("proc/sys/kernel/kexec_load_disabled", "1\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["reload_disabled"], Answer::Yes));
    armed.config("append = 'nr_cpus=1'");
    assert_eq!(armed.found(), ["config_changed", "reload_disabled"]);
    let remedy = armed.findings()[0].remedy.clone().unwrap();
    assert!(remedy.starts_with("reboot") && !remedy.contains("kdump-loader reload"), "{remedy}");
}

//! Whether the capture kernel's command line lets the program that saves the dump start.

use super::{said, told};
use crate::fixture::status::Debian;

/// The machine, whose image is armed with more parameters.
fn with(machine: Debian, more: &str) -> Debian {
    machine.record(|record| {
        let line = &mut record.image.as_mut().unwrap().command_line;
        *line = format!("{line} {more}");
    });
    machine
}

/// A machine whose initrd saves the dump.
fn fedora() -> Debian {
    let machine = Debian::new();
    let makedumpfile: &[u8] = b"\x7fELF makedumpfile: version 1.7.8 (released on";
    machine.initrd(&[
        ("usr/lib/systemd/system/kdump-capture.service", b""),
        ("etc/kdump.conf", b"path /var/crash\n"),
        ("usr/sbin/makedumpfile", makedumpfile),
    ]);
    machine
}

#[test]
fn last_unit_that_is_booted_counts() {
    for more in [
        "systemd.unit=multi-user.target",
        "systemd.unit=other.service",
        "single",
        "emergency",
        "rescue",
        "1",
        "3",
        "-- single",
        "-b",
    ] {
        let machine = with(Debian::new(), more);
        assert_eq!(told(&machine), "cannot_tell: saver_unknown", "{more}");
    }
    let text = said(&with(Debian::new(), "single"));
    assert!(text.contains("boots rescue.target"), "{text}");
    assert!(text.contains("help: end the capture kernel's command line with systemd.unit="));
    let machine = with(Debian::new(), "single systemd.unit=kdump-tools-dump.service");
    assert_eq!(told(&machine), "yes:");
}

#[test]
fn enabled_service_is_started_by_the_usual_targets() {
    for (more, expected) in [
        ("", "yes:"),
        ("3", "yes:"),
        ("systemd.unit=multi-user.target", "yes:"),
        ("single", "cannot_tell: saver_unknown"),
    ] {
        let machine = Debian::new();
        machine.write("usr/lib/systemd/system/kdump-tools.service", "[Service]\n");
        let wants = "etc/systemd/system/multi-user.target.wants/kdump-tools.service";
        machine.write(wants, "");
        machine.record(|record| {
            record.image.as_mut().unwrap().command_line =
                format!("root=/dev/vda1 nr_cpus=1 reset_devices acpi_no_memhotplug {more}");
        });
        assert_eq!(told(&machine), expected, "{more}");
    }
}

#[test]
fn program_in_place_of_init_saves_nothing() {
    for more in ["init=/bin/bash", "rdinit=/bin/sh", "init=/sbin/init init=/bin/sh"] {
        let machine = with(Debian::new(), more);
        assert_eq!(told(&machine), "cannot_tell: saver_unknown", "{more}");
        assert!(said(&machine).contains("/bin/"), "{}", said(&machine));
    }
    for more in ["init=/sbin/init", "rdinit=/init", "init=/usr/lib/systemd/systemd"] {
        assert_eq!(told(&with(Debian::new(), more)), "yes:", "{more}");
    }
    assert_eq!(told(&with(fedora(), "init=/bin/sh")), "yes:", "the initrd saves it before");
    assert_eq!(told(&with(fedora(), "rdinit=/bin/sh")), "cannot_tell: saver_unknown");
    let own = Debian::new();
    own.initrd(&[("etc/kdump-loader/saver", b"mine\n")]);
    let own = with(own, "rdinit=/mine");
    assert_eq!(told(&own), "yes:", "the initrd's author knows");
    assert_eq!(told(&with(own, "rdinit=/bin/sh")), "cannot_tell: saver_unknown");
}

#[test]
fn masked_unit_saves_nothing() {
    for more in ["systemd.mask=kdump-tools-dump.service", "systemd.mask=kdump-tools-dump"] {
        assert_eq!(told(&with(Debian::new(), more)), "no: saver_missing", "{more}");
    }
    assert_eq!(told(&with(Debian::new(), "systemd.mask=other.service")), "yes:");
    let masked = with(fedora(), "rd.systemd.mask=kdump-capture.service");
    assert_eq!(told(&masked), "no: saver_missing");
    let of_the_root = with(fedora(), "systemd.mask=kdump-capture.service single");
    assert_eq!(told(&of_the_root), "yes:", "only those with rd. are for the initrd");
}

#[test]
fn initrd_that_boots_another_unit_does_not_get_to_the_saver() {
    for more in ["rd.systemd.unit=emergency.target", "rd.rescue", "rd.emergency"] {
        for machine in [Debian::new(), fedora()] {
            assert_eq!(told(&with(machine, more)), "cannot_tell: saver_unknown", "{more}");
        }
    }
    let own = Debian::new();
    own.initrd(&[("etc/kdump-loader/saver", b"mine\n")]);
    assert_eq!(told(&with(own, "rd.systemd.unit=mine.target")), "yes:", "its author knows");
    for more in ["rd.systemd.unit=initrd.target", "rd.emergency=reboot"] {
        assert_eq!(told(&with(Debian::new(), more)), "yes:", "{more}");
    }
}

#[test]
fn parameter_that_waits_for_an_operator_may_lose_the_dump() {
    for more in ["rd.break", "rd.break=pre-mount", "break=premount", "kgdbwait"] {
        let machine = with(Debian::new(), more);
        assert_eq!(told(&machine), "cannot_tell: deadly_parameter", "{more}");
    }
}

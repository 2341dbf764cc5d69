//! What the service on the root file system waits for, and disks that the capture kernel does not
//! see.

use std::fs;
use std::os::unix::fs::symlink;

use super::{said, told};
use crate::fixture::status::Debian;

#[test]
fn device_of_fstab_that_is_absent_may_keep_the_service_from_starting() {
    for (entry, expected) in [
        ("UUID=dead /data ext4 defaults 0 2", "cannot_tell: saver_waits"),
        ("/dev/sdz1 /data ext4", "cannot_tell: saver_waits"),
        ("UUID=dead /data ext4 defaults,nofail 0 2", "yes:"),
        ("UUID=dead /data ext4 noauto 0 2", "yes:"),
        ("UUID=dead /data ext4 noatime,x-systemd.automount 0 2", "yes:"),
        ("#UUID=dead /data ext4 defaults 0 2", "yes:"),
        ("UUID=dead none swap sw 0 0", "yes:"),
        ("UUID=dead / ext4 defaults 0 1", "yes:"),
        ("/dev/vda1 /data ext4 defaults 0 2", "yes:"),
        ("server:/x /data nfs defaults 0 0", "yes:"),
        ("tmpfs /data tmpfs defaults 0 0", "yes:"),
    ] {
        let machine = Debian::new();
        machine.write("sys/class/block/vda1/size", "2000\n");
        machine.write("etc/fstab", &format!("{entry}\n"));
        assert_eq!(told(&machine), expected, "{entry}");
    }
    let machine = Debian::new();
    machine.write("etc/fstab", "UUID=dead /data ext4 defaults 0 2\n");
    assert!(said(&machine).contains("mounts UUID=dead at /data"), "{}", said(&machine));
    let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n23 22 254:2 / /data rw - ext4 /dev/x rw\n";
    machine.write("proc/self/mountinfo", mounts);
    assert_eq!(told(&machine), "yes:", "it is mounted");
}

#[test]
fn dump_on_a_mount_that_fstab_does_not_make_may_go_elsewhere() {
    for (entry, expected) in [
        ("/dev/vda1 /var/crash ext4 defaults 0 2", "yes:"),
        ("/dev/vda1 /var/crash/ ext4 noauto,x-systemd.automount 0 2", "yes:"),
        ("/dev/vda1 /var/crash ext4 noauto 0 2", "yes_but: target_unknown"),
        ("/dev/vda1 /var/crash ext4 defaults,_netdev 0 2", "yes_but: target_unknown"),
        ("/dev/vda1 /var ext4 defaults 0 2", "yes_but: target_unknown"),
    ] {
        let machine = Debian::new();
        let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                      23 22 254:2 / /var/crash rw - ext4 /dev/vda2 rw\n";
        machine.write("proc/self/mountinfo", mounts);
        machine.write("sys/class/block/vda1/size", "2000\n");
        machine.write("etc/fstab", &format!("{entry}\n"));
        assert_eq!(told(&machine), expected, "{entry}");
    }
}

#[test]
fn volume_that_asks_for_a_passphrase_may_keep_the_service_from_starting() {
    for (entry, expected) in [
        ("data UUID=5e61 none luks", "cannot_tell: saver_waits"),
        ("data UUID=5e61 -", "cannot_tell: saver_waits"),
        ("data UUID=5e61", "cannot_tell: saver_waits"),
        ("data UUID=5e61 none luks,noauto", "yes:"),
        ("data UUID=5e61 none luks,nofail", "yes:"),
        ("data UUID=5e61 none tpm2-device=auto", "yes:"),
        ("data UUID=5e61 /root/key luks", "yes:"),
        ("swap /dev/sda2 /dev/urandom swap", "yes:"),
        ("# data UUID=5e61 none luks", "yes:"),
    ] {
        let machine = Debian::new();
        machine.write("etc/crypttab", &format!("{entry}\n"));
        assert_eq!(told(&machine), expected, "{entry}");
    }
    let machine = Debian::new();
    machine.write("etc/crypttab", "data UUID=5e61 none luks\n");
    machine.write("etc/cryptsetup-keys.d/data.key", "x");
    assert_eq!(told(&machine), "yes:");
}

#[test]
fn volume_that_need_not_open_is_asked_for_if_services_wait_for_its_mount() {
    for (fstab, expected) in [
        ("/dev/mapper/data /data ext4 defaults 0 2", "cannot_tell: saver_waits"),
        ("/dev/mapper/data /data ext4 nofail 0 2", "yes:"),
        ("/dev/mapper/other /data ext4 nofail 0 2", "yes:"),
    ] {
        let machine = Debian::new();
        machine.write("etc/crypttab", "data UUID=5e61 none luks,nofail\n");
        machine.write("etc/fstab", &format!("{fstab}\n"));
        // It is open now.
        machine.write("sys/class/block/dm-0/dm/name", "data\n");
        machine.write("dev/mapper/data", "");
        assert_eq!(told(&machine), expected, "{fstab}");
    }
}

#[test]
fn saver_in_the_initrd_waits_for_neither() {
    let machine = Debian::new();
    machine.initrd(&[("etc/kdump-loader/saver", b"mine\n")]);
    machine.write("etc/fstab", "UUID=dead /data ext4 defaults 0 2\n");
    machine.write("etc/crypttab", "data UUID=5e61 none luks\n");
    assert_eq!(told(&machine), "yes:");
}

/// The machine, whose root file system is on a USB disk.
fn on_usb(more: &str) -> Debian {
    let machine = Debian::new();
    machine.record(|record| {
        let line = &mut record.image.as_mut().unwrap().command_line;
        *line = format!("{line} {more}");
    });
    let device = "sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host2/block/vda/vda1";
    machine.write(&format!("{device}/partition"), "1\n");
    machine.write(&format!("{device}/dev"), "254:1\n");
    fs::remove_dir_all(machine.path("sys/class/block/vda1")).unwrap();
    fs::create_dir_all(machine.path("sys/dev/block")).unwrap();
    for link in ["sys/class/block/vda1", "sys/dev/block/254:1"] {
        symlink(format!("../../../{device}"), machine.path(link)).unwrap();
    }
    machine
}

#[test]
fn usb_disk_is_out_of_reach_if_the_command_line_switches_usb_off() {
    for (more, expected) in [
        ("", "yes:"),
        ("usbcore.nousb=0", "yes:"),
        ("usbcore.nousb", "no: target_missing"),
        ("usbcore.nousb=1", "no: target_missing"),
        ("nousb", "yes:"), // no kernel reads it
    ] {
        assert_eq!(told(&on_usb(more)), expected, "{more}");
    }
    let text = said(&on_usb("usbcore.nousb"));
    assert!(text.contains("/var/crash is on a USB disk, but usbcore.nousb"), "{text}");
    let other_target = on_usb("usbcore.nousb");
    let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                  23 22 254:2 / /var/crash rw - ext4 /dev/vdb1 rw\n";
    other_target.write("proc/self/mountinfo", mounts);
    let text = said(&other_target);
    assert!(text.contains("kdump-tools-dump.service is on a USB disk"), "{text}");
}

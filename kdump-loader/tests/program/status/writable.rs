//! Dump targets that lose what is written to them, or take nothing.

use super::{said, told};
use crate::fixture::status::Debian;

const ROOT: &str = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n";

/// The machine with these mounts.
fn mounted(mounts: &str) -> Debian {
    let machine = Debian::new();
    machine.write("proc/self/mountinfo", mounts);
    machine
}

#[test]
fn overlay_whose_upper_directory_is_in_memory_loses_the_dump() {
    let overlay = "22 1 0:25 / / rw - overlay overlayroot \
                   rw,lowerdir=/media/ro,upperdir=/media/rw/overlay,workdir=/media/rw/work\n";
    let tmpfs = "23 22 0:26 / /media/rw rw - tmpfs tmpfs rw\n";
    let disk = "23 22 254:1 / /media/rw rw - ext4 /dev/vda1 rw\n";
    let machine = mounted(&format!("{overlay}{tmpfs}"));
    assert_eq!(told(&machine), "cannot_tell: cannot_look", "the directory is not there");
    machine.write("media/rw/overlay/etc/x", "");
    assert_eq!(told(&machine), "no: target_volatile");
    assert!(said(&machine).contains("/var/crash is in memory (/media/rw is a tmpfs)"));
    machine.write("proc/self/mountinfo", &format!("{overlay}{disk}"));
    assert_eq!(told(&machine), "yes:");
    machine.write("proc/self/mountinfo", overlay);
    assert_eq!(told(&machine), "cannot_tell: cannot_look", "its upper directory is hidden");
}

#[test]
fn overlay_of_systemd_volatile_loses_the_dump() {
    let options = "rw,lowerdir=/run/systemd/overlay-sysroot,\
                   upperdir=/run/systemd/overlay-sysroot/upper,workdir=/x";
    let machine = mounted(&format!("22 1 0:25 / / rw - overlay overlay {options}\n"));
    assert_eq!(told(&machine), "no: target_volatile");
}

#[test]
fn overlay_without_an_upper_directory_takes_no_dump() {
    let machine = mounted("22 1 0:25 / / ro - overlay overlay ro,lowerdir=/a:/b\n");
    assert_eq!(told(&machine), "no: target_read_only");
}

#[test]
fn device_in_memory_loses_the_dump() {
    for device in ["zram0", "ram1"] {
        let mount = format!("23 22 252:0 / /var/crash rw - ext4 /dev/{device} rw\n");
        assert_eq!(told(&mounted(&format!("{ROOT}{mount}"))), "no: target_volatile", "{device}");
    }
    let mapped = mounted(&format!("{ROOT}23 22 253:0 / /var/crash rw - ext4 /dev/dm-0 rw\n"));
    mapped.write("etc/fstab", "/dev/vda1 /var/crash ext4 defaults 0 2\n");
    assert_eq!(told(&mapped), "yes:");
    mapped.write("sys/dev/block/253:0/slaves/zram0/size", "");
    assert_eq!(told(&mapped), "no: target_volatile");
}

#[test]
fn read_only_file_system_takes_no_dump() {
    for kind in ["squashfs", "erofs", "iso9660"] {
        let mount = format!("23 22 7:0 / /var/crash ro - {kind} /dev/loop0 ro\n");
        let machine = mounted(&format!("{ROOT}{mount}"));
        assert_eq!(told(&machine), "no: target_read_only", "{kind}");
    }
}

#[test]
fn mount_that_is_read_only_gets_a_warning_unless_the_next_boot_mounts_it_writable() {
    for mount in [
        "23 22 254:2 / /var/crash ro - ext4 /dev/vda2 rw\n",
        "23 22 254:2 / /var/crash rw - ext4 /dev/vda2 ro,errors=remount-ro\n",
    ] {
        let machine = mounted(&format!("{ROOT}{mount}"));
        assert_eq!(told(&machine), "yes_but: target_unknown");
        assert!(said(&machine).contains("/var/crash is mounted read-only"), "{}", said(&machine));
        machine.write("etc/fstab", "# one\n/dev/vda2 /var/crash ext4 ro,noatime 0 2\n");
        assert_eq!(told(&machine), "yes_but: target_unknown");
        machine.write("etc/fstab", "/dev/vda2\t/var/crash/  ext4 defaults 0 2\n");
        assert_eq!(told(&machine), "yes:");
    }
}

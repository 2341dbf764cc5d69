//! The root file system that the capture kernel boots for the program on it.

use super::{said, told};
use crate::fixture::status::Debian;

/// The machine, whose image is armed with this `root=`.
fn booting(root: &str) -> Debian {
    let machine = Debian::new();
    machine.record(|record| {
        let line = &mut record.image.as_mut().unwrap().command_line;
        *line = line.replace("root=/dev/vda1", &format!("root={root}"));
    });
    machine
}

/// Encrypted root, and a plain disk for dumps.
const MOUNTS: &str = "22 1 253:0 / / rw - ext4 /dev/mapper/root rw\n\
                      23 22 254:2 / /var/crash rw - ext4 /dev/vda2 rw\n";

#[test]
fn saver_on_an_encrypted_root_may_be_out_of_reach() {
    for root in ["/dev/mapper/root", "UUID=5e61", "/dev/vg/root", "fstab"] {
        let machine = booting(root);
        machine.write("proc/self/mountinfo", MOUNTS);
        machine.write("etc/fstab", "/dev/vda1 /var/crash ext4 defaults 0 2\n");
        for device in ["sys/class/block/dm-0", "sys/dev/block/253:0"] {
            machine.write(&format!("{device}/dm/uuid"), "CRYPT-LUKS2-5e61-root\n");
            machine.write(&format!("{device}/dm/name"), "root\n");
        }
        // Without udev, both paths are nodes instead of links to dm-0.
        machine.write("dev/mapper/root", "");
        machine.write("dev/vg/root", "");
        machine.write("dev/disk/by-uuid/.udev", "");
        std::os::unix::fs::symlink("../../dm-0", machine.path("dev/disk/by-uuid/5e61")).unwrap();
        machine.write("dev/dm-0", "");
        assert_eq!(told(&machine), "cannot_tell: target_encrypted", "{root}");
        let words = "kdump-tools-dump.service is on the encrypted volume root";
        assert!(said(&machine).contains(words), "{}", said(&machine));
    }
}

#[test]
fn saver_in_the_initrd_needs_no_root() {
    let machine = booting("UUID=dead");
    machine.initrd(&[("etc/kdump-loader/saver", b"mine\n")]);
    assert_eq!(told(&machine), "yes:");
}

#[test]
fn root_that_is_not_on_this_machine_is_missing() {
    for root in ["UUID=dead", "LABEL=none", "PARTUUID=dead-01", "/dev/sdz9", "block:/dev/sdz9"] {
        let machine = booting(root);
        assert_eq!(told(&machine), "no: target_missing", "{root}");
        let words = format!("the capture kernel boots root={root}, which is not on this machine");
        assert!(said(&machine).contains(&words), "{}", said(&machine));
    }
}

#[test]
fn root_that_is_mounted_or_no_device_is_not_missing() {
    for root in [
        "/dev/vda1",
        "ZFS=rpool/root",
        "nfs:server:/root",
        "254:1",
        "PARTUUID=9E2A-01",
        "PARTUUID=9E2A-01/PARTNROFF=1",
    ] {
        let machine = booting(root);
        machine.write("sys/class/block/vda1/size", "2000\n");
        machine.write("dev/vda1", "");
        machine.write("dev/disk/by-partuuid/.udev", "");
        let link = machine.path("dev/disk/by-partuuid/9e2a-01");
        std::os::unix::fs::symlink("../../vda1", link).unwrap();
        assert_eq!(told(&machine), "yes:", "{root}");
    }
}

#[test]
fn file_system_that_may_be_encrypted_may_be_out_of_reach() {
    for (kind, source, root) in [
        ("zfs", "rpool/ROOT/ubuntu", "ZFS=rpool/ROOT/ubuntu"),
        ("bcachefs", "/dev/vda1:/dev/vdb1", "UUID=5e61"),
    ] {
        let machine = booting(root);
        machine.write("dev/disk/by-uuid/.udev", "");
        std::os::unix::fs::symlink("../../vda1", machine.path("dev/disk/by-uuid/5e61")).unwrap();
        let mounts = format!("22 1 0:25 / / rw - {kind} {source} rw\n");
        machine.write("proc/self/mountinfo", &mounts);
        assert_eq!(told(&machine), "cannot_tell: target_encrypted", "{kind}");
        let words = format!("/var/crash is on {kind} (mounted at /), which may be encrypted");
        assert!(said(&machine).contains(&words), "{}", said(&machine));
        // Only the program is on it.
        let other = format!("{mounts}23 22 254:1 / /var/crash rw - ext4 /dev/vda1 rw\n");
        machine.write("proc/self/mountinfo", &other);
        machine.write("etc/fstab", "/dev/vda1 /var/crash ext4 defaults 0 2\n");
        assert_eq!(told(&machine), "cannot_tell: target_encrypted", "{kind}");
        let words = format!("kdump-tools-dump.service is on {kind}");
        assert!(said(&machine).contains(&words), "{}", said(&machine));
    }
}

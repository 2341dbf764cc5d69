//! The target of an armed `--capture`, which must be what its /init will find and use.

use std::fs;
use std::os::unix::fs::symlink;

use capture_init::{DiskId, Filesystem, Target};

use super::{said, told};
use crate::fixture::status::Debian;

/// The PARTUUID of the first partition of every disk.
const ID: &str = "9e2a5c11-01";

/// A machine with the disk vdb, whose partition vdb1 is the target of the armed image.
fn raw() -> Debian {
    armed("/dev/vdb1", Target::Raw { disk: DiskId::PartUuid(ID.into()) })
}

fn armed(place: &str, target: Target) -> Debian {
    let machine = Debian::new();
    disk(&machine, "vdb");
    machine.record(|record| {
        let origin = record.origin.as_mut().unwrap();
        origin.options.insert("capture".into(), place.into());
        origin.target = Some(target);
        origin.initrd_len = Some(1 << 20);
        record.initrd = None;
        record.image.as_mut().unwrap().command_line =
            "nr_cpus=1 reset_devices acpi_no_memhotplug".into();
    });
    machine
}

/// Adds a disk with one partition. All have the same identifiers, as copies have.
fn disk(machine: &Debian, name: &str) {
    let mut table = vec![0; 512];
    table[440..444].copy_from_slice(&0x9e2a_5c11_u32.to_le_bytes());
    table[510..].copy_from_slice(b"\x55\xaa");
    fs::create_dir_all(machine.path("dev")).unwrap();
    fs::write(machine.path(&format!("dev/{name}")), table).unwrap();
    fs::write(machine.path(&format!("dev/{name}1")), [0; 4096]).unwrap();
    let path = format!("sys/devices/pci0000:00/virtio-{name}/block/{name}");
    machine.write(&format!("{path}/size"), "20000000\n");
    machine.write(&format!("{path}/{name}1/size"), "20000000\n");
    machine.write(&format!("{path}/{name}1/partition"), "1\n");
    machine.write(&format!("{path}/{name}1/dev"), &format!("254:{}\n", 17 + name.len()));
    for (link, to) in [(name, path.clone()), (&format!("{name}1"), format!("{path}/{name}1"))] {
        symlink(format!("../../../{to}"), machine.path(&format!("sys/class/block/{link}")))
            .unwrap();
    }
}

/// The path in /sys of the target's own attributes.
const TARGET: &str = "sys/devices/pci0000:00/virtio-vdb/block/vdb/vdb1";

#[test]
fn target_that_init_would_use_gets_a_yes() {
    assert_eq!(told(&raw()), "yes:");
}

#[test]
fn attached_copy_of_the_targets_disk_makes_the_dump_impossible() {
    let machine = raw();
    disk(&machine, "vdc");
    assert_eq!(told(&machine), "no: target_missing");
    let text = said(&machine);
    assert!(text.contains("two devices have this identifier, vdb1 and vdc1"), "{text}");
    assert!(!text.contains("kdump-loader reload"), "a reload would fail: {text}");
}

#[test]
fn partition_that_was_formatted_after_the_load_makes_the_dump_impossible() {
    let machine = raw();
    let mut content = vec![0; 4096];
    content[0x438..0x43a].copy_from_slice(b"\x53\xef");
    fs::write(machine.path("dev/vdb1"), content).unwrap();
    assert_eq!(told(&machine), "no: target_missing");
    let text = said(&machine);
    assert!(text.contains("it has an ext2, ext3 or ext4 filesystem"), "{text}");
}

#[test]
fn disk_that_became_read_only_makes_the_dump_impossible() {
    let machine = raw();
    machine.write(&format!("{TARGET}/ro"), "1\n");
    assert_eq!(told(&machine), "no: target_read_only");
}

#[test]
fn absent_disk_makes_the_dump_impossible() {
    let machine = raw();
    for link in ["vdb", "vdb1"] {
        fs::remove_file(machine.path(&format!("sys/class/block/{link}"))).unwrap();
    }
    assert_eq!(told(&machine), "no: target_missing");
}

#[test]
fn partition_table_that_cannot_be_read_hides_the_target() {
    let machine = raw();
    fs::remove_file(machine.path("dev/vdb")).unwrap();
    fs::create_dir(machine.path("dev/vdb")).unwrap();
    assert_eq!(told(&machine), "cannot_tell: cannot_look");
}

#[test]
fn disk_that_has_another_name_by_now_is_still_the_target() {
    let machine = raw();
    fs::remove_file(machine.path("dev/vdb1")).unwrap();
    fs::remove_file(machine.path("dev/vdb")).unwrap();
    for link in ["vdb", "vdb1"] {
        fs::remove_file(machine.path(&format!("sys/class/block/{link}"))).unwrap();
    }
    disk(&machine, "vdd");
    assert_eq!(told(&machine), "yes:");
}

#[test]
fn filesystem_that_was_replaced_after_the_load_makes_the_dump_impossible() {
    let target = Target::Directory {
        disk: DiskId::PartUuid(ID.into()),
        filesystem: Filesystem::Xfs,
        path: "crash".into(),
    };
    let machine = armed("/srv/crash", target);
    assert_eq!(told(&machine), "no: target_missing");
    assert!(said(&machine).contains("/dev/vdb1 has no xfs any more"), "{}", said(&machine));
    fs::write(machine.path("dev/vdb1"), "XFSB").unwrap();
    assert_eq!(told(&machine), "yes_but: target_unknown", "not mounted, so its room is unknown");
    let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                  23 22 254:20 / /srv rw - xfs /dev/vdb1 rw\n";
    machine.write("proc/self/mountinfo", mounts);
    fs::create_dir_all(machine.path("srv/crash")).unwrap();
    assert_eq!(told(&machine), "yes:");
}

#[test]
fn config_whose_target_is_elsewhere_gets_a_warning() {
    let machine = raw();
    let kernel = machine.path("boot/vmlinuz-6.12.43").display().to_string();
    machine
        .write("etc/kdump-loader.toml", &format!("kernel = '{kernel}'\ncapture = '/dev/vdz9'\n"));
    let told = told(&machine);
    assert!(told.starts_with("yes_but:") && told.contains("config_unusable"), "{told}");
    assert!(said(&machine).contains("/dev/vdz9 does not exist"), "{}", said(&machine));
}

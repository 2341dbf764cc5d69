//! Places on a made-up machine, and what is chosen or refused.

use std::fs;

use capture_init::DiskId;

use super::*;
use crate::capture::example::{PART_UUID, Tree, VIRTIO};

fn found(tree: &Tree, place: &str) -> Target {
    find(tree.files(), &Place::parse(place).unwrap()).unwrap().target
}

fn refused(tree: &Tree, place: &str) -> String {
    let error = find(tree.files(), &Place::parse(place).unwrap()).unwrap_err();
    crate::messages::in_full(&error)
}

fn partition() -> DiskId {
    DiskId::PartUuid(PART_UUID.into())
}

#[test]
fn partition_is_found_by_its_identifier_and_by_its_device() {
    let tree = Tree::new();
    for place in [&format!("PARTUUID={PART_UUID}"), "/dev/vdb1"] {
        assert_eq!(found(&tree, place), Target::Raw { disk: partition() }, "{place}");
    }
    let said = find(tree.files(), &Place::parse("/dev/vdb1").unwrap()).unwrap().to_string();
    assert_eq!(said, "the dump goes to PARTUUID=9e2a5c11-01 (now /dev/vdb1)");
}

#[test]
fn whole_disk_is_found_by_its_serial_number() {
    let tree = Tree::new();
    let block = "sys/devices/pci0000:00/0000:00:05.0/virtio2/block";
    tree.disk(block, "vdc", &[]);
    tree.write(&format!("{block}/vdc/serial"), "dump-0\n");
    for place in ["serial:dump-0", "/dev/vdc"] {
        let disk = DiskId::Serial("dump-0".into());
        assert_eq!(found(&tree, place), Target::Raw { disk }, "{place}");
    }
}

#[test]
fn directory_becomes_a_path_below_the_root_of_its_filesystem() {
    for (root, point, directory, expected) in [
        ("/", "/var", "/var/crash", "crash"),
        ("/", "/var/crash", "/var/crash", ""),
        ("/@dumps", "/srv", "/srv/a/../b", "@dumps/b"),
    ] {
        let tree = Tree::new();
        tree.mount(root, point, "xfs");
        for directory in ["var/crash", "srv/a", "srv/b"] {
            fs::create_dir_all(tree.path(directory)).unwrap();
        }
        let target = Target::Directory {
            disk: partition(),
            filesystem: Filesystem::Xfs,
            path: expected.into(),
        };
        assert_eq!(found(&tree, directory), target, "{directory}");
    }
}

#[test]
fn directory_behind_a_link_is_the_one_that_the_link_leads_to() {
    let tree = Tree::new();
    tree.mount("/", "/data", "ext4");
    fs::create_dir_all(tree.path("data/crash")).unwrap();
    tree.link("var/crash", "data/crash");
    let Target::Directory { path, filesystem, .. } = found(&tree, "/var/crash") else { panic!() };
    assert_eq!((path.as_str(), filesystem), ("crash", Filesystem::Ext4));
}

#[test]
fn filesystem_that_init_cannot_mount_is_refused_with_the_way_that_works() {
    for (kind, word) in [
        ("tmpfs", "in memory"),
        ("btrfs", "several devices"),
        ("overlay", "other filesystems"),
        ("nfs4", "cannot reach"),
        ("fuse.sshfs", "cannot reach"),
        ("jfs", "does not mount"),
    ] {
        let tree = Tree::new();
        tree.mount("/", "/var/crash", kind);
        let message = refused(&tree, "/var/crash");
        for word in [kind, word, "/var/crash", "--initrd FILE"] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    for option in ["logdev=/dev/vdc1", "rtdev=/dev/vdc2"] {
        let tree = Tree::new();
        tree.mount("/", "/var/crash", "xfs");
        let path = "proc/self/mountinfo";
        let text = fs::read_to_string(tree.path(path)).unwrap();
        // As the kernel shows them: after the options of the mount itself.
        let options = format!("rw,attr2,inode64,{option},noquota");
        tree.write(path, &text.replace("rw,relatime", &options));
        let message = refused(&tree, "/var/crash");
        assert!(message.contains("log or realtime section is on another device"), "{message}");
    }
}

#[test]
fn device_that_needs_more_than_drivers_is_refused_with_its_kind() {
    for (file, content, word) in [
        ("dm/uuid", "LVM-abcdef", "an LVM volume"),
        ("dm/uuid", "CRYPT-LUKS2-00", "LUKS"),
        ("dm/uuid", "mpath-3600", "multipath"),
        ("dm/uuid", "x", "device-mapper"),
        ("md/level", "raid1", "RAID"),
        ("loop/backing_file", "/disk.img", "loop"),
        ("size", "8", "made by software"),
    ] {
        let tree = Tree::new();
        tree.disk("sys/devices/virtual/block", "dm-0", &[]);
        tree.write(&format!("sys/devices/virtual/block/dm-0/{file}"), content);
        let message = refused(&tree, "/dev/dm-0");
        assert!(message.contains(word) && message.contains("--initrd FILE"), "{word}: {message}");
    }
    let tree = Tree::new();
    tree.disk("sys/devices/platform/host1/session2/target1:0:0/1:0:0:0/block", "sda", &["sda1"]);
    assert!(refused(&tree, "/dev/sda1").contains("iSCSI"));
    let tree = Tree::new();
    let fcoe = "sys/devices/pci0000:00/0000:00:05.0/net/eth0/ctlr_0/host3/rport-3:0-1";
    tree.disk(&format!("{fcoe}/target3:0:1/3:0:1:0/block"), "sda", &["sda1"]);
    assert!(refused(&tree, "/dev/sda1").contains("FCoE"));
    let tree = Tree::new();
    let host = "sys/devices/pci0000:00/0000:00:05.0/host7";
    tree.disk(&format!("{host}/target7:0:0/7:0:0:0/block"), "sda", &["sda1"]);
    // The identifier is also that of vdb1.
    assert!(refused(&tree, "/dev/sda1").contains("not unique"));
    tree.write(&format!("{host}/srp_host/host7/uevent"), "");
    tree.link("sys/class/srp_host/host7", &format!("{host}/srp_host/host7"));
    assert!(refused(&tree, "/dev/sda1").contains("SRP"));
    let tree = Tree::new();
    tree.disk("sys/devices/virtual/nvme-subsystem/nvme-subsys0", "nvme0n1", &["nvme0n1p1"]);
    let controller = "sys/devices/virtual/nvme-fabrics/ctl/nvme0";
    tree.write(&format!("{controller}/transport"), "tcp\n");
    tree.link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", controller);
    assert!(refused(&tree, "/dev/nvme0n1p1").contains("over a network"));
}

#[test]
fn place_that_is_not_there_is_refused() {
    let tree = Tree::new();
    tree.write("var/file", "");
    for (place, word) in [
        ("/var/crash", "does not exist"),
        ("/var/file", "not a directory"),
        ("/dev/vdz1", "does not exist"),
        ("PARTUUID=9e2a5c11-07", "partition UUID 9e2a5c11-07"),
        ("serial:none", "serial number"),
    ] {
        assert!(refused(&tree, place).contains(word), "{place}: {}", refused(&tree, place));
    }
    tree.write("dev/null", "");
    assert!(refused(&tree, "/dev/null").contains("not a block device"));
}

#[test]
fn device_whose_name_is_all_that_it_has_is_refused() {
    let tree = Tree::new();
    tree.disk("sys/devices/pci0000:00/0000:00:05.0/virtio2/block", "vdc", &[]);
    let message = refused(&tree, "/dev/vdc");
    assert!(message.contains("no serial number") && message.contains("GPT"), "{message}");
    fs::write(tree.path("dev/vdb"), [0; 4096]).unwrap();
    assert!(refused(&tree, "/dev/vdb1").contains("no PARTUUID"));
}

/// As in a unit whose sandbox hides the disks.
#[test]
fn disk_that_cannot_be_read_is_not_said_to_lack_an_identifier() {
    let tree = Tree::new();
    fs::remove_file(tree.path("dev/vdb")).unwrap();
    fs::create_dir(tree.path("dev/vdb")).unwrap();
    let message = refused(&tree, "/dev/vdb1");
    assert!(message.contains("unknown") && message.contains("Is a directory"), "{message}");
}

#[test]
fn identifier_that_two_devices_have_is_refused() {
    let tree = Tree::new();
    tree.disk("sys/devices/pci0000:00/0000:00:05.0/virtio2/block", "vdc", &["vdc1"]);
    for place in [&format!("PARTUUID={PART_UUID}"), "/dev/vdb1"] {
        let message = refused(&tree, place);
        assert!(message.contains("not unique") && message.contains("vdc1"), "{place}: {message}");
    }
}

#[test]
fn device_that_a_dump_would_destroy_is_refused() {
    let mounted = Tree::new();
    mounted.mount("/", "/data", "ext4");
    assert!(refused(&mounted, "/dev/vdb1").contains("mounted at /data"));

    let swap = Tree::new();
    swap.write("proc/swaps", "Filename Type Size Used Priority\n/dev/vdb1 partition 8 0 -2\n");
    assert!(refused(&swap, "/dev/vdb1").contains("swap space in use"));

    let member = Tree::new();
    member.write(&format!("{VIRTIO}/block/vdb/vdb1/holders/md0/x"), "");
    assert!(refused(&member, "/dev/vdb1").contains("md0 is made of it"));

    let disk = Tree::new();
    disk.write(&format!("{VIRTIO}/block/vdb/serial"), "dump-0\n");
    assert!(refused(&disk, "serial:dump-0").contains("partitions, such as vdb1"));

    let filesystem = Tree::new();
    filesystem.write("dev/vdb1", "XFSB and more");
    let message = refused(&filesystem, "/dev/vdb1");
    assert!(message.contains("an xfs filesystem"), "{message}");

    let read_only = Tree::new();
    read_only.write(&format!("{VIRTIO}/block/vdb/vdb1/ro"), "1\n");
    assert!(refused(&read_only, "/dev/vdb1").contains("read-only"));
}

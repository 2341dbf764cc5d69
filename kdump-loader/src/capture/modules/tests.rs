//! Which modules a target needs, on a made-up machine.

use super::*;
use crate::capture::disk::Disk;
use crate::capture::drivers;
use crate::capture::example::{RELEASE, Tree, VIRTIO, lib};

fn names(tree: &Tree, disk: &str, filesystem: Option<&str>) -> Result<Vec<String>, Error> {
    let files = tree.files();
    let drivers = drivers::of(files, &Disk::named(files, disk).unwrap().controllers(files));
    let index = Index::read(files, RELEASE)?;
    let filesystem: Vec<_> = filesystem.map(|name| ("filesystem", name)).into_iter().collect();
    let modules = needed(files, &index, Vec::new(), &drivers, &filesystem)?;
    Ok(modules.into_iter().map(|module| module.name).collect())
}

#[test]
fn driver_that_is_a_module_is_taken_and_one_that_is_built_in_is_not() {
    let tree = Tree::new();
    assert_eq!(names(&tree, "vdb1", None).unwrap(), ["virtio_blk"]);
    assert_eq!(names(&tree, "vdb", None).unwrap(), ["virtio_blk"]);
}

#[test]
fn module_comes_after_all_that_it_needs() {
    let tree = Tree::new();
    tree.module("jbd2", "fs", &[]);
    tree.module("mbcache", "fs", &[]);
    tree.module("ext4", "fs", &["mbcache", "jbd2"]);
    tree.module("crc32c-generic", "crypto", &[]);
    tree.module("quota", "fs", &[]);
    tree.write(&lib("modules.softdep"), "# comment\nsoftdep ext4 pre: crc32c post: quota none\n");
    tree.write(&lib("modules.alias"), "# comment\nalias crc32c crc32c-generic\n");
    let found = names(&tree, "vdb1", Some("ext4")).unwrap();
    assert_eq!(found, ["virtio_blk", "mbcache", "jbd2", "crc32c_generic", "ext4", "quota"]);
}

#[test]
fn soft_dependencies_in_a_circle_are_loaded_once() {
    let tree = Tree::new();
    tree.module("a", "x", &[]);
    tree.module("b", "x", &["a"]);
    tree.write(&lib("modules.softdep"), "softdep a pre: b\nsoftdep b pre: a\n");
    let index = Index::read(tree.files(), RELEASE).unwrap();
    let order: Vec<_> =
        index.in_order(&["b".into(), "a".into()]).into_iter().map(|it| it.name).collect();
    assert_eq!(order, ["a", "b"]);
}

#[test]
fn filesystem_may_be_built_in_but_must_exist() {
    let tree = Tree::new();
    let message = names(&tree, "vdb1", Some("xfs")).unwrap_err().to_string();
    assert!(message.contains("no filesystem (xfs)") && message.contains(RELEASE), "{message}");
    tree.append(&lib("modules.builtin"), "kernel/fs/xfs/xfs.ko");
    assert_eq!(names(&tree, "vdb1", Some("xfs")).unwrap(), ["virtio_blk"]);
}

#[test]
fn every_driver_on_the_way_to_a_disk_of_scsi_is_taken() {
    let tree = Tree::new();
    let controller = "sys/devices/pci0000:00/0000:00:1f.2";
    tree.bind(controller, "pci", "ahci", Some("ahci"));
    let device = format!("{controller}/ata1/host0/target0:0:0/0:0:0:0");
    tree.bind(&device, "scsi", "sd", Some("sd_mod"));
    tree.write(&format!("{device}/modalias"), "scsi:t-0x00\n");
    tree.disk(&format!("{device}/block"), "sda", &["sda1"]);
    for (name, needs) in [
        ("scsi_common", &[][..]),
        ("scsi_mod", &["scsi_common"]),
        ("libata", &["scsi_mod"]),
        ("libahci", &["libata"]),
        ("ahci", &["libahci", "libata"]),
        ("sd_mod", &["scsi_mod"]),
    ] {
        tree.module(name, "drivers", needs);
    }
    let found = names(&tree, "sda1", None).unwrap();
    assert_eq!(found, ["scsi_common", "scsi_mod", "libata", "libahci", "ahci", "sd_mod"]);
}

#[test]
fn drivers_of_every_controller_of_an_nvme_drive_are_taken() {
    let tree = Tree::new();
    let subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    tree.disk(subsystem, "nvme0n1", &["nvme0n1p1"]);
    for (index, driver) in ["nvme", "other"].into_iter().enumerate() {
        let pci = format!("sys/devices/pci0000:00/0000:00:0{index}.0");
        tree.bind(&pci, "pci", driver, Some(driver));
        let name = format!("nvme{index}");
        tree.write(&format!("{pci}/nvme/{name}/serial"), "dump-0\n");
        tree.link(&format!("{subsystem}/{name}"), &format!("{pci}/nvme/{name}"));
        tree.module(driver, "drivers", &[]);
    }
    assert_eq!(names(&tree, "nvme0n1p1", None).unwrap(), ["nvme", "other"]);
}

#[test]
fn kernel_without_the_driver_is_refused_unless_another_module_takes_the_device() {
    let tree = Tree::new();
    tree.write(&lib("modules.dep"), "");
    let message = names(&tree, "vdb1", None).unwrap_err().to_string();
    assert!(message.contains("no driver (virtio_blk)"), "{message}");
    tree.module("new_virtio_blk", "drivers", &[]);
    tree.write(&lib("modules.alias"), "alias virtio:d00000002v* new-virtio-blk\n");
    assert_eq!(names(&tree, "vdb1", None).unwrap(), ["new_virtio_blk"]);
}

#[test]
fn driver_that_only_the_running_kernel_has_built_in_is_looked_up_by_the_device() {
    let tree = Tree::new();
    let pci = VIRTIO.rsplit_once('/').unwrap().0;
    tree.write(&format!("{pci}/modalias"), "pci:v00001AF4d00001042sv00001AF4\n");
    tree.module("virtio_pci", "drivers", &[]);
    tree.write(&lib("modules.alias"), "alias pci:v00001AF4d*sv* virtio_pci\n");
    assert_eq!(names(&tree, "vdb1", None).unwrap(), ["virtio_blk"], "the same kernel");
    tree.write("proc/sys/kernel/osrelease", "6.1.0\n");
    assert_eq!(names(&tree, "vdb1", None).unwrap(), ["virtio_pci", "virtio_blk"]);
}

#[test]
fn kernel_whose_modules_are_not_installed_is_refused() {
    let tree = Tree::new();
    let message = Index::read(tree.files(), "6.99").unwrap_err().to_string();
    assert!(message.contains("/lib/modules/6.99/modules.dep"), "{message}");
    assert!(message.contains("install the modules of Linux 6.99"), "{message}");
}

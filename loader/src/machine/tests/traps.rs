//! Snapshots with links, devices, FIFOs or endless files in place of regular files.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::super::example;
use super::super::*;

const IOMEM: &str = "proc/iomem";
const SYSTAB: &str = "sys/firmware/efi/systab";

/// The error about the example after `spoil` has replaced one of its files.
fn refusal(name: &str, spoil: impl Fn(&Path)) -> String {
    let tree = example::tree();
    let path = tree.path().join(name);
    fs::remove_file(&path).unwrap();
    spoil(&path);
    let error = Machine::read(tree.path(), None).unwrap_err();
    let Error::Snapshot { path: named, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*named, path);
    error.to_string()
}

#[test]
fn link_that_leads_out_of_the_snapshot_is_refused_and_its_target_is_not_printed() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("shadow");
    fs::write(&secret, "root:$y$secret:20000:0:99999:7:::\n").unwrap();
    for name in [IOMEM, SYSTAB, "proc/kcore", "sys/devices/system/cpu/cpu2/crash_notes"] {
        for target in [secret.as_path(), Path::new("/dev/zero"), Path::new("/proc/self/environ")] {
            let message = refusal(name, |path| symlink(target, path).unwrap());
            assert!(
                message.contains("leads out of the snapshot") && !message.contains("secret:"),
                "{message}"
            );
        }
    }
    let upwards = refusal(IOMEM, |path| {
        let name = outside.path().file_name().unwrap();
        symlink(Path::new("../..").join(name).join("shadow"), path).unwrap();
    });
    assert!(upwards.contains("leads out"), "{upwards}");
}

#[test]
fn link_inside_the_snapshot_is_followed() {
    let tree = example::tree();
    let path = tree.path().join(IOMEM);
    fs::rename(&path, tree.path().join("proc/other")).unwrap();
    symlink("other", &path).unwrap();
    assert_eq!(Machine::read(tree.path(), None).unwrap(), example::machine());
    // The root itself may be a link: the user has named it.
    let around = tempfile::tempdir().unwrap();
    symlink(tree.path(), around.path().join("snapshot")).unwrap();
    assert_eq!(Machine::read(&around.path().join("snapshot"), None).unwrap(), example::machine());
}

#[test]
fn fifo_or_socket_in_a_snapshot_is_refused_without_waiting() {
    for name in [IOMEM, "proc/kcore", SYSTAB] {
        let fifo =
            |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        let message = refusal(name, fifo);
        assert!(message.contains("is a FIFO"), "{message}");
    }
    let message = refusal(SYSTAB, |path| drop(UnixListener::bind(path).unwrap()));
    assert!(message.contains("is a socket"), "{message}");
}

#[test]
fn file_without_an_end_is_refused_by_its_length() {
    // The file is sparse, so it needs no room on disk.
    for name in [IOMEM, "proc/cpuinfo", SYSTAB] {
        let message =
            refusal(name, |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap());
        assert!(message.contains("longer than the 64 MiB"), "{message}");
    }
}

#[test]
fn files_of_the_live_kernel_are_read_although_they_are_links() {
    // They are links to files of size 0 on another file system.
    let tree = Tree::new(Path::new("/"));
    assert!(!tree.required(&source::CPUINFO).unwrap().bytes.is_empty());
    assert!(tree.required(&source::MEMINFO).unwrap().text().unwrap().contains("MemTotal"));
}

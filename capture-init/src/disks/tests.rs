//! Disks of made-up machines: a tree with /sys and /dev.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, Mode};

use super::partition_table::example;
use super::*;

/// A tree as Linux shows it: each disk's directory has those of its partitions.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A disk of 1 GiB with partitions of 64 MiB.
    fn disk(&self, name: &str, content: &[u8], partitions: &[u32]) {
        self.write(&format!("dev/{name}"), content);
        self.write(&format!("sys/class/block/{name}/size"), "2097152\n");
        for number in partitions {
            for at in [format!("{name}/{name}{number}"), format!("{name}{number}")] {
                self.write(&format!("sys/class/block/{at}/partition"), format!("{number}\n"));
                self.write(&format!("sys/class/block/{at}/size"), "131072\n");
            }
        }
    }

    /// The disk does not answer: a pipe into which nothing is written.
    fn silence(&self, name: &str) -> PathBuf {
        let node = self.root().join("dev").join(name);
        fs::remove_file(&node).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &node, FileType::Fifo, mode, 0).unwrap();
        node
    }

    fn find(&self, id: DiskId) -> Result<String, NotFound> {
        find(&list(self.root(), id.needs_tables()), &id).map(|device| device.name)
    }
}

fn part(id: &str) -> DiskId {
    DiskId::PartUuid(id.into())
}

fn serial(id: &str) -> DiskId {
    DiskId::Serial(id.into())
}

#[test]
fn partition_is_found_by_its_guid() {
    let tree = Tree::new();
    tree.disk("vda", &example::msdos(7), &[1]);
    tree.disk("vdb", &example::gpt(512), &[1, 3]);
    let found = find(&list(tree.root(), true), &part(example::GUID)).unwrap();
    assert_eq!(found.name, "vdb3");
    assert_eq!(found.path, tree.root().join("dev/vdb3"));
    assert_eq!(found.bytes, 64 << 20);
    assert_eq!(tree.find(part("00000007-01")).unwrap(), "vda1");
}

#[test]
fn table_of_a_disk_with_blocks_of_4096_bytes_is_read() {
    let tree = Tree::new();
    tree.disk("sda", &example::gpt(4096), &[3]);
    tree.write("sys/class/block/sda/queue/logical_block_size", "4096\n");
    assert_eq!(tree.find(part(example::GUID)).unwrap(), "sda3");
}

#[test]
fn disk_is_found_by_its_serial_number_wherever_its_driver_shows_it() {
    for (file, content) in [
        ("serial", &b"dump-0\n"[..]),
        ("device/serial", b"dump-0              \n"),
        ("device/vpd_pg80", b"\x00\x80\x00\x08  dump-0"),
    ] {
        let tree = Tree::new();
        tree.disk("sda", &[0; 512], &[]);
        tree.disk("sdb", &[0; 512], &[]);
        tree.write(&format!("sys/class/block/sdb/{file}"), content);
        assert_eq!(tree.find(serial("dump-0")).unwrap(), "sdb", "{file}");
    }
}

#[test]
fn missing_target_is_reported_with_everything_that_is_there() {
    let tree = Tree::new();
    let none = tree.find(serial("dump-0")).unwrap_err().to_string();
    assert!(none.contains("sees no disk"), "{none}");
    tree.disk("vda", &example::msdos(7), &[1]);
    tree.write("sys/class/block/vda/serial", "root");
    let mut damaged = example::gpt(512);
    damaged[600] ^= 1;
    tree.disk("vdb", &damaged, &[]);
    assert_eq!(
        tree.find(part(example::GUID)).unwrap_err().to_string().split("; ").next().unwrap(),
        format!("no disk or partition has partition UUID {}", example::GUID)
    );
    let error = tree.find(part(example::GUID)).unwrap_err().to_string();
    assert!(error.contains("vda of 1024 MiB (serial number root)"), "{error}");
    assert!(error.contains("vda1 of 64 MiB (partition UUID 00000007-01)"), "{error}");
    assert!(
        error.contains("vdb of 1024 MiB (no serial number), which has a damaged GPT"),
        "{error}"
    );
}

#[test]
fn two_disks_with_one_id_are_refused() {
    let tree = Tree::new();
    tree.disk("vda", &example::gpt(512), &[3]);
    tree.disk("vdb", &example::gpt(512), &[3]);
    let error = tree.find(part(example::GUID)).unwrap_err();
    assert!(matches!(error, NotFound::Ambiguous { .. }), "{error}");
}

#[test]
fn hidden_path_to_an_nvme_disk_is_not_a_second_disk() {
    let tree = Tree::new();
    for (name, hidden) in [("nvme0c0n1", "1\n"), ("nvme0n1", "0\n")] {
        tree.disk(name, &[0; 512], &[]);
        tree.write(&format!("sys/class/block/{name}/device/serial"), "dump-0");
        tree.write(&format!("sys/class/block/{name}/hidden"), hidden);
    }
    assert_eq!(tree.find(serial("dump-0")).unwrap(), "nvme0n1");
}

#[test]
fn devices_on_other_disks_are_not_looked_at() {
    let tree = Tree::new();
    tree.disk("dm-0", &example::gpt(512), &[3]);
    tree.disk("vda", &example::gpt(512), &[3]);
    assert_eq!(tree.find(part(example::GUID)).unwrap(), "vda3");
}

#[test]
fn disk_that_does_not_answer_does_not_stop_the_search_for_another() {
    let tree = Tree::new();
    tree.disk("vda", &[], &[1]);
    let node = tree.silence("vda");
    tree.disk("vdb", &example::gpt(512), &[3]);
    let mut search = Search::new(tree.root(), true);
    for _ in 0..2 {
        let disks = search.look(Duration::from_millis(500));
        assert_eq!(find(&disks, &part(example::GUID)).unwrap().name, "vdb3");
        let error = find(&disks, &part("other")).unwrap_err().to_string();
        let words =
            "no disk or partition that answers has partition UUID other; no answer from vda";
        assert!(error.starts_with(words), "{error}");
        assert!(error.contains("vda of 1024 MiB (no serial number), which does not answer"));
    }
    // It answers at last.
    drop(File::options().write(true).open(node).unwrap());
    while search.look(Duration::ZERO)[0].is_silent() {}
}

#[test]
fn disk_is_found_by_its_serial_number_without_a_read_of_any() {
    let tree = Tree::new();
    for name in ["vda", "vdb"] {
        tree.disk(name, &[], &[]);
        tree.silence(name);
    }
    tree.write("sys/class/block/vdb/serial", "dump-0");
    assert_eq!(tree.find(serial("dump-0")).unwrap(), "vdb");
    let error = tree.find(serial("other")).unwrap_err();
    assert!(matches!(error, NotFound::None { .. }), "{error}");
}

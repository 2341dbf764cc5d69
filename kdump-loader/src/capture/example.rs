//! A machine with disks, as a tree of files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use loader::request::InputFile;
use tempfile::TempDir;

use crate::health::files::Files;

/// The machine's kernel.
pub const RELEASE: &str = "6.12.43";
/// The signature of every disk with partitions, as in their PARTUUIDs.
const SIGNATURE: u32 = 0x9e2a_5c11;
/// The PARTUUID of the first partition.
pub const PART_UUID: &str = "9e2a5c11-01";

/// Where drivers and their devices are.
pub const VIRTIO: &str = "sys/devices/pci0000:00/0000:00:04.0/virtio1";

/// The machine.
pub struct Tree {
    root: PathBuf,
    /// Removed with the tree, if it is the tree's own.
    _own: Option<TempDir>,
}

impl Tree {
    /// A machine with a virtio disk vdb, of which the partition vdb1 is empty, and the modules that
    /// it needs.
    pub fn new() -> Self {
        let own = tempfile::tempdir().unwrap();
        let tree = Self { root: own.path().to_owned(), _own: Some(own) };
        tree.fill();
        tree
    }

    /// Adds the same to another machine.
    pub fn on(root: &Path) {
        Self { root: root.to_owned(), _own: None }.fill();
    }

    fn fill(&self) {
        self.write("proc/sys/kernel/osrelease", &format!("{RELEASE}\n"));
        self.write("proc/self/mountinfo", "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n");
        self.bind("sys/devices/pci0000:00/0000:00:04.0", "pci", "virtio-pci", None);
        self.bind(VIRTIO, "virtio", "virtio_blk", Some("virtio_blk"));
        self.write(&format!("{VIRTIO}/modalias"), "virtio:d00000002v00001AF4\n");
        self.disk(&format!("{VIRTIO}/block"), "vdb", &["vdb1"]);
        self.module("virtio_blk", "drivers/block", &[]);
        self.write(&lib("modules.builtin"), "kernel/drivers/virtio/virtio_pci.ko\n");
    }

    /// Its files.
    pub fn files(&self) -> Files<'_> {
        Files::new(self.root())
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below its root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        self.plant(path, text.as_bytes());
    }

    /// Writes a file that is no text.
    pub fn plant(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Adds a line to a file.
    pub fn append(&self, path: &str, line: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap_or_default();
        self.write(path, &format!("{text}{line}\n"));
    }

    /// Makes a link to a path below the root.
    pub fn link(&self, path: &str, to: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        let up = "../".repeat(Path::new(path).components().count() - 1);
        symlink(format!("{up}{to}"), self.path(path)).unwrap();
    }

    /// Binds a driver to a device. The module is one that is loaded.
    pub fn bind(&self, device: &str, bus: &str, driver: &str, module: Option<&str>) {
        let drivers = format!("sys/bus/{bus}/drivers/{driver}");
        fs::create_dir_all(self.path(&drivers)).unwrap();
        self.link(&format!("{device}/driver"), &drivers);
        let built_in = driver.replace('-', "_");
        let name = module.unwrap_or(&built_in);
        self.write(&format!("sys/module/{name}/uevent"), "");
        if module.is_some() {
            self.write(&format!("sys/module/{name}/initstate"), "live\n");
        }
        if !self.path(&format!("{drivers}/module")).exists() {
            self.link(&format!("{drivers}/module"), &format!("sys/module/{name}"));
        }
    }

    /// Adds a disk of zeroes with a partition table, and its partitions.
    pub fn disk(&self, directory: &str, name: &str, partitions: &[&str]) {
        let mut content = vec![0; 1 << 20];
        if !partitions.is_empty() {
            content[440..444].copy_from_slice(&SIGNATURE.to_le_bytes());
            content[510..512].copy_from_slice(b"\x55\xaa");
        }
        self.plant(&format!("dev/{name}"), &content);
        let disk = format!("{directory}/{name}");
        self.write(&format!("{disk}/size"), "2048\n");
        // No two devices have the same number.
        let minor = 16 + self.files().names("sys/class/block").len();
        self.write(&format!("{disk}/dev"), &format!("254:{minor}\n"));
        self.link(&format!("sys/class/block/{name}"), &disk);
        for (number, partition) in (1..).zip(partitions) {
            self.plant(&format!("dev/{partition}"), &[0; 4096]);
            let path = format!("{disk}/{partition}");
            self.write(&format!("{path}/partition"), &format!("{number}\n"));
            self.write(&format!("{path}/size"), "8\n");
            self.write(&format!("{path}/dev"), &format!("254:{}\n", minor + number));
            self.link(&format!("sys/class/block/{partition}"), &path);
            self.link(&format!("sys/dev/block/254:{}", minor + number), &path);
        }
    }

    /// Adds a module that needs others.
    pub fn module(&self, name: &str, directory: &str, needs: &[&str]) {
        let path = |name: &str| format!("kernel/{directory}/{name}.ko");
        self.write(&lib(&path(name)), &format!("module {name}"));
        let needs: Vec<String> = needs.iter().map(|name| path(name)).collect();
        self.append(&lib("modules.dep"), &format!("{}: {}", path(name), needs.join(" ")));
    }

    /// Mounts the partition vdb1. An ext4 has its journal in it.
    pub fn mount(&self, root: &str, point: &str, kind: &str) {
        fs::create_dir_all(self.path(point.trim_start_matches('/'))).unwrap();
        let line = format!("30 22 254:17 {root} {point} rw - {kind} /dev/vdb1 rw,relatime");
        self.append("proc/self/mountinfo", &line);
        if kind == "ext4" {
            self.ext4(0, 0, 8);
        }
    }

    /// Makes an ext4 on the partition vdb1, with these features, and the journal's inode.
    pub fn ext4(&self, incompatible: u32, read_only_compatible: u32, journal: u32) {
        use super::ext4::{
            COMPATIBLE_AT, HAS_JOURNAL, INCOMPATIBLE_AT, JOURNAL_INODE_AT, MAGIC, MAGIC_AT,
            READ_ONLY_COMPATIBLE_AT, SUPERBLOCK,
        };
        let mut content = [0; 4096];
        for (at, value) in [
            (MAGIC_AT, MAGIC.into()),
            (COMPATIBLE_AT, HAS_JOURNAL),
            (INCOMPATIBLE_AT, incompatible),
            (READ_ONLY_COMPATIBLE_AT, read_only_compatible),
            (JOURNAL_INODE_AT, journal),
        ] {
            let at = SUPERBLOCK as usize + at;
            content[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        self.plant("dev/vdb1", &content);
    }

    /// A kernel's file with its release.
    pub fn kernel(release: &str) -> InputFile {
        let mut bytes = loader::example::bzimage(&loader::example::pattern(50_000));
        // Where the header has the offset of the release (from 0x200), and where that is free.
        bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        let banner = format!("{release} (builder@host) #1 SMP\0");
        bytes[0x300..][..banner.len()].copy_from_slice(banner.as_bytes());
        InputFile { path: "/boot/vmlinuz".into(), bytes }
    }
}

/// A path below the modules of the kernel.
pub fn lib(path: &str) -> String {
    format!("lib/modules/{RELEASE}/{path}")
}

//! The disks of a machine, and which of them has which id.
//!
//! *On entry* /sys, and /dev of devtmpfs. *On exit* the device that a [`DiskId`] names, or what
//! there is instead. udev is not needed: serial numbers come from sysfs, partition ids from the
//! partition tables.

mod partition_table; // GPT and MSDOS

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use partition_table::{Table, TableError};

use crate::DiskId;

/// Unit of `size` in sysfs.
const SECTOR: u64 = 512;
/// Logical block length of a disk that does not say.
const DEFAULT_BLOCK: u64 = 512;
/// Bytes before the serial number in a SCSI VPD page 0x80 (SPC-5, §7.8.18).
const VPD_HEADER: usize = 4;
/// Where a disk has its serial number, from the directory in /sys/class/block.
const SERIALS: [&str; 2] = ["serial", "device/serial"];
const VPD_SERIAL: &str = "device/vpd_pg80";
/// Names of block devices that are memory, parts of other disks, or have removable media.
const NOT_DISKS: [&str; 8] = ["dm-", "md", "loop", "ram", "zram", "sr", "fd", "nbd"];

/// A whole disk.
#[derive(Debug)]
pub struct Disk {
    /// Itself.
    pub device: Device,
    /// Its serial number, without blanks at the ends.
    pub serial: Option<String>,
    /// Its partitions, by number.
    pub partitions: Vec<Partition>,
    /// Why its partitions have no ids.
    pub table_error: Option<TableError>,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Itself.
    pub device: Device,
    /// Its number.
    pub number: u32,
    /// Its id.
    pub part_uuid: Option<String>,
}

/// A block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The kernel's name, such as `vda1`.
    pub name: String,
    /// Its node.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// Why no device is the one that an id names.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// None has this id.
    #[error("no disk or partition has {id}; {seen}")]
    None {
        /// The id, in words.
        id: String,
        /// What there is instead.
        seen: String,
    },
    /// Several have it, such as a disk and its copy. Writing to one of them is a gamble.
    #[error(
        "{id} is not unique: {first} and {second} have it; detach one of them, or change its id"
    )]
    Ambiguous {
        /// The id, in words.
        id: String,
        /// One.
        first: String,
        /// Another.
        second: String,
    },
}

impl fmt::Display for DiskId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartUuid(id) => write!(out, "partition UUID {id}"),
            Self::Serial(id) => write!(out, "serial number {id:?}"),
        }
    }
}

/// The names of all block devices, sorted. If they change, there is a new disk.
pub fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("sys/class/block")).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// All disks with their partitions, sorted by name. Each disk's first blocks are read.
pub fn list(root: &Path) -> Vec<Disk> {
    let names = names(root);
    let is_whole = |name: &&String| {
        let sys = root.join("sys/class/block").join(name);
        !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix))
            && !sys.join("partition").exists()
            // A path to an NVMe disk, such as nvme0c0n1, has the disk's serial number and no node.
            && number(&sys.join("hidden")) != Some(1)
    };
    names.iter().filter(is_whole).map(|name| disk(root, name, &names)).collect()
}

/// The device with this id.
pub fn find(disks: &[Disk], id: &DiskId) -> Result<Device, NotFound> {
    let mut found: Vec<&Device> = match id {
        DiskId::Serial(serial) => disks
            .iter()
            .filter(|disk| disk.serial.as_deref() == Some(serial))
            .map(|disk| &disk.device)
            .collect(),
        DiskId::PartUuid(id) => disks
            .iter()
            .flat_map(|disk| &disk.partitions)
            .filter(|partition| partition.part_uuid.as_deref() == Some(id))
            .map(|partition| &partition.device)
            .collect(),
    };
    match (found.pop(), found.pop()) {
        (None, _) => Err(NotFound::None { id: id.to_string(), seen: seen(disks) }),
        (Some(device), None) => Ok(device.clone()),
        (Some(second), Some(first)) => Err(NotFound::Ambiguous {
            id: id.to_string(),
            first: first.name.clone(),
            second: second.name.clone(),
        }),
    }
}

fn disk(root: &Path, name: &str, names: &[String]) -> Disk {
    let sys = root.join("sys/class/block").join(name);
    let device = device(root, name);
    let block_len = number(&sys.join("queue/logical_block_size")).unwrap_or(DEFAULT_BLOCK);
    let table = File::open(&device.path)
        .map_err(TableError::from)
        .and_then(|file| Table::read(&file, block_len));
    let (table, table_error) = match table {
        Ok(table) => (table, None),
        Err(error) => (Table::None, Some(error)),
    };
    // A disk's directory has one for each of its partitions.
    let of_this = names
        .iter()
        .filter_map(|partition| Some((number(&sys.join(partition).join("partition"))?, partition)));
    let mut partitions: Vec<_> = of_this
        .map(|(number, name)| {
            let number = number as u32;
            let part_uuid = table.part_uuid(number);
            Partition { device: self::device(root, name), number, part_uuid }
        })
        .collect();
    partitions.sort_by_key(|partition| partition.number);
    Disk { device, serial: serial(&sys), partitions, table_error }
}

fn device(root: &Path, name: &str) -> Device {
    let sectors = number(&root.join("sys/class/block").join(name).join("size"));
    Device {
        name: name.to_owned(),
        // The kernel writes `!` for `/` (`cciss!c0d0`).
        path: root.join("dev").join(name.replace('!', "/")),
        bytes: sectors.unwrap_or(0).saturating_mul(SECTOR),
    }
}

fn serial(sys: &Path) -> Option<String> {
    let text = SERIALS.iter().find_map(|file| fs::read_to_string(sys.join(file)).ok());
    let text = text.or_else(|| {
        let page = fs::read(sys.join(VPD_SERIAL)).ok()?;
        String::from_utf8(page.get(VPD_HEADER..)?.to_vec()).ok()
    })?;
    let trimmed = text.trim_matches(|char: char| char.is_whitespace() || char == '\0');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// All disks with sizes and ids, for people.
fn seen(disks: &[Disk]) -> String {
    if disks.is_empty() {
        return "this kernel sees no disk: is its driver's module in the initrd?".to_owned();
    }
    let lines = disks.iter().map(|disk| {
        let id = |name, id: &Option<String>| match id {
            Some(id) => format!("{name} {id}"),
            None => format!("no {name}"),
        };
        let mut line =
            format!("{} ({})", described(&disk.device), id("serial number", &disk.serial));
        if let Some(error) = &disk.table_error {
            line += &format!(", which {error}");
        }
        for Partition { device, part_uuid, .. } in &disk.partitions {
            line += &format!(", {} ({})", described(device), id("partition UUID", part_uuid));
        }
        line
    });
    format!("this kernel sees {}", lines.collect::<Vec<_>>().join("; "))
}

fn described(device: &Device) -> String {
    format!("{} of {} MiB", device.name, device.bytes >> 20)
}

#[cfg(test)]
mod tests;

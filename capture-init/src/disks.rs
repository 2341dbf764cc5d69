//! The disks of a machine, and which of them has which id.
//!
//! *On entry* /sys, and /dev of devtmpfs. *On exit* the device that a [`DiskId`] names, or what
//! there is instead. udev is not needed: serial numbers come from sysfs, partition ids from the
//! partition tables.

mod partition_table; // GPT and MSDOS
mod search; // asks disks, and waits no longer than it may

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

pub use partition_table::{Table, TableError};
use search::Answer;
pub use search::{LONGEST_ANSWER, Search, in_time};

use crate::DiskId;

/// Unit of `size` in sysfs.
const SECTOR: u64 = 512;
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

impl Disk {
    /// Whether it did not answer in time, so that its ids are unknown.
    pub fn is_silent(&self) -> bool {
        matches!(self.table_error, Some(TableError::Silent))
    }
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
    /// None of those that answer has it.
    #[error("no disk or partition that answers has {id}; no answer from {silent}; {seen}")]
    Silent {
        /// The id, in words.
        id: String,
        /// The names of the disks that do not answer.
        silent: String,
        /// What there is.
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

impl DiskId {
    /// Whether it is found only by reading partition tables.
    pub fn needs_tables(&self) -> bool {
        matches!(self, Self::PartUuid(_))
    }
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

/// All disks with their partitions, sorted by name. If `reads_tables`, each disk's first blocks are
/// read. A disk that does not answer for [`LONGEST_ANSWER`] is listed without ids.
pub fn list(root: &Path, reads_tables: bool) -> Vec<Disk> {
    Search::new(root, reads_tables).look(LONGEST_ANSWER)
}

fn is_whole(root: &Path, name: &str) -> bool {
    let sys = root.join("sys/class/block").join(name);
    !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix))
        && !sys.join("partition").exists()
        // A path to an NVMe disk, such as nvme0c0n1, has the disk's serial number and no node.
        && number(&sys.join("hidden")) != Some(1)
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
        (None, _) => {
            let silent = disks.iter().filter(|disk| disk.is_silent());
            let names: Vec<_> = silent.map(|disk| disk.device.name.as_str()).collect();
            let (id, seen) = (id.to_string(), seen(disks));
            Err(match names.is_empty() {
                true => NotFound::None { id, seen },
                false => NotFound::Silent { id, silent: names.join(", "), seen },
            })
        }
        (Some(device), None) => Ok(device.clone()),
        (Some(second), Some(first)) => Err(NotFound::Ambiguous {
            id: id.to_string(),
            first: first.name.clone(),
            second: second.name.clone(),
        }),
    }
}

fn describe(root: &Path, name: &str, names: &[String], answer: Answer) -> Disk {
    let sys = root.join("sys/class/block").join(name);
    let (table, table_error) = match answer.table {
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
            Partition { device: device(root, name), number, part_uuid }
        })
        .collect();
    partitions.sort_by_key(|partition| partition.number);
    Disk { device: device(root, name), serial: answer.serial, partitions, table_error }
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

//! `[2a]` Block devices: how each is found again after a boot, and what it is made of.
//!
//! *On entry* a machine, below a root. *On exit* an identifier that exactly one device has, or why
//! a device cannot be the target.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use capture_init::DiskId;

use super::error::Refused;
use crate::health::files::Files;

/// Every block device has a link here.
const BLOCK: &str = "sys/class/block";
/// Where the devices of the driver model are, below the root.
const DEVICES: &str = "sys/devices";
/// Below it: devices without hardware, such as device mapper, RAID, loop and zram.
const VIRTUAL: &str = "sys/devices/virtual";
/// Below that: disks of NVMe drives that may have several controllers
/// (`CONFIG_NVME_MULTIPATH`).
const NVME_SUBSYSTEMS: &str = "sys/devices/virtual/nvme-subsystem";
/// Links of udev to partitions.
const BY_PART_UUID: &str = "dev/disk/by-partuuid";
/// udev's records of devices, by `bMAJOR:MINOR`.
const UDEV_DATA: &str = "run/udev/data";
/// Limit of a page of vital product data.
const MOST_VPD: u64 = 4096;
/// Bytes before the serial number in page 0x80 (SPC-4, 7.8.15), and where the length is.
const VPD_HEADER: usize = 4;
const VPD_LEN: usize = 2;

/// A block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its name now, such as `vda3`. It may be another's after a boot.
    pub name: String,
    /// Its directory in /sys/devices, without the leading `/`.
    pub path: PathBuf,
    /// Whether it is a partition.
    pub is_partition: bool,
}

impl Disk {
    /// The device of this name.
    pub fn named(files: Files<'_>, name: &str) -> Option<Self> {
        let path = files.real_path(Path::new(BLOCK).join(name)).ok()?;
        let is_partition = files.exists(path.join("partition"));
        Some(Self { name: name.to_owned(), path, is_partition })
    }

    /// All of them.
    fn all(files: Files<'_>) -> Vec<Self> {
        files.names(BLOCK).iter().filter_map(|name| Self::named(files, name)).collect()
    }

    /// Its node.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// A file of its own in /sys.
    pub fn attribute(&self, files: Files<'_>, name: &str) -> Option<String> {
        files.line(self.path.join(name)).filter(|value| !value.is_empty())
    }

    /// The disk that a partition is on, or itself.
    pub fn whole(&self) -> &Path {
        if self.is_partition { self.path.parent().unwrap_or(&self.path) } else { &self.path }
    }

    /// Its identifier. No other device may have the same.
    pub fn id(&self, files: Files<'_>) -> Result<DiskId, Refused> {
        let (id, what) = if self.is_partition {
            (self.part_uuid(files).map(DiskId::PartUuid), "PARTUUID")
        } else {
            (self.serial(files).map(DiskId::Serial), "serial number")
        };
        let id = id.ok_or_else(|| Refused::Anonymous { device: self.node(), what })?;
        find(files, &id).map(|_| id)
    }

    /// The unique identifier of a partition, in lower case: from the kernel (since Linux 6.13), from
    /// udev's record, or from udev's links.
    fn part_uuid(&self, files: Files<'_>) -> Option<String> {
        let line = |text: Option<String>, key: &str| {
            text?.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned)
        };
        let of_kernel = || line(files.text(self.path.join("uevent")), "PARTUUID=");
        let of_udev = || {
            let number = self.attribute(files, "dev")?;
            let record = files.text(format!("{UDEV_DATA}/b{number}"));
            line(record, "E:ID_PART_ENTRY_UUID=")
        };
        let of_link = || {
            let links = files.names(BY_PART_UUID);
            let leads_here = |link: &String| {
                files.real_name(format!("{BY_PART_UUID}/{link}")).is_ok_and(|it| it == self.name)
            };
            links.into_iter().find(leads_here)
        };
        let found = of_kernel().or_else(of_udev).or_else(of_link)?;
        Some(found.to_ascii_lowercase()).filter(|uuid| !uuid.is_empty())
    }

    /// The serial number of a whole disk, without blanks at its ends: of virtio-blk, of NVMe's
    /// controller, or from the vital product data of SCSI, which libata provides for ATA disks.
    fn serial(&self, files: Files<'_>) -> Option<String> {
        let text = |name: &str| self.attribute(files, name);
        let found = text("serial").or_else(|| text("device/serial")).or_else(|| {
            let page = files.read(self.path.join("device/vpd_pg80"), MOST_VPD).ok()?;
            let len = u16::from_be_bytes(*page.get(VPD_LEN..)?.first_chunk()?);
            let serial = page.get(VPD_HEADER..)?;
            let serial = &serial[..serial.len().min(len.into())];
            Some(String::from_utf8_lossy(serial).into_owned())
        })?;
        let found = found.trim_matches(['\0', ' ']).trim();
        (!found.is_empty()).then(|| found.to_owned())
    }

    /// Why it is not a disk, or a partition of one, that drivers alone make available.
    pub fn expect_hardware(&self, files: Files<'_>) -> Result<(), Refused> {
        let whole = self.whole();
        let refused =
            |kind: &'static str| Err(Refused::Stacked { device: self.node(), kind });
        if whole.starts_with(VIRTUAL) && !whole.starts_with(NVME_SUBSYSTEMS) {
            return refused(kind_of_virtual(files, whole));
        }
        if self.controllers(files).iter().any(|path| is_fabric(files, path)) {
            return refused("a disk behind a network (iSCSI or NVMe over fabrics)");
        }
        Ok(())
    }

    /// The paths in /sys/devices that lead to its hardware: one, except for an NVMe drive with
    /// several controllers.
    pub fn controllers(&self, files: Files<'_>) -> Vec<PathBuf> {
        let whole = self.whole();
        if !whole.starts_with(NVME_SUBSYSTEMS) {
            return vec![whole.to_owned()];
        }
        let subsystem = whole.parent().unwrap_or(whole);
        let is_controller = |name: &String| {
            name.strip_prefix("nvme").is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let names = files.names(subsystem).into_iter().filter(is_controller);
        names.filter_map(|name| files.real_path(subsystem.join(name)).ok()).collect()
    }
}

/// The device with this identifier.
pub fn find(files: Files<'_>, id: &DiskId) -> Result<Disk, Refused> {
    let has_it = |disk: &Disk| match id {
        DiskId::PartUuid(uuid) => {
            disk.is_partition && disk.part_uuid(files).as_ref() == Some(uuid)
        }
        DiskId::Serial(serial) => {
            !disk.is_partition && disk.serial(files).as_ref() == Some(serial)
        }
    };
    let mut found: Vec<Disk> = Disk::all(files).into_iter().filter(has_it).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Refused::NoDevice { id: words(id) }),
        _ => Err(Refused::Ambiguous {
            id: words(id),
            devices: found.iter().map(|disk| disk.node().display().to_string()).collect(),
        }),
    }
}

/// The device that a path below /dev leads to.
pub fn at_path(files: Files<'_>, path: &Path) -> Result<Disk, Refused> {
    let refused = |kind: ErrorKind| match kind {
        ErrorKind::NotFound => Refused::Missing { path: path.to_owned() },
        _ => Refused::NotBlock { path: path.to_owned() },
    };
    let name = files.real_name(path).map_err(|error| refused(error.kind()))?;
    Disk::named(files, &name).ok_or_else(|| Refused::NotBlock { path: path.to_owned() })
}

/// The identifier as the user writes it.
pub fn words(id: &DiskId) -> String {
    match id {
        DiskId::PartUuid(uuid) => format!("PARTUUID={uuid}"),
        DiskId::Serial(serial) => format!("serial:{serial}"),
    }
}

/// Device-mapper targets by the prefix of their identifiers, as their programs set them.
const MAPPED: [(&str, &str); 4] = [
    ("LVM-", "an LVM volume"),
    ("CRYPT-", "an encrypted volume (LUKS)"),
    ("mpath-", "a multipath device"),
    ("DMRAID-", "a RAID volume"),
];

fn kind_of_virtual(files: Files<'_>, disk: &Path) -> &'static str {
    if let Some(uuid) = files.line(disk.join("dm/uuid")) {
        let known = MAPPED.iter().find(|(prefix, _)| uuid.starts_with(prefix));
        return known.map_or("a device-mapper volume", |(_, kind)| kind);
    }
    for (directory, kind) in
        [("md", "a RAID volume"), ("loop", "a file (loop device)"), ("bcache", "a bcache volume")]
    {
        if files.exists(disk.join(directory)) {
            return kind;
        }
    }
    "not a disk of its own, but made by software"
}

/// Whether a disk is reached over a network: iSCSI has a session on the way, and a controller of
/// NVMe over fabrics names its transport.
fn is_fabric(files: Files<'_>, path: &Path) -> bool {
    let session = path.components().any(|part| {
        part.as_os_str().to_str().is_some_and(|name| {
            name.strip_prefix("session").is_some_and(|rest| rest.parse::<u32>().is_ok())
        })
    });
    let transport = |directory: &Path| files.line(directory.join("transport"));
    let below = |directory: &&Path| directory.starts_with(DEVICES);
    session
        || path
            .ancestors()
            .take_while(below)
            .filter_map(transport)
            .any(|transport| ["tcp", "rdma", "fc"].contains(&transport.as_str()))
}

//! `[2a]` Block devices: how each is found again after a boot, and what it is made of.
//!
//! *On entry* a machine, below a root. *On exit* an identifier that exactly one device has, or why
//! a device cannot be the target.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use capture_init::DiskId;
use capture_init::disks::{self, TableError};
use rustix::io::Errno;

use super::error::{Error, Refused};
use crate::health::files::Files;

/// Every block device has a link here.
const BLOCK: &str = "sys/class/block";
/// Where the devices of the driver model are, below the root.
const DEVICES: &str = "sys/devices";
/// Below it: devices without hardware, such as device mapper, RAID, loop and zram.
const VIRTUAL: &str = "sys/devices/virtual";
/// Below that: disks of NVMe drives that may have several controllers (`CONFIG_NVME_MULTIPATH`).
const NVME_SUBSYSTEMS: &str = "sys/devices/virtual/nvme-subsystem";
/// The error of a drive without a medium.
const NO_MEDIUM: i32 = Errno::NOMEDIUM.raw_os_error();
/// Transports of NVMe over a network (`nvmf_transport_ops`, drivers/nvme/host).
const FABRICS: [&str; 3] = ["tcp", "rdma", "fc"];

/// Block devices of other machines, before their number (drivers/block/nbd.c, drivers/block/rbd.c).
const NETWORK_BLOCK: [&str; 2] = ["nbd", "rbd"];

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

    /// The device with this identifier.
    pub fn with_id(files: Files<'_>, id: &DiskId) -> Result<Self, Error> {
        let disks = disks::list(files.root(), id.needs_tables());
        let found = disks::find(&disks, id);
        let is_partition = matches!(id, DiskId::PartUuid(_));
        if let (Err(disks::NotFound::None { .. }), true) = (&found, is_partition)
            && let Some((path, source)) = disks.into_iter().find_map(unread)
        {
            return Err(Error::Table { path, source });
        }
        let found = found?;
        Ok(Self::named(files, &found.name).ok_or(Refused::NotBlock { path: found.path })?)
    }

    /// The device that a path below /dev leads to.
    pub fn at(files: Files<'_>, path: &Path) -> Result<Self, Refused> {
        let name = files.real_name(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Refused::Missing { path: path.to_owned() },
            _ => Refused::NotBlock { path: path.to_owned() },
        })?;
        Self::named(files, &name).ok_or_else(|| Refused::NotBlock { path: path.to_owned() })
    }

    /// Its node.
    pub fn node(&self) -> PathBuf {
        // The kernel writes `!` for `/` (`cciss!c0d0`).
        Path::new("/dev").join(self.name.replace('!', "/"))
    }

    /// The disk that a partition is on, or itself.
    fn whole(&self) -> &Path {
        if self.is_partition { self.path.parent().unwrap_or(&self.path) } else { &self.path }
    }

    /// Its identifier, which no other device has.
    pub fn id(&self, files: Files<'_>) -> Result<DiskId, Error> {
        let disks = disks::list(files.root(), self.is_partition);
        let partition = || disks.iter().flat_map(|disk| &disk.partitions);
        let (id, what) = if self.is_partition {
            let this = partition().find(|partition| partition.device.name == self.name);
            (this.and_then(|this| this.part_uuid.clone()).map(DiskId::PartUuid), "PARTUUID")
        } else {
            let this = disks.iter().find(|disk| disk.device.name == self.name);
            (this.and_then(|this| this.serial.clone()).map(DiskId::Serial), "serial number")
        };
        if let Some(id) = id {
            disks::find(&disks, &id)?;
            return Ok(id);
        }
        // Where the table cannot be read, as in a sandbox, the partition may have one.
        let whole = self.whole().file_name().unwrap_or_default();
        let disk = disks.into_iter().find(|disk| *disk.device.name == *whole);
        match disk.and_then(|disk| Some((disk.device.path, disk.table_error?))) {
            Some((path, TableError::Silent)) => Err(Error::Silent { path }),
            Some((path, source)) if self.is_partition => Err(Error::Table { path, source }),
            _ => Err(Refused::Anonymous { device: self.node(), what }.into()),
        }
    }

    /// Refuses what needs more than drivers.
    pub fn expect_hardware(&self, files: Files<'_>) -> Result<(), Refused> {
        let whole = self.whole();
        let refused = |kind: &'static str| Err(Refused::Stacked { device: self.node(), kind });
        if whole.starts_with(VIRTUAL) && !whole.starts_with(NVME_SUBSYSTEMS) {
            return refused(kind_of_virtual(files, whole));
        }
        if self.is_on_network(files) {
            return refused("reached over a network (iSCSI, FCoE, SRP, RBD or NVMe over fabrics)");
        }
        Ok(())
    }

    /// Whether it is reached over a network.
    pub fn is_on_network(&self, files: Files<'_>) -> bool {
        let whole = self.whole().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        NETWORK_BLOCK.iter().any(|driver| has_number(whole, driver))
            || self.controllers(files).iter().any(|path| is_fabric(files, path))
    }

    /// The directories in /sys/devices that lead to its hardware: one, except for an NVMe drive
    /// with several controllers.
    pub fn controllers(&self, files: Files<'_>) -> Vec<PathBuf> {
        let whole = self.whole();
        if !whole.starts_with(NVME_SUBSYSTEMS) {
            return vec![whole.to_owned()];
        }
        let subsystem = whole.parent().unwrap_or(whole);
        let is_controller = |name: &String| has_number(name, "nvme");
        let names = files.names(subsystem).into_iter().filter(is_controller);
        names.filter_map(|name| files.real_path(subsystem.join(name)).ok()).collect()
    }

    /// What uses it now, if anything does. A dump would destroy that.
    pub fn user(&self, files: Files<'_>) -> Option<String> {
        let block = format!("{BLOCK}/{}", self.name);
        if let Some(point) = crate::health::dump_target::mounts::mounted(files, &block) {
            return Some(format!("it is mounted at {point}"));
        }
        let node = self.node();
        let swaps = files.text("proc/swaps").unwrap_or_default();
        if swaps.lines().any(|line| line.split_whitespace().next().map(Path::new) == Some(&node)) {
            return Some("it is swap space in use".into());
        }
        if let Some(holder) = files.names(self.path.join("holders")).first() {
            return Some(format!("{holder} is made of it"));
        }
        let is_partition = |name: &String| files.exists(self.path.join(name).join("partition"));
        let partition = files.names(&self.path).into_iter().find(is_partition)?;
        Some(format!("it has partitions, such as {partition}"))
    }

    /// Whether nothing can be written to it.
    pub fn is_read_only(&self, files: Files<'_>) -> bool {
        files.line(self.path.join("ro")).is_some_and(|value| value != "0")
    }
}

/// The node of a disk whose table cannot be read, so that it may have any partition, and why. A
/// drive without a medium has none.
fn unread(disk: disks::Disk) -> Option<(PathBuf, TableError)> {
    match disk.table_error? {
        TableError::Read(error) if error.raw_os_error() == Some(NO_MEDIUM) => None,
        TableError::Read(error) if error.kind() == ErrorKind::UnexpectedEof => None,
        error @ TableError::Read(_) => Some((disk.device.path, error)),
        // `disks::find` has named it.
        TableError::Silent | TableError::Damaged { .. } => None,
    }
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
    [("md", "a RAID volume"), ("loop", "a file (loop device)"), ("bcache", "a bcache volume")]
        .into_iter()
        .find(|(directory, _)| files.exists(disk.join(directory)))
        .map_or("no disk, but made by software", |(_, kind)| kind)
}

/// Whether a name is this prefix and a number.
fn has_number(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Devices on the way to a disk of iSCSI (`iscsi_add_session`, drivers/scsi/scsi_transport_iscsi.c)
/// and of FCoE (`fcoe_ctlr_device_add`, drivers/scsi/fcoe/fcoe_sysfs.c), before their number. FCoE
/// that is done by a PCI device has none: it needs only a driver.
const ON_NETWORK: [&str; 2] = ["session", "ctlr_"];
/// Has the SCSI hosts of SRP, which is SCSI over InfiniBand (drivers/scsi/scsi_transport_srp.c).
const SRP_HOSTS: &str = "sys/class/srp_host";

/// Whether a path in /sys/devices leads over a network. A controller of NVMe names its transport.
fn is_fabric(files: Files<'_>, path: &Path) -> bool {
    let on_network = path.iter().filter_map(|part| part.to_str()).any(|name| {
        ON_NETWORK.iter().any(|prefix| has_number(name, prefix))
            || has_number(name, "host") && files.exists(Path::new(SRP_HOSTS).join(name))
    });
    let below = path.ancestors().take_while(|path| path.starts_with(DEVICES));
    let transports = below.filter_map(|directory| files.line(directory.join("transport")));
    on_network || transports.into_iter().any(|name| FABRICS.contains(&name.as_str()))
}

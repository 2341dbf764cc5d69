//! A disk of a machine: an image on the host, and the bus on which the guest finds it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::with_path;
use crate::error::Error;

/// How a guest reaches a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    VirtioBlk,
    Nvme,
    /// The controller that q35 has.
    Ahci,
    VirtioScsi,
}

impl Bus {
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtioBlk => "virtio-blk",
            Self::Nvme => "NVMe",
            Self::Ahci => "AHCI",
            Self::VirtioScsi => "virtio-scsi",
        }
    }

    /// The modules that a guest needs for it.
    pub fn modules(self) -> &'static [&'static str] {
        match self {
            Self::VirtioBlk => &["virtio_blk"],
            Self::Nvme => &["nvme"],
            Self::Ahci => &["ahci", "sd_mod"],
            Self::VirtioScsi => &["virtio_scsi", "sd_mod"],
        }
    }
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    pub image: PathBuf,
    pub bus: Bus,
    /// Its serial number, which no other disk of the machine has.
    pub serial: String,
    /// A byte of the image, if writes of its sector fail.
    pub broken_at: Option<u64>,
}

impl Disk {
    /// Adds it to a command line of QEMU, as the machine's disk of this number.
    pub fn add(&self, number: usize, line: &mut Command) {
        let Self { image, bus, serial, broken_at } = self;
        let drive = format!("if=none,id=disk{number},driver=raw,file.");
        let drive = match broken_at {
            None => drive + "filename=",
            Some(at) => {
                // docs/devel/blkdebug.rst of QEMU. The rule always holds.
                let rule = "file.inject-error.0";
                let sector = at / SECTOR;
                format!(
                    "{drive}driver=blkdebug,{rule}.event=none,{rule}.iotype=write,\
                     {rule}.errno={EIO},{rule}.sector={sector},file.image.driver=file,\
                     file.image.filename="
                )
            }
        };
        line.args(["-drive", &with_path(&drive, image)]);
        let ends = format!("drive=disk{number},serial={serial}");
        let device = match bus {
            Bus::VirtioBlk => format!("virtio-blk-pci,{ends}"),
            Bus::Nvme => format!("nvme,{ends}"),
            Bus::Ahci => format!("ide-hd,bus=ide.{number},{ends}"),
            Bus::VirtioScsi => {
                line.args(["-device", &format!("virtio-scsi-pci,id=scsi{number}")]);
                format!("scsi-hd,bus=scsi{number}.0,{ends}")
            }
        };
        line.args(["-device", &device]);
    }
}

/// errno of an I/O error (include/uapi/asm-generic/errno-base.h).
const EIO: u32 = 5;
/// Bytes of a sector, and of an entry of a GPT (UEFI specification 2.10, §5.3).
const SECTOR: u64 = 512;
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// Sectors that the entries take.
const ENTRY_SECTORS: u64 = (ENTRY * ENTRIES) as u64 / SECTOR;
/// Where the partition begins, as every tool aligns it.
pub const PARTITION_AT: u64 = 1 << 20;
/// The type "Linux filesystem data", 0fc63daf-8483-4772-8e79-3d69d8477de4, as it is on a disk.
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];
/// The partition's own identifier, as it is on a disk. The first byte depends on the disk.
const UNIQUE: [u8; 16] = [
    0x00, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10,
];

/// The identifier of the partition of the disk of this number.
pub fn part_uuid(number: usize) -> String {
    format!("040302{number:02x}-0605-0807-090a-0b0c0d0e0f10")
}

/// Makes an image of `mib` MiB for the disk of this number, with a GPT and one partition, which has
/// all the room but one MiB at either end. Returns the partition's bytes.
pub fn partitioned(path: &Path, number: usize, mib: u64) -> Result<u64, Error> {
    let write = || -> io::Result<u64> {
        let image = File::create(path)?;
        let len = mib << 20;
        image.set_len(len)?;
        let (sectors, end) = (len / SECTOR, len - (1 << 20));

        let mut boot = [0; SECTOR as usize];
        // One partition that protects the rest: type, first sector, sectors.
        boot[450] = 0xee;
        boot[454..458].copy_from_slice(&1_u32.to_le_bytes());
        boot[458..462].copy_from_slice(&u32::try_from(sectors - 1).unwrap_or(!0).to_le_bytes());
        boot[510..].copy_from_slice(b"\x55\xaa");
        image.write_all_at(&boot, 0)?;

        let mut entries = vec![0; ENTRY * ENTRIES];
        entries[..16].copy_from_slice(&LINUX);
        entries[16..32].copy_from_slice(&UNIQUE);
        entries[16] = number as u8;
        entries[32..40].copy_from_slice(&(PARTITION_AT / SECTOR).to_le_bytes());
        entries[40..48].copy_from_slice(&(end / SECTOR - 1).to_le_bytes());

        let last = sectors - 1;
        for (at, other, entries_at) in [(1, last, 2), (last, 1, last - ENTRY_SECTORS)] {
            let header = header(at, other, entries_at, last, &entries);
            image.write_all_at(&header, at * SECTOR)?;
            image.write_all_at(&entries, entries_at * SECTOR)?;
        }
        Ok(end - PARTITION_AT)
    };
    write().map_err(Error::file("write", path))
}

/// The header at sector `at`, whose copy is at `other`.
fn header(at: u64, other: u64, entries_at: u64, last: u64, entries: &[u8]) -> [u8; 92] {
    let mut header = [0; 92];
    header[..8].copy_from_slice(b"EFI PART");
    for (place, value) in [
        (8, 0x1_0000_u32),
        (12, 92),
        (80, ENTRIES as u32),
        (84, ENTRY as u32),
        (88, crc32fast::hash(entries)),
    ] {
        header[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }
    let (first_usable, last_usable) = (2 + ENTRY_SECTORS, last - ENTRY_SECTORS - 1);
    for (place, value) in
        [(24, at), (32, other), (40, first_usable), (48, last_usable), (72, entries_at)]
    {
        header[place..place + 8].copy_from_slice(&value.to_le_bytes());
    }
    let checksum = crc32fast::hash(&header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use capture_init::disks::Table;

    use super::*;

    #[test]
    fn partition_has_its_identifier_in_the_table_and_in_its_copy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        assert_eq!(partitioned(&path, 3, 64).unwrap(), 62 << 20);
        let image = File::open(&path).unwrap();
        let table = Table::read(&image, SECTOR).unwrap();
        assert_eq!(table.part_uuid(1), Some(part_uuid(3)));
        assert_eq!(table.part_uuid(2), None);
        // As if the copy were the table.
        let (mut first, mut last) = ([0; 92], [0; 92]);
        image.read_exact_at(&mut first, SECTOR).unwrap();
        image.read_exact_at(&mut last, (64 << 20) - SECTOR).unwrap();
        assert_eq!((&first[24..32], &first[32..40]), (&last[32..40], &last[24..32]));
    }
}

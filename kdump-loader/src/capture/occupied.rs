//! `[2b]` What a dump to a raw device would destroy.
//!
//! *On entry* a device, and its first bytes. *On exit* what is on it, if anything is.

use super::disk::Disk;
use crate::health::dump_target::device;
use crate::health::files::Files;

/// Bytes at a device's start that hold every signature below.
pub const HEAD: u64 = 68 << 10;

/// How a dump begins (`KDUMP_SIGNATURE`, makedumpfile's diskdump_mod.h). An earlier one is
/// overwritten, and bytes of it that look like a signature do not count.
const DUMP: &[u8] = b"KDUMP   ";

/// A signature: its offset in bytes, its bytes, and what has it (util-linux, libblkid/src/superblocks).
type Signature = (usize, &'static [u8], &'static str);

const SIGNATURES: [Signature; 13] = [
    (0x438, b"\x53\xef", "an ext2, ext3 or ext4 filesystem"),
    (0, b"XFSB", "an xfs filesystem"),
    (0x10040, b"_BHRfS_M", "a btrfs filesystem"),
    (0, b"LUKS\xba\xbe", "an encrypted volume (LUKS)"),
    // In any of the first four sectors.
    (0, b"LABELONE", "an LVM volume"),
    (512, b"LABELONE", "an LVM volume"),
    (1024, b"LABELONE", "an LVM volume"),
    (1536, b"LABELONE", "an LVM volume"),
    (0xff6, b"SWAPSPACE2", "swap space"),
    (0, b"\xfc\x4e\x2b\xa9", "a member of a RAID"),
    (4096, b"\xfc\x4e\x2b\xa9", "a member of a RAID"),
    (512, b"EFI PART", "a partition table (GPT)"),
    // FAT, NTFS and MSDOS partition tables.
    (510, b"\x55\xaa", "a boot sector, or a partition table"),
];

/// What is on the device.
pub fn by(files: Files<'_>, disk: &Disk, head: &[u8]) -> Option<String> {
    let block = format!("sys/class/block/{}", disk.name);
    if let Some(mount_point) = device::mounted(files, &block) {
        return Some(format!("it is mounted at {mount_point}"));
    }
    let node = disk.node();
    let node = node.to_str().unwrap_or_default();
    let swaps = files.text("proc/swaps").unwrap_or_default();
    if swaps.lines().any(|line| line.split_whitespace().next() == Some(node)) {
        return Some("it is swap space in use".into());
    }
    if let Some(holder) = files.names(disk.path.join("holders")).first() {
        return Some(format!("{holder} is made of it"));
    }
    let is_partition = |name: &String| files.exists(disk.path.join(name).join("partition"));
    if let Some(name) = files.names(&disk.path).iter().find(|name| is_partition(name)) {
        return Some(format!("it has partitions, such as {name}"));
    }
    if head.starts_with(DUMP) {
        return None;
    }
    let has = |&&(at, bytes, _): &&Signature| {
        head.get(at..).is_some_and(|rest| rest.starts_with(bytes))
    };
    SIGNATURES.iter().find(has).map(|(_, _, what)| format!("it begins like {what}"))
}

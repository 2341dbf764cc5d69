//! A block device by any of its names, the devices below it, and its size.

use std::path::Path;

use capture_init::disks::{self, NotFound};

use super::super::files::Files;
use crate::capture::{Disk, Place};

/// Limit of stacked block devices. LUKS on LVM on RAID on a partition is five.
const DEEPEST: usize = 16;
/// The unit of /sys/class/block/NAME/size.
const SECTOR: u64 = 512;
/// Prefix of a dm-crypt device's identifier, with and without LUKS (cryptsetup, `DM_UUID_PREFIX`).
const CRYPT: &str = "CRYPT-";
/// Names of devices in memory, before their number.
const MEMORY: [&str; 2] = ["zram", "ram"];

/// The directory in /sys of a device that is named by its path or as in fstab(5).
pub fn block_device(files: Files<'_>, name: &str) -> Option<String> {
    find(files, name).ok().flatten()
}

/// The same; an error if a disk that does not answer may have it.
pub fn find(files: Files<'_>, name: &str) -> Result<Option<String>, NotFound> {
    let by = [
        ("UUID=", "by-uuid"),
        ("LABEL=", "by-label"),
        ("PARTUUID=", "by-partuuid"),
        ("PARTLABEL=", "by-partlabel"),
    ];
    let by = by.iter().find_map(|(prefix, directory)| {
        Some(format!(
            "dev/disk/{directory}/{}",
            encoded(name.strip_prefix(prefix)?.trim_matches('"'))
        ))
    });
    let path = by.unwrap_or_else(|| name.to_owned());
    // udev writes UUIDs in lower case; the kernel compares them without case (`match_dev_by_uuid`,
    // block/early-lookup.c).
    let lower = || name.contains("UUID=").then(|| path.to_ascii_lowercase());
    let found = files.real_name(&path).ok().or_else(|| files.real_name(lower()?).ok());
    let found = match found {
        Some(found) => Some(found),
        None => by_id(files, name)?,
    };
    let Some(found) = found else { return Ok(None) };
    let block = format!("sys/class/block/{found}");
    if files.exists(&block) {
        return Ok(Some(block));
    }
    // Without udev, /dev/mapper/NAME is the device's own node instead of a link to dm-N.
    let blocks = files.names("sys/class/block");
    let mut blocks = blocks.iter().map(|name| format!("sys/class/block/{name}"));
    Ok(blocks
        .find(|block| files.line(format!("{block}/dm/name")).is_some_and(|name| name == found)))
}

/// The device with an identifier that `--capture` takes, without udev's links.
fn by_id(files: Files<'_>, name: &str) -> Result<Option<String>, NotFound> {
    let Some(id) = Place::parse(name).ok().and_then(|place| place.id()) else { return Ok(None) };
    match disks::find(&disks::list(files.root(), id.needs_tables()), &id) {
        Ok(device) => Ok(Some(device.name)),
        Err(error @ NotFound::Silent { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

/// A label in the encoding of udev's links (`encode_devnode_name` of systemd).
fn encoded(label: &str) -> String {
    let encode = |character: char| match character {
        _ if character.is_ascii_alphanumeric()
            || "#+-.:=@_".contains(character)
            || !character.is_ascii() =>
        {
            character.to_string()
        }
        _ => format!("\\x{:02x}", u32::from(character)),
    };
    label.chars().map(encode).collect()
}

/// The name of the encrypted volume that holds a device, or is it.
pub fn encrypted(files: Files<'_>, block: &str) -> Option<String> {
    let volume = |block: &str| {
        let is_crypt = |uuid: &String| uuid.starts_with(CRYPT);
        files.line(format!("{block}/dm/uuid")).filter(is_crypt)?;
        files.line(format!("{block}/dm/name"))
    };
    first_below(files, block, &volume, DEEPEST)
}

/// Whether a device is on a USB disk: its path has a bus such as `usb1`.
pub fn is_on_usb(files: Files<'_>, block: &str) -> bool {
    let is_bus =
        |name: &str| name.strip_prefix("usb").is_some_and(|bus| bus.parse::<u32>().is_ok());
    let on_usb = |block: &str| {
        let path = files.real_path(block).ok()?;
        path.iter().any(|part| part.to_str().is_some_and(is_bus)).then_some(())
    };
    first_below(files, block, &on_usb, DEEPEST).is_some()
}

/// The disk of another machine that a device is, or is on.
pub fn on_network(files: Files<'_>, block: &str) -> Option<String> {
    let on_network = |block: &str| {
        let disk = Disk::named(files, &files.real_name(block).ok()?)?;
        disk.is_on_network(files).then_some(disk.name)
    };
    first_below(files, block, &on_network, DEEPEST)
}

/// Whether a device is in memory, or on one that is.
pub fn is_in_memory(files: Files<'_>, block: &str) -> bool {
    let memory = |block: &str| {
        let name = files.real_name(block).unwrap_or_else(|_| block.to_owned());
        is_memory(&name).then_some(())
    };
    first_below(files, block, &memory, DEEPEST).is_some()
}

/// Whether this is the name or path of a device in memory: zram or brd.
pub fn is_memory(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default();
    let number = MEMORY.iter().find_map(|prefix| name.strip_prefix(prefix));
    number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What `judge` says first of a device and those below it.
fn first_below<T>(
    files: Files<'_>,
    block: &str,
    judge: &dyn Fn(&str) -> Option<T>,
    depth: usize,
) -> Option<T> {
    if block.is_empty() || depth == 0 {
        return None;
    }
    if let Some(found) = judge(block) {
        return Some(found);
    }
    // A partition has no slaves, but its disk may.
    let disk = if files.exists(format!("{block}/partition")) {
        format!("{block}/..")
    } else {
        block.to_owned()
    };
    let below = files.names(format!("{disk}/slaves"));
    below
        .iter()
        .find_map(|name| first_below(files, &format!("sys/class/block/{name}"), judge, depth - 1))
}

/// Size of a block device in bytes.
pub fn size(files: Files<'_>, block: &str) -> Option<u64> {
    files.line(format!("{block}/size"))?.parse::<u64>().ok()?.checked_mul(SECTOR)
}

/// What the program that saves the dump leaves free on the file system.
#[derive(Clone, Copy, Debug)]
pub enum Leaves {
    /// Nothing. It is root, so it fills even the blocks that are reserved for root.
    Nothing,
    /// These bytes of what other users see.
    Bytes(u64),
    /// What the /init of `--capture` leaves.
    AsCapture,
}

/// Bytes for the dump on the file system of a directory, which need not exist yet.
pub fn free(files: Files<'_>, directory: &str, leaves: Leaves) -> Option<u64> {
    let nearest =
        Path::new(directory).ancestors().find_map(|directory| files.find(directory).ok())?;
    let file_system = rustix::fs::fstatvfs(nearest).ok()?;
    leaves.of(file_system.f_bfree, file_system.f_bavail, file_system.f_frsize)
}

impl Leaves {
    /// Bytes for the dump, if this many blocks are `free`, of which those `available` are not
    /// reserved for root.
    fn of(self, free: u64, available: u64, block_len: u64) -> Option<u64> {
        match self {
            Self::Nothing => free.checked_mul(block_len),
            Self::Bytes(kept) => Some(available.checked_mul(block_len)?.saturating_sub(kept)),
            Self::AsCapture => Some(capture_init::room(available, block_len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn blocks_reserved_for_root_are_room_only_for_programs_that_fill_them() {
        // An ext4 of which df says that it is full.
        let full = |leaves: Leaves| leaves.of(5000, 0, 4096);
        assert_eq!(full(Leaves::Nothing), Some(5000 * 4096));
        assert_eq!(full(Leaves::Bytes(1)), Some(0));
        assert_eq!(full(Leaves::AsCapture), Some(0), "/init takes none of them");
        let half = |leaves: Leaves| leaves.of(5000, 2000, 4096);
        assert_eq!(half(Leaves::Bytes(4096)), Some(1999 * 4096));
        assert_eq!(half(Leaves::AsCapture), Some(1900 * 4096));
    }

    #[test]
    fn label_is_found_under_the_name_that_udev_gives_its_link() {
        assert_eq!(encoded("/boot"), r"\x2fboot");
        assert_eq!(encoded("My disk\\"), r"My\x20disk\x5c");
        assert_eq!(encoded("é#+-.:=@_9"), "é#+-.:=@_9");
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("dev/disk/by-label")).unwrap();
        fs::create_dir_all(root.path().join("sys/class/block/vda2")).unwrap();
        fs::write(root.path().join("dev/vda2"), "").unwrap();
        symlink("../../vda2", root.path().join(r"dev/disk/by-label/\x2fboot")).unwrap();
        assert_eq!(
            block_device(Files::new(root.path()), "LABEL=/boot").as_deref(),
            Some("sys/class/block/vda2")
        );
    }
}

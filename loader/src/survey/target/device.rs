//! What a directory is on: its mount, the block device below that, and the devices below that one.

use super::super::files::Files;

/// How many block devices may be stacked. LUKS on LVM on RAID on a partition is five.
const DEEPEST: usize = 16;
/// The unit of /sys/class/block/NAME/size.
const SECTOR: u64 = 512;
/// How a device of dm-crypt begins its identifier, LUKS or not (cryptsetup, `DM_UUID_PREFIX`).
const CRYPT: &str = "CRYPT-";

/// Something that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory of /sys that tells about its block device.
    pub device: String,
    /// Where it is mounted.
    pub point: String,
    /// Whether its files are in memory, and gone after the next boot.
    pub is_volatile: bool,
    /// Major and minor number, as in `8:1`.
    number: String,
}

/// File systems in memory.
const VOLATILE: [&str; 2] = ["tmpfs", "ramfs"];

/// What is mounted, from /proc/self/mountinfo (Documentation/filesystems/proc.rst, 3.5).
fn mounts(files: Files<'_>) -> Vec<Mount> {
    let text = files.text("proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(2);
        let (number, point) = (fields.next()?.to_owned(), unescaped(fields.nth(1)?));
        let (kind, rest) = after.split_once(' ')?;
        let source = unescaped(rest.split(' ').next()?);
        // Major number 0 is no block device. btrfs has such a number, and its source is one.
        let device = match number.starts_with("0:") {
            true => block_device(files, &source).unwrap_or_default(),
            false => format!("sys/dev/block/{number}"),
        };
        Some(Mount { device, point, is_volatile: VOLATILE.contains(&kind), number })
    };
    text.lines().filter_map(mount).collect()
}

/// Spaces and the like are octal in mountinfo.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, it)| text.replace(code, it))
}

/// The mount that a directory is on: of those on the way to it, the lowest, and of several there the last.
pub fn mount_of(files: Files<'_>, directory: &str) -> Option<Mount> {
    let holds = |mount: &Mount| std::path::Path::new(directory).starts_with(&mount.point);
    mounts(files).into_iter().filter(holds).max_by_key(|mount| mount.point.len())
}

/// Where a block device is mounted.
pub fn mounted(files: Files<'_>, block: &str) -> Option<String> {
    let number = files.line(format!("{block}/dev"))?;
    mounts(files).into_iter().find(|mount| mount.number == number || mount.device == block).map(|mount| mount.point)
}

/// The directory of /sys that tells about a device, named by its path or as in fstab(5).
pub fn block_device(files: Files<'_>, name: &str) -> Option<String> {
    let by = [("UUID=", "by-uuid"), ("LABEL=", "by-label"), ("PARTUUID=", "by-partuuid"), ("PARTLABEL=", "by-partlabel")];
    let by = by
        .iter()
        .find_map(|(prefix, directory)| Some(format!("dev/disk/{directory}/{}", name.strip_prefix(prefix)?.trim_matches('"'))));
    let path = by.unwrap_or_else(|| name.to_owned());
    let block = format!("sys/class/block/{}", files.real_name(path).ok()?);
    files.exists(&block).then_some(block)
}

/// The name of the encrypted volume that a device is, or is on.
pub fn encrypted(files: Files<'_>, block: &str) -> Option<String> {
    encrypted_below(files, block, DEEPEST)
}

fn encrypted_below(files: Files<'_>, block: &str, depth: usize) -> Option<String> {
    if block.is_empty() || depth == 0 {
        return None;
    }
    if files.line(format!("{block}/dm/uuid")).is_some_and(|uuid| uuid.starts_with(CRYPT)) {
        return files.line(format!("{block}/dm/name"));
    }
    // A partition has no slaves; the disk around it may.
    let disk = if files.exists(format!("{block}/partition")) { format!("{block}/..") } else { block.to_owned() };
    let below = files.names(format!("{disk}/slaves"));
    below.iter().find_map(|name| encrypted_below(files, &format!("sys/class/block/{name}"), depth - 1))
}

/// Bytes that a block device holds.
pub fn size(files: Files<'_>, block: &str) -> Option<u64> {
    files.line(format!("{block}/size"))?.parse::<u64>().ok()?.checked_mul(SECTOR)
}

/// Bytes that are free where a directory is, or would be made.
pub fn free(files: Files<'_>, directory: &str) -> Option<u64> {
    let nearest = std::path::Path::new(directory).ancestors().find_map(|directory| files.find(directory).ok())?;
    let file_system = rustix::fs::fstatvfs(nearest).ok()?;
    // Root writes the dump, so what is reserved for root counts.
    file_system.f_bfree.checked_mul(file_system.f_frsize)
}

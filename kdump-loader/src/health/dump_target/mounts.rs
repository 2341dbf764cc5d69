//! The mount of a directory, and its path without links, as far as no mount on the way may hang.

use std::path::{Path, PathBuf};

use super::super::files::Files;
use super::device::block_device;

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory of its block device in /sys.
    pub device: String,
    /// What is mounted, as the kernel shows it: a device's path, or a word.
    pub source: String,
    /// The mount point.
    pub point: String,
    /// The type of its file system.
    pub kind: String,
    /// Whether nothing can be written to it now.
    pub is_read_only: bool,
    /// The directory of the file system that is mounted: `/`, unless it is a bind mount.
    pub root: String,
    /// The options of its superblock.
    pub options: String,
    /// Major and minor number, as in `8:1`.
    number: String,
}

impl Mount {
    /// Whether its files are on another machine.
    pub fn is_on_network(&self) -> bool {
        is_network(&self.kind)
    }

    /// Whether a program or another machine serves it, so that an access may hang.
    fn may_hang(&self) -> bool {
        self.is_on_network()
            || self.kind == "autofs"
            || self.kind == "fuse"
            || self.kind.starts_with("fuse.")
    }
}

/// File systems of other machines.
const NETWORK: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ceph",
    "afs",
    "lustre",
    "coda",
    "ncpfs",
    "fuse.sshfs",
    "fuse.glusterfs",
];
/// Whether the files of a file system of this type are on another machine.
pub fn is_network(kind: &str) -> bool {
    NETWORK.contains(&kind)
}

/// Limit of followed links (`MAXSYMLINKS`, include/linux/namei.h).
const MOST_LINKS: usize = 40;

/// All mounts, from /proc/self/mountinfo (Documentation/filesystems/proc.rst, 3.5).
fn mounts(files: Files<'_>) -> Vec<Mount> {
    let text = files.text("proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(2);
        let number = fields.next()?.to_owned();
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let own_options = fields.next()?;
        let (kind, rest) = after.split_once(' ')?;
        let mut rest = rest.split(' ');
        let source = unescaped(rest.next()?);
        let options = rest.next().unwrap_or_default();
        let is_read_only =
            [own_options, options].iter().any(|it| it.split(',').any(|option| option == "ro"));
        // Major number 0 is not a block device. btrfs has such a number, but its source is a
        // device. Other sources may be paths on a file system that hangs.
        let device = match number.starts_with("0:") {
            true if source.starts_with("/dev/") => block_device(files, &source).unwrap_or_default(),
            true => String::new(),
            false => format!("sys/dev/block/{number}"),
        };
        Some(Mount {
            device,
            source,
            point,
            is_read_only,
            kind: kind.to_owned(),
            root,
            options: options.to_owned(),
            number,
        })
    };
    text.lines().filter_map(mount).collect()
}

/// Decodes the octal escapes of mountinfo and fstab.
pub fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, it)| text.replace(code, it))
}

/// The mount that a directory is on: the innermost one, and the last of several at the same point.
pub fn mount_of(files: Files<'_>, directory: &str) -> Option<Mount> {
    innermost(&mounts(files), Path::new(directory)).cloned()
}

fn innermost<'a>(mounts: &'a [Mount], directory: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| directory.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.len())
}

/// Resolves all links in a directory's path, as far as it exists.
///
/// # Errors
///
/// A mount on the way that may hang. It is not accessed.
pub fn real_path(files: Files<'_>, directory: &str) -> Result<String, Box<Mount>> {
    let mounts = mounts(files);
    let mut left: Vec<String> = directory.rsplit('/').map(str::to_owned).collect();
    let (mut path, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = left.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => drop(path.pop()),
            name => path.push(name),
        }
        if let Some(mount) = innermost(&mounts, &path).filter(|mount| mount.may_hang()) {
            return Err(Box::new(mount.clone()));
        }
        if let Some(to) = files.link(&path).filter(|_| links < MOST_LINKS) {
            links += 1;
            path = if to.starts_with('/') {
                PathBuf::from("/")
            } else {
                path.parent().unwrap_or(&path).to_owned()
            };
            left.extend(to.rsplit('/').map(str::to_owned));
        }
    }
    Ok(path.display().to_string())
}

/// Where a block device is mounted.
pub fn mounted(files: Files<'_>, block: &str) -> Option<String> {
    let number = files.line(format!("{block}/dev"))?;
    mounts(files)
        .into_iter()
        .find(|mount| mount.number == number || mount.device == block)
        .map(|mount| mount.point)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn path_is_resolved_only_up_to_a_mount_that_may_hang() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["proc/self", "boot", "mnt/dumps/today", "auto/local"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                      23 22 0:31 / /mnt/dumps rw - nfs4 server:/dumps rw\n\
                      24 22 0:32 / /auto rw - autofs systemd-1 rw\n\
                      25 22 0:33 / /home rw - fuse.sshfs me@server: rw\n\
                      26 22 0:32 / /disk rw - autofs systemd-1 rw\n\
                      27 26 254:2 / /disk rw - ext4 /dev/vda2 rw\n";
        fs::write(root.path().join("proc/self/mountinfo"), mounts).unwrap();
        for (link, to) in [
            ("crash", "/boot"),
            ("far", "mnt/dumps/today"),
            ("boot/up", "../far"),
            ("loop", "loop"),
        ] {
            symlink(to, root.path().join(link)).unwrap();
        }
        let real = |path| real_path(Files::new(root.path()), path).map_err(|mount| mount.point);
        for (path, expected) in
            [("/crash/today", "/boot/today"), ("/nowhere", "/nowhere"), ("/mnt/./../boot", "/boot")]
        {
            assert_eq!(real(path).as_deref(), Ok(expected));
        }
        assert_eq!(real("/disk/crash").as_deref(), Ok("/disk/crash"), "the last mount counts");
        assert_eq!(real("/loop").as_deref(), Ok("/loop"));
        for (path, point) in [
            ("/mnt/dumps", "/mnt/dumps"),
            ("/far", "/mnt/dumps"),
            ("/crash/up/x", "/mnt/dumps"),
            ("/auto/x", "/auto"),
            ("/home", "/home"),
        ] {
            assert_eq!(real(path), Err(point.to_owned()), "{path}");
        }
    }
}

//! `[2]` The target: the device that a place is on, by an identifier that survives a boot.
//!
//! *On entry* a [`Place`]. *On exit* the task's [`Target`], and the device that it is on now. What
//! /init cannot reach, and what a dump would destroy, is refused.

use std::fmt;
use std::fs::File;
use std::path::{Component, Path, PathBuf};

use capture_init::disks::{LONGEST_ANSWER, in_time};
use capture_init::{DiskId, Filesystem, Target, signatures};

use super::disk::{self, Disk};
use super::error::{Error, Refused};
use super::place::Place;
use crate::health::dump_target::mounts::{self, Mount};
use crate::health::files::Files;

/// A target on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As /init will look for it.
    pub target: Target,
    /// The device that it is on.
    pub disk: Disk,
    /// The place, as the user named it.
    pub place: Place,
}

/// Finds the target. `Ok` means that /init can reach it with drivers alone.
pub fn find(files: Files<'_>, place: &Place) -> Result<Found, Error> {
    let by_id = |id: DiskId| Ok::<_, Error>((Disk::with_id(files, &id)?, None));
    let (disk, directory) = match place {
        Place::PartUuid(uuid) => by_id(DiskId::PartUuid(uuid.clone()))?,
        Place::Serial(serial) => by_id(DiskId::Serial(serial.clone()))?,
        Place::Device(path) => (Disk::at(files, path)?, None),
        Place::Directory(path) => {
            let (disk, filesystem, path) = directory(files, path)?;
            (disk, Some((filesystem, path)))
        }
    };
    expect_writable(files, &disk)?;
    if directory.is_none() {
        expect_free(files, &disk)?;
    }
    let id = disk.id(files)?;
    let target = match directory {
        None => Target::Raw { disk: id },
        Some((filesystem, path)) => Target::Directory { disk: id, filesystem, path },
    };
    Ok(Found { target, disk, place: place.clone() })
}

/// The device that an armed /init would find now. `Ok` means that /init would use it: it is the
/// only one with the identifier, and it holds what it held when the image was loaded.
pub fn expect(files: Files<'_>, target: &Target) -> Result<Disk, Error> {
    let (Target::Raw { disk: id } | Target::Directory { disk: id, .. }) = target;
    let disk = Disk::with_id(files, id)?;
    expect_writable(files, &disk)?;
    match target {
        Target::Raw { .. } => expect_free(files, &disk)?,
        Target::Directory { filesystem, .. } => expect_filesystem(files, &disk, *filesystem)?,
    }
    Ok(disk)
}

/// Refuses a device that needs more than drivers, or cannot be written to.
fn expect_writable(files: Files<'_>, disk: &Disk) -> Result<(), Refused> {
    disk.expect_hardware(files)?;
    match disk.is_read_only(files) {
        true => Err(Refused::ReadOnly { device: disk.node() }),
        false => Ok(()),
    }
}

/// Refuses a device that has lost the filesystem that /init mounts.
fn expect_filesystem(files: Files<'_>, disk: &Disk, filesystem: Filesystem) -> Result<(), Error> {
    let (expected, name) = match filesystem {
        Filesystem::Ext4 => (signatures::EXT, "ext4"),
        Filesystem::Xfs => (signatures::XFS, "xfs"),
    };
    let path = files.outside(disk.node());
    let node = path.clone();
    let looked = in_time(LONGEST_ANSWER, move || {
        let device = File::open(node)?;
        match signatures::holds(&device, expected)? {
            true => Ok(None),
            false => Ok(Some(signatures::content(&device)?.unwrap_or("nothing"))),
        }
    });
    let looked = looked.ok_or_else(|| Error::Silent { path: path.clone() })?;
    match looked.map_err(|source| Error::Read { path, source })? {
        None => Ok(()),
        Some(found) => {
            Err(Refused::Reformatted { device: disk.node(), expected: name, found }.into())
        }
    }
}

/// Refuses a device with anything that a dump would destroy, except an earlier dump.
fn expect_free(files: Files<'_>, disk: &Disk) -> Result<(), Error> {
    let occupied = |what| Error::from(Refused::Occupied { device: disk.node(), what });
    if let Some(user) = disk.user(files) {
        return Err(occupied(user));
    }
    let path = files.outside(disk.node());
    let node = path.clone();
    let read = || File::open(node).and_then(|device| signatures::content(&device));
    let content = in_time(LONGEST_ANSWER, read);
    let content = content.ok_or_else(|| Error::Silent { path: path.clone() })?;
    match content.map_err(|source| Error::Read { path, source })? {
        Some(content) => Err(occupied(format!("it has {content}"))),
        None => Ok(()),
    }
}

/// The device, the filesystem, and the path below its root, of a directory.
fn directory(files: Files<'_>, directory: &Path) -> Result<(Disk, Filesystem, String), Refused> {
    let text = directory.to_str().ok_or_else(|| Refused::Missing { path: directory.into() })?;
    let refused = |mount: &Mount, reason| Refused::Filesystem {
        directory: directory.into(),
        kind: mount.kind.clone(),
        mount_point: mount.point.clone(),
        reason,
    };
    // An access to such a mount may hang.
    let path = mounts::real_path(files, text)
        .map_err(|mount| refused(&mount, "which the /init of --capture cannot reach"))?;
    if !files.exists(&path) {
        return Err(Refused::Missing { path: directory.into() });
    }
    if !files.is_directory(&path) {
        return Err(Refused::NotDirectory { path: directory.into() });
    }
    let mount = mounts::mount_of(files, &path)
        .ok_or_else(|| Refused::NoMount { directory: directory.into() })?;
    let filesystem = match mount.kind.as_str() {
        "ext4" => Filesystem::Ext4,
        "xfs" => Filesystem::Xfs,
        kind => return Err(refused(&mount, why_not(kind))),
    };
    if mount.options.split(',').any(|option| EXTERNAL.iter().any(|it| option.starts_with(it))) {
        return Err(refused(&mount, "whose log or realtime section is on another device"));
    }
    let below = below_root(&mount, Path::new(&path))
        .ok_or_else(|| refused(&mount, "from which the directory was deleted"))?;
    let name = files.real_name(&mount.device).ok();
    let disk = name.and_then(|name| Disk::named(files, &name));
    let disk = disk.ok_or_else(|| refused(&mount, "whose device is unknown"))?;
    Ok((disk, filesystem, below))
}

/// Options of mounts whose filesystem is on more than one device (`xfs_fs_show_options`,
/// fs/xfs/xfs_super.c). ext4 shows nothing of an external journal.
const EXTERNAL: [&str; 2] = ["logdev=", "rtdev="];

/// Filesystems, and why /init cannot use them.
const OTHERS: [(&str, &str); 8] = [
    ("btrfs", "which may be on several devices"),
    ("zfs", "which needs programs of its own"),
    ("bcachefs", "which may be on several devices"),
    ("overlay", "which is made of other filesystems"),
    ("tmpfs", "which is in memory: the next boot would lose the dump"),
    ("ramfs", "which is in memory: the next boot would lose the dump"),
    ("ext3", "which the /init of --capture does not mount"),
    ("vfat", "which cannot hold a file of 4 GiB"),
];

fn why_not(kind: &str) -> &'static str {
    let known = OTHERS.iter().find(|(name, _)| *name == kind);
    known.map_or("which the /init of --capture does not mount", |(_, reason)| reason)
}

/// The path below the filesystem's root, without a `/` at its ends. None if the mounted directory
/// was deleted, which mountinfo marks with `//deleted`.
fn below_root(mount: &Mount, path: &Path) -> Option<String> {
    if mount.root.ends_with("//deleted") {
        return None;
    }
    let below = path.strip_prefix(&mount.point).ok()?;
    let full: PathBuf = [Path::new(&mount.root), below].iter().collect();
    let parts: Option<Vec<&str>> = full
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().to_str())
        .collect();
    Some(parts?.join("/"))
}

impl fmt::Display for Found {
    /// What was chosen, as a sentence for the user.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.disk.node();
        let node = node.display();
        match &self.target {
            Target::Raw { disk } => {
                write!(out, "the dump goes to {} (now {node})", disk::words(disk))
            }
            Target::Directory { disk, filesystem, path } => {
                let kind = match filesystem {
                    Filesystem::Ext4 => "ext4",
                    Filesystem::Xfs => "xfs",
                };
                write!(
                    out,
                    "the dump goes to /{path} on the {kind} of {} (now {node})",
                    disk::words(disk)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;

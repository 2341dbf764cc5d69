//! `[4]` The target's filesystem.
//!
//! *On entry* a device. *On exit* it is mounted at [`MOUNTED`] for writing. Its journal is replayed
//! as after any crash: the crashed kernel no longer writes.

use std::fs;
use std::path::Path;

use capture_init::Filesystem;
use capture_init::disks::Device;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::child::{self, Job};

/// Where it is mounted.
pub const MOUNTED: &str = "/target";

/// Why it cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("{device} cannot be mounted as {filesystem}: {source}{}", cause(*source))]
pub struct NotMounted {
    device: String,
    filesystem: &'static str,
    source: Errno,
}

/// Mounts it, in a process: a damaged filesystem may be more than the kernel's driver survives.
pub fn mount_for_writing(device: &Device, filesystem: Filesystem) -> Result<(), String> {
    let job = Job::Mount { device: device.path.clone(), filesystem };
    let name = device.path.display();
    child::run(&job).unwrap_or_else(|error| Err(format!("{name} cannot be mounted: {error}")))
}

/// In the process: mounts it.
pub fn mount_here(device: &Path, filesystem: Filesystem) -> Result<(), NotMounted> {
    let filesystem = match filesystem {
        Filesystem::Ext4 => "ext4",
        Filesystem::Xfs => "xfs",
    };
    // If it cannot be made, mount(2) says so.
    let _ = fs::create_dir(MOUNTED);
    let flags = MountFlags::NOATIME | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    mount(device, Path::new(MOUNTED), filesystem, flags, None).map_err(|source| {
        let device = device.display().to_string();
        NotMounted { device, filesystem, source }
    })
}

/// The usual cause. The kernel's own words are just before in its log.
fn cause(error: Errno) -> &'static str {
    match error {
        Errno::NODEV => "; this kernel lacks the filesystem: is its module in the initrd?",
        Errno::INVAL => "; it holds another filesystem, or one with features of a newer kernel",
        // EUCLEAN: fs/ext4 and fs/xfs name damaged structures so.
        Errno::UCLEAN => "; the filesystem is damaged: run fsck or xfs_repair",
        Errno::IO => "; the disk cannot be read or written, or the journal cannot be replayed",
        Errno::ROFS | Errno::ACCESS => "; the disk is read-only",
        Errno::NOMEM => "; there is too little memory",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_filesystem_is_reported_with_what_repairs_it() {
        let error =
            NotMounted { device: "/dev/vdb1".into(), filesystem: "xfs", source: Errno::UCLEAN };
        let words = error.to_string();
        assert!(words.starts_with("/dev/vdb1 cannot be mounted as xfs: "), "{words}");
        assert!(words.ends_with("run fsck or xfs_repair"), "{words}");
    }
}

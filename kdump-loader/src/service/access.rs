//! `[0]` A lock, so that only one `service install` or `service uninstall` changes a machine at a
//! time.
//!
//! On the live machine, the lock is a file in /run that only root can open. In a disk image, it is
//! the root directory itself, so that no lock file remains there. The lock is released when the
//! process ends.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, failed};
use crate::arm::record::{lock, state};

/// The lock file of the live machine. It is not in the state directory, because the udev rule
/// treats that directory as a sign that an image was armed.
const LOCK: &str = "/run/kdump-loader-service.lock";
/// Root of the live machine.
const LIVE: &str = "/";
/// How long another process may take. It writes about ten files and waits for `systemctl
/// daemon-reload`.
const PATIENCE: Duration = Duration::from_secs(120);

/// Permission to change a machine, or only to report the changes.
#[derive(Debug)]
pub enum Access<'r> {
    /// This process holds the lock.
    Locked {
        /// The machine's root.
        root: &'r Path,
        /// The lock.
        lock: lock::HeldLock,
    },
    /// Changes are only reported.
    DryRun {
        /// The machine's root.
        root: &'r Path,
    },
}

impl<'r> Access<'r> {
    /// Waits for the lock. `says` is called before the first pause.
    pub fn lock(root: &'r Path, says: impl FnOnce(u64)) -> Result<Self, Error> {
        let (file, path) = if is_live(root) {
            (state::create_in_place(Path::new(LOCK))?, PathBuf::from(LOCK))
        } else {
            (File::open(root).map_err(failed("access", root))?, root.to_owned())
        };
        let lock = lock::wait_for_file_lock(file, path, PATIENCE, || says(PATIENCE.as_secs()))?;
        Ok(Self::Locked { root, lock })
    }

    /// The machine's root.
    pub fn root(&self) -> &'r Path {
        match self {
            Self::Locked { root, .. } | Self::DryRun { root } => root,
        }
    }

    /// Whether changes are only reported.
    pub fn is_dry_run(&self) -> bool {
        matches!(self, Self::DryRun { .. })
    }

    /// Whether the live machine is changed.
    pub fn is_live(&self) -> bool {
        !self.is_dry_run() && is_live(self.root())
    }
}

/// Whether a path leads to the live machine's root.
fn is_live(root: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(root), identity(Path::new(LIVE))), (Ok(root), Ok(live)) if root == live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_machine_is_recognized_by_other_paths() {
        let root = tempfile::tempdir().unwrap();
        for live in ["/", "/..", "/proc/self/root"] {
            assert!(is_live(Path::new(live)), "{live}");
        }
        assert!(!is_live(root.path()) && !is_live(Path::new("/proc")));
    }

    #[test]
    fn dry_run_takes_no_lock_and_two_images_can_be_changed_at_once() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let never = |_| panic!("nothing to wait for");
        let held = Access::lock(one.path(), never).unwrap();
        let _other = Access::lock(other.path(), never).unwrap();
        assert!(Access::DryRun { root: one.path() }.is_dry_run() && !held.is_dry_run());
    }
}

//! [0] One `service install` or `service uninstall` at a time on a machine.
//!
//! On the live machine the lock is a file in /run that only root can open. Below another root it is the root directory itself, so that
//! nothing is left in an image. A process that ends, in whatever way, releases it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, failed};
use crate::arm::record::{self, state};

/// The lock of the live machine. It is not in the state directory, whose presence tells udev's rule that an image was armed.
const LOCK: &str = "/run/kdump-loader-service.lock";
/// The live machine.
const LIVE: &str = "/";
/// How long another process may take: it writes some ten files and waits for `systemctl daemon-reload`.
const PATIENCE: Duration = Duration::from_secs(120);

/// The right to change a machine, or to say what would be changed.
#[derive(Debug)]
pub enum Turn<'r> {
    /// No other process changes it.
    Alone {
        /// The machine's root.
        root: &'r Path,
        /// Ends with the process.
        lock: record::Turn,
    },
    /// Nothing is changed.
    DryRun {
        /// The machine's root.
        root: &'r Path,
    },
}

impl<'r> Turn<'r> {
    /// Waits for the lock. `says` is called before the first pause.
    pub fn wait(root: &'r Path, says: impl FnOnce(u64)) -> Result<Self, Error> {
        let (file, path) = if is_live(root) {
            (state::create_in_place(Path::new(LOCK))?, PathBuf::from(LOCK))
        } else {
            (File::open(root).map_err(failed("look at", root))?, root.to_owned())
        };
        let lock = record::wait_for_file(file, path, PATIENCE, || says(PATIENCE.as_secs()))?;
        Ok(Self::Alone { root, lock })
    }

    /// The machine's root.
    pub fn root(&self) -> &'r Path {
        match self {
            Self::Alone { root, .. } | Self::DryRun { root } => root,
        }
    }

    /// Whether nothing is to be changed.
    pub fn is_dry_run(&self) -> bool {
        matches!(self, Self::DryRun { .. })
    }

    /// Whether the running machine is changed.
    pub fn is_live(&self) -> bool {
        !self.is_dry_run() && is_live(self.root())
    }
}

/// Whether a root is that of the running machine, under whatever name.
fn is_live(root: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(root), identity(Path::new(LIVE))), (Ok(root), Ok(live)) if root == live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_machine_is_known_under_other_names() {
        let root = tempfile::tempdir().unwrap();
        for live in ["/", "/..", "/proc/self/root"] {
            assert!(is_live(Path::new(live)), "{live}");
        }
        assert!(!is_live(root.path()) && !is_live(Path::new("/proc")));
    }

    #[test]
    fn dry_run_waits_for_nothing_and_two_images_are_changed_at_once() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let never = |_| panic!("nothing to wait for");
        let held = Turn::wait(one.path(), never).unwrap();
        let _other = Turn::wait(other.path(), never).unwrap();
        assert!(Turn::DryRun { root: one.path() }.is_dry_run() && !held.is_dry_run());
    }
}

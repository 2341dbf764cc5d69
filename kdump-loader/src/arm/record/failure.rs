//! The failure of the last reload, kept for `status` until a reload succeeds.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Error, absent_is_fine, boot_id, state, write_whole};

/// Below the root.
const FILE: &str = "run/kdump-loader/failed.json";

/// A reload that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Identifier of the boot.
    pub boot_id: String,
    /// Seconds since 1970.
    pub at: u64,
    /// The error.
    pub message: String,
}

/// Records that a reload has failed now.
pub fn note(root: &Path, message: String) -> Result<(), Error> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    write_whole(&root.join(FILE), &Failure { boot_id: boot_id(root)?, at, message })
}

/// Removes the failure, because a reload has succeeded.
pub fn clear(root: &Path) -> Result<(), Error> {
    let path = root.join(FILE);
    absent_is_fine(fs::remove_file(&path).map_err(|error| (error, "remove", path)))
}

/// The failure of the last reload of this boot. An unreadable one counts as none; the armed image
/// shows whether it is stale.
pub fn read(root: &Path) -> Option<Failure> {
    let failure: Failure = serde_json::from_slice(&state::read(&root.join(FILE)).ok()?).ok()?;
    (failure.boot_id == boot_id(root).ok()?).then_some(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_kept_until_a_reload_succeeds_or_the_machine_reboots() {
        let root = tempfile::tempdir().unwrap();
        let boot = root.path().join("proc/sys/kernel/random/boot_id");
        fs::create_dir_all(boot.parent().unwrap()).unwrap();
        fs::write(&boot, "one\n").unwrap();
        assert_eq!(read(root.path()), None);
        clear(root.path()).unwrap();
        note(root.path(), "no initrd".into()).unwrap();
        assert_eq!(read(root.path()).unwrap().message, "no initrd");
        fs::write(&boot, "two\n").unwrap();
        assert_eq!(read(root.path()), None);
        fs::write(&boot, "one\n").unwrap();
        clear(root.path()).unwrap();
        assert_eq!(read(root.path()), None);
    }
}

//! A folder that lasts as long as a run, for what its scenarios share.
//!
//! A killed run leaves its folder, which is large. The next run removes it. A lock shows which
//! folders are in use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Error;

/// The file in it whose lock says that it is in use.
const LOCK: &str = "lock";

#[derive(Debug)]
pub struct Shared {
    directory: TempDir,
    _lock: File,
}

impl Shared {
    /// One below `parent` whose name begins so. Others that begin so and are not in use are
    /// removed.
    pub fn below(parent: &Path, prefix: &str) -> Result<Self, Error> {
        for entry in fs::read_dir(parent).map_err(Error::file("list", parent))? {
            let path = entry.map_err(Error::file("list", parent))?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
                && is_left_behind(&path)
            {
                fs::remove_dir_all(&path).map_err(Error::file("remove", &path))?;
            }
        }
        let directory = TempDir::with_prefix_in(prefix, parent)
            .map_err(Error::file("make a directory in", parent))?;
        let path = directory.path().join(LOCK);
        let lock = File::create(&path).map_err(Error::file("create", &path))?;
        lock.lock().map_err(Error::file("lock", &path))?;
        Ok(Self { directory, _lock: lock })
    }

    pub fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Whether the lock is free. A folder that is being made has no lock file yet, and is in use.
fn is_left_behind(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_has_left_is_removed_and_what_is_in_use_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let in_use = Shared::below(parent.path(), "machines-").unwrap();
        let left = parent.path().join("machines-left");
        for path in
            [&left, &parent.path().join("machines-being-made"), &parent.path().join("scenario")]
        {
            fs::create_dir(path).unwrap();
        }
        fs::write(left.join(LOCK), "").unwrap();
        let other = Shared::below(parent.path(), "machines-").unwrap();
        assert!(!left.exists() && in_use.place(LOCK).exists() && other.place(LOCK).exists());
        drop(in_use);
        assert_eq!(
            fs::read_dir(parent.path()).unwrap().count(),
            3,
            "the other, the one being made, and the scenario"
        );
    }
}

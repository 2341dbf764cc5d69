//! Which file was read. A file that was replaced or changed has another identity.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A file's path and metadata at the time it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its path, as text.
    pub path: String,
    /// Device number and inode number.
    pub inode: (u64, u64),
    /// Its length in bytes.
    pub len: u64,
    /// Last change of its content (mtime): seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
    /// Last change of content or metadata (ctime), in the same units. Programs cannot set it.
    pub changed: (i64, i64),
}

impl FileIdentity {
    /// The identity of the file that is at `path` now.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::new(path, &fs::metadata(path)?))
    }

    /// Whether this file is still at its path, unchanged.
    pub fn is_current(&self) -> bool {
        Self::of(Path::new(&self.path)).is_ok_and(|now| now == *self)
    }

    /// The identity of an open file, from its metadata.
    pub(crate) fn new(path: &Path, metadata: &fs::Metadata) -> Self {
        Self {
            path: path.display().to_string(),
            inode: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

//! Which file the user named: two files are told apart by what the file system says of them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Which file it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its path. Text, as in the record.
    pub path: String,
    /// Device and inode number.
    pub inode: (u64, u64),
    /// Bytes.
    pub len: u64,
    /// When its content was changed: seconds since 1970 and nanoseconds.
    pub modified: (i64, i64),
    /// When it was changed in any way; unlike the other, nobody can set it.
    pub changed: (i64, i64),
}

impl FileIdentity {
    /// Of the file that is there now.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::new(path, &fs::metadata(path)?))
    }

    /// Of a file that is open.
    pub fn new(path: &Path, metadata: &fs::Metadata) -> Self {
        Self {
            path: path.display().to_string(),
            inode: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

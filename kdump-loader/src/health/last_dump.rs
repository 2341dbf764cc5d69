//! Looks for the dump of an earlier panic, where the service that saves dumps puts them.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::dump_target::{Target, device};
use super::files::Files;

/// Where kdump-tools, kdump-utils and kdump of openSUSE save dumps without other settings.
const DEFAULT: &str = "/var/crash";
/// Names of dumps: `vmcore` of kdump-utils and openSUSE, `dump.TIME` of kdump-tools.
const DUMPS: [&str; 2] = ["vmcore", "dump."];
/// Parts of the names of other files beside them.
const OTHERS: [&str; 2] = ["dmesg", ".txt"];
/// kdump-utils and kdump-tools name a dump so until it is complete.
const INCOMPLETE: &str = "incomplete";
/// Directories below the target: its own, and one or two for each dump.
const DEPTH: u32 = 2;
/// Directory entries to look at.
const MOST_ENTRIES: usize = 10_000;

/// Whether a dump was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "dump", rename_all = "snake_case")]
pub enum LastDump {
    /// A file of that time.
    Saved {
        /// Its path.
        path: String,
        /// Its length in bytes.
        len: u64,
    },
    /// Only a part was written.
    Incomplete {
        /// Its path.
        path: String,
    },
    /// The directory has no dump of that time.
    NotFound {
        /// The directory.
        directory: String,
    },
    /// The dump went to a place that was not accessed.
    Elsewhere {
        /// The place.
        place: String,
    },
}

impl LastDump {
    /// Whether a complete dump was seen.
    pub fn is_saved(&self) -> bool {
        matches!(self, Self::Saved { .. })
    }
}

/// Looks for a dump that was written from `from` to `until`, in seconds since 1970.
pub fn find(root: &Path, target: Option<&Target>, from: u64, until: u64) -> LastDump {
    let directory = match target {
        Some(Target::Directory(directory)) => directory.as_str(),
        Some(other) => return LastDump::Elsewhere { place: other.to_string() },
        None => DEFAULT,
    };
    let files = Files::new(root);
    // A file system that may hang is not accessed.
    let directory = match device::real_path(files, directory) {
        Ok(path) => path,
        Err(_) => return LastDump::Elsewhere { place: directory.to_owned() },
    };
    let mut search = Search { files, from, until, left: MOST_ENTRIES, found: None };
    search.look_in(&directory, DEPTH);
    match search.found {
        Some((_, path, _)) if path.contains(INCOMPLETE) => LastDump::Incomplete { path },
        Some((_, path, len)) => LastDump::Saved { path, len },
        None => LastDump::NotFound { directory },
    }
}

struct Search<'a> {
    files: Files<'a>,
    from: u64,
    until: u64,
    left: usize,
    /// Completeness, path and length.
    found: Option<(bool, String, u64)>,
}

impl Search<'_> {
    fn look_in(&mut self, directory: &str, depth: u32) {
        for name in self.files.names(directory) {
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            let is_dump = DUMPS.iter().any(|dump| name.starts_with(dump))
                && !OTHERS.iter().any(|other| name.contains(other));
            let file = is_dump.then(|| self.files.open(&path).ok()).flatten();
            if let Some(found) = file.and_then(|file| file.metadata().ok()) {
                let modified = found.modified().ok().and_then(|time| {
                    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
                });
                let is_of_then =
                    modified.is_some_and(|time| (self.from..=self.until).contains(&time));
                let new = (!name.contains(INCOMPLETE), path, found.len());
                if is_of_then && found.len() > 0 && self.found.as_ref().is_none_or(|old| *old < new)
                {
                    self.found = Some(new);
                }
            } else if depth > 0 {
                self.look_in(&path, depth - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn at(root: &Path, path: &str, seconds: u64) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "dump").unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn dump_of_that_time_is_found_and_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        let find = || find(root.path(), None, 1000, 2000);
        assert_eq!(find(), LastDump::NotFound { directory: "/var/crash".into() });
        at(root.path(), "var/crash/202611280000/dump.202611280000", 999);
        at(root.path(), "var/crash/202611280003/dump.202611280003", 2001);
        at(root.path(), "var/crash/202611280001/dmesg.202611280001", 1500);
        at(root.path(), "var/crash/127.0.0.1/vmcore-dmesg.txt", 1500);
        assert_eq!(find(), LastDump::NotFound { directory: "/var/crash".into() });
        at(root.path(), "var/crash/127.0.0.1/vmcore-incomplete", 1500);
        let incomplete = "/var/crash/127.0.0.1/vmcore-incomplete".into();
        assert_eq!(find(), LastDump::Incomplete { path: incomplete });
        at(root.path(), "var/crash/202611280001/dump.202611280001", 1500);
        let path = "/var/crash/202611280001/dump.202611280001".into();
        assert_eq!(find(), LastDump::Saved { path, len: 4 });
    }

    #[test]
    fn target_that_is_not_a_directory_is_not_accessed() {
        let root = tempfile::tempdir().unwrap();
        let target = Target::Network("server:/export (NFS)".into());
        let place = "server:/export (NFS)".into();
        assert_eq!(find(root.path(), Some(&target), 0, 1), LastDump::Elsewhere { place });
    }
}

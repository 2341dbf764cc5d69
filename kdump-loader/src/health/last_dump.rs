//! Looks for the dump of an earlier panic, where the service that saves dumps puts them.
//!
//! *On entry* a target, and the time in which the dump was written. *On exit* the dump, with the
//! record that the /init of `--capture` leaves beside it.

use std::path::Path;
use std::time::UNIX_EPOCH;

use capture_init::{Extent, LOG_FILE, RawHeader, Record, State};
use serde::Serialize;

use super::dump_target::{Target, device, mounts};
use super::files::Files;
use crate::capture::earlier;

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
/// Bytes of a log, at most: the kernel's own limit (`LOG_BUF_LEN_MAX`, kernel/printk/printk.c).
const MOST_LOG: u64 = 1 << 31;
/// Directory entries to look at.
const MOST_ENTRIES: usize = 10_000;

mod check; // every page of it

pub use check::Check;

/// Whether a dump was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "dump", rename_all = "snake_case")]
pub enum LastDump {
    /// A file of that time.
    Saved {
        /// Its path, or the partition that holds it.
        path: String,
        /// Its length in bytes.
        len: u64,
        /// Where it begins: 0, or an offset in a partition.
        #[serde(skip_serializing_if = "is_zero")]
        offset: u64,
        /// What /init has recorded, if `--capture` has saved it.
        #[serde(skip_serializing_if = "Option::is_none")]
        capture: Option<Box<Record>>,
        /// What reading it has shown, if that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
    },
    /// Only a part was written.
    Incomplete {
        /// Its path, or the partition that holds it.
        path: String,
        /// What /init has recorded, if it was writing it.
        #[serde(skip_serializing_if = "Option::is_none")]
        capture: Option<Box<Record>>,
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

    /// Whether reading it has shown that pages are missing or damaged.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Saved { check: Some(check), .. } if check.is_bad())
    }

    /// What the /init of `--capture` has recorded.
    pub fn capture(&self) -> Option<&Record> {
        match self {
            Self::Saved { capture, .. } | Self::Incomplete { capture, .. } => capture.as_deref(),
            Self::NotFound { .. } | Self::Elsewhere { .. } => None,
        }
    }

    /// The crashed kernel's log that /init has saved beside it.
    pub fn log(&self, root: &Path) -> Option<String> {
        let (Self::Saved { path, .. } | Self::Incomplete { path, .. }) = self else { return None };
        self.capture()?.log_bytes?;
        // Without a dump, the path is the folder's.
        let (folder, _) = path.rsplit_once('/')?;
        let log = |folder: &str| Files::new(root).read(format!("{folder}/{LOG_FILE}"), MOST_LOG);
        let bytes = log(folder).or_else(|_| log(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn is_zero(offset: &u64) -> bool {
    *offset == 0
}

/// Looks for a dump that was written from `from` to `until`, in seconds since 1970.
pub fn find(root: &Path, target: Option<&Target>, from: u64, until: u64) -> LastDump {
    let files = Files::new(root);
    let directory = match target {
        Some(Target::Directory(directory)) => directory.as_str(),
        Some(Target::Device { device, directory: None }) => {
            let found = in_partition(files, device, from, until);
            return found.unwrap_or_else(|| LastDump::Elsewhere { place: device.clone() });
        }
        Some(other) => return LastDump::Elsewhere { place: other.to_string() },
        None => DEFAULT,
    };
    // A file system that may hang is not accessed.
    let directory = match mounts::real_path(files, directory) {
        Ok(path) => path,
        Err(_) => return LastDump::Elsewhere { place: directory.to_owned() },
    };
    let mut search = Search { files, from, until, left: MOST_ENTRIES, found: None };
    search.look_in(&directory, DEPTH);
    match search.found {
        Some((_, path, len)) => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let capture = earlier::beside(files, folder).map(Box::new);
            if path.contains(INCOMPLETE) {
                LastDump::Incomplete { path, capture }
            } else {
                LastDump::Saved { path, len, offset: 0, capture, check: None }
            }
        }
        // /init may have saved the log alone.
        None => {
            let mut records = earlier::in_directory(files, &directory).into_iter();
            match records.find(|(_, record)| (from..=until).contains(&record.began)) {
                Some((path, record)) => {
                    LastDump::Incomplete { path, capture: Some(Box::new(record)) }
                }
                None => LastDump::NotFound { directory },
            }
        }
    }
}

/// What a partition that holds nothing but a dump has. None if it cannot be read, or has something
/// else.
fn in_partition(files: Files<'_>, device: &str, from: u64, until: u64) -> Option<LastDump> {
    let block = device::block_device(files, device)?;
    let node = Path::new("/dev").join(Path::new(&block).file_name()?);
    let RawHeader { dump, record, .. } = earlier::header(files, &node)?;
    let path = device.to_owned();
    if !(from..=until).contains(&record.began) {
        return Some(LastDump::NotFound { directory: path });
    }
    let capture = Some(Box::new(record.clone()));
    Some(match dump {
        Some(Extent { offset, len }) if record.state == State::Complete => {
            LastDump::Saved { path, len, offset, capture, check: None }
        }
        _ => LastDump::Incomplete { path, capture },
    })
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
    use crate::capture::example::Tree;

    const RECORD: &str = "var/crash/then/capture.json";

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
        assert_eq!(find(), LastDump::Incomplete { path: incomplete, capture: None });
        at(root.path(), "var/crash/202611280001/dump.202611280001", 1500);
        let path = "/var/crash/202611280001/dump.202611280001".into();
        let (offset, capture, check) = (0, None, None);
        assert_eq!(find(), LastDump::Saved { path, len: 4, offset, capture, check });
    }

    #[test]
    fn what_the_init_of_capture_has_recorded_is_told_with_its_dump() {
        let root = tempfile::tempdir().unwrap();
        let find = || find(root.path(), None, 1000, 2000);
        let mut record = Record::new(1400, 3000);
        record.log_bytes = Some(4);
        at(root.path(), "var/crash/then/dmesg.txt", 1500);
        at(root.path(), "var/crash/earlier/capture.json", 900);
        let json = |record: &Record| fs::write(root.path().join(RECORD), record.to_json()).unwrap();
        at(root.path(), RECORD, 1500);
        json(&record);
        // The log alone.
        let capture = Some(Box::new(record.clone()));
        let path = "/var/crash/then".to_owned();
        assert_eq!(find(), LastDump::Incomplete { path, capture });
        assert_eq!(find().log(root.path()).as_deref(), Some("dump"));
        at(root.path(), "var/crash/then/vmcore", 1500);
        record.state = State::Complete;
        json(&record);
        let LastDump::Saved { path, capture, .. } = find() else { panic!("{:?}", find()) };
        assert_eq!((&*path, capture.as_deref()), ("/var/crash/then/vmcore", Some(&record)));
        assert_eq!(find().log(root.path()).as_deref(), Some("dump"));
        // Another panic's.
        record.began = 2001;
        json(&record);
        at(root.path(), "var/crash/then/vmcore", 2001);
        assert_eq!(find(), LastDump::NotFound { directory: "/var/crash".into() });
    }

    #[test]
    fn dump_in_a_partition_is_found_by_its_header_and_its_time() {
        let tree = Tree::new();
        let target = Target::Device { device: "PARTUUID=9e2a5c11-01".into(), directory: None };
        let find = |from, until| find(tree.files().root(), Some(&target), from, until);
        let path = "PARTUUID=9e2a5c11-01".to_owned();
        assert_eq!(find(1000, 2000), LastDump::Elsewhere { place: path.clone() });
        let mut record = Record::new(1400, 3000);
        record.state = State::Complete;
        let dump = Some(Extent { offset: 1 << 20, len: 70_000 });
        let header = RawHeader { log: None, dump, record: record.clone() };
        fs::write(tree.path("dev/vdb1"), header.to_bytes()).unwrap();
        let (offset, capture, check) = (1 << 20, Some(Box::new(record)), None);
        let saved = LastDump::Saved { path: path.clone(), len: 70_000, offset, capture, check };
        assert_eq!(find(1000, 2000), saved);
        assert_eq!(find(1401, 2000), LastDump::NotFound { directory: path });
    }

    #[test]
    fn target_that_is_not_a_directory_is_not_accessed() {
        let root = tempfile::tempdir().unwrap();
        let target = Target::Network("server:/export (NFS)".into());
        let place = "server:/export (NFS)".into();
        assert_eq!(find(root.path(), Some(&target), 0, 1), LastDump::Elsewhere { place });
    }
}

//! [14] The record of what was armed: the kernel says only *that* an image is armed, this says *which*.
//!
//! *On entry* an image that the kernel has taken. *On exit* a file below /run, which a reboot empties. It is believed only while the
//! kernel still has an image and the boot is the same. The kernel does not say whose image it has: one that another loader has armed
//! over ours since then goes unnoticed.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::image::Summary;

/// Below the root.
const FILE: &str = "run/kdump-loader/armed.json";
const LOCK: &str = "run/kdump-loader/lock";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// What was armed, when and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// /proc/sys/kernel/random/boot_id at that time.
    pub boot_id: String,
    /// Seconds since 1970.
    pub armed_at: u64,
    /// The capture kernel's file.
    pub kernel: PathBuf,
    /// The initial RAM disk's file.
    pub initrd: Option<PathBuf>,
    /// Whether the kernel keeps the elfcorehdr current.
    pub hotplug: bool,
    /// The image.
    pub image: Summary,
}

/// Why the record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The record is not one.
    #[error("{} is not a record of this kdump-loader; load the image again to replace it", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// What is known about the armed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// This is it.
    Image(Box<Record>),
    /// Nobody wrote anything down: another loader armed it.
    Nothing,
    /// There is a record, of an earlier boot.
    Stale,
}

impl Record {
    /// A record of `image`, armed now.
    pub fn new(root: &Path, image: Summary, kernel: &Path, initrd: Option<&Path>, hotplug: bool) -> Result<Self, Error> {
        let armed_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (kernel, initrd) = (kernel.to_owned(), initrd.map(Path::to_owned));
        Ok(Self { boot_id: boot_id(root)?, armed_at, kernel, initrd, hotplug, image })
    }

    /// Puts it in the place of the last one, whole or not at all. Addresses are for root's eyes only, as in /proc/iomem.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(FILE);
        let directory = path.parent().expect("FILE has a directory");
        fs::create_dir_all(directory).map_err(failed("create", directory))?;
        let new = path.with_extension("new");
        let text = serde_json::to_vec_pretty(self).expect("strings and integers always serialize");
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
        file.and_then(|mut file| file.write_all(&text)).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("replace", &path))
    }
}

/// A turn at arming. Dropping it, or dying, ends it.
#[derive(Debug)]
pub struct Turn {
    _locked: fs::File,
}

/// Waits for our turn: of two loads at once, the image that is armed last must also be the one that is written down last.
pub fn wait_for_turn(root: &Path) -> Result<Turn, Error> {
    let path = root.join(LOCK);
    let directory = path.parent().expect("LOCK has a directory");
    fs::create_dir_all(directory).map_err(failed("create", directory))?;
    let file = fs::File::create(&path).map_err(failed("create", &path))?;
    file.lock().map_err(failed("lock", &path))?;
    Ok(Turn { _locked: file })
}

/// Removes the record: no image is armed any more.
pub fn forget(root: &Path) -> Result<(), Error> {
    let path = root.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// What is known about the image that is armed now. The caller has asked the kernel whether one is.
pub fn read(root: &Path) -> Result<Known, Error> {
    let path = root.join(FILE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Known::Nothing),
        text => text.map_err(failed("read", &path))?,
    };
    let record: Record = serde_json::from_slice(&text).map_err(|source| Error::Garbled { path, source })?;
    if record.boot_id == boot_id(root)? { Ok(Known::Image(Box::new(record))) } else { Ok(Known::Stale) }
}

fn boot_id(root: &Path) -> Result<String, Error> {
    let path = root.join(BOOT_ID);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    Ok(text.trim_end().to_owned())
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::image::SpanSummary;

    fn boot(root: &Path, boot_id: &str) {
        let path = root.join(BOOT_ID);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, boot_id).unwrap();
    }

    fn record(root: &Path) -> Record {
        let nowhere = SpanSummary { start: 0, len: 0 };
        let image = Summary {
            identity: "00".into(),
            entry: 1,
            crash_region: nowhere,
            segments: Vec::new(),
            regions: Vec::new(),
            block: nowhere,
            leaf_table: nowhere,
            leaf_size: 4096,
            command_line: String::new(),
            report: nowhere,
            engine: "soft".into(),
            console_port: None,
            on_corrupt: "halt".into(),
            reset_delay_ms: 0,
        };
        Record::new(root, image, Path::new("/boot/vmlinuz"), None, true).unwrap()
    }

    #[test]
    fn record_of_this_boot_is_believed() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "aaaa\n");
        let record = record(root.path());
        record.write(root.path()).unwrap();
        record.write(root.path()).unwrap();
        assert_eq!(read(root.path()).unwrap(), Known::Image(Box::new(record)));
        let mode = fs::metadata(root.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds physical addresses");
    }

    #[test]
    fn record_of_an_earlier_boot_is_not() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "aaaa\n");
        record(root.path()).write(root.path()).unwrap();
        boot(root.path(), "bbbb\n");
        assert_eq!(read(root.path()).unwrap(), Known::Stale);
    }

    #[test]
    fn forgotten_record_is_no_record() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "aaaa\n");
        forget(root.path()).unwrap();
        record(root.path()).write(root.path()).unwrap();
        forget(root.path()).unwrap();
        assert_eq!(read(root.path()).unwrap(), Known::Nothing);
    }

    #[test]
    fn turns_are_taken_one_after_another() {
        let root = tempfile::tempdir().unwrap();
        let turn = wait_for_turn(root.path()).unwrap();
        let other = fs::File::open(root.path().join(LOCK)).unwrap();
        assert!(matches!(other.try_lock(), Err(fs::TryLockError::WouldBlock)));
        drop(turn);
        assert!(other.try_lock().is_ok());
    }

    #[test]
    fn damaged_record_is_named() {
        let root = tempfile::tempdir().unwrap();
        boot(root.path(), "aaaa\n");
        record(root.path()).write(root.path()).unwrap();
        let path = root.path().join(FILE);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(read(root.path()).unwrap_err().to_string().contains("armed.json"));
    }
}

//! [14] The record of what was armed: the kernel says only *that* an image is armed, this says *which*.
//!
//! *On entry* an image that the kernel has taken. *On exit* a file below /run, which a reboot empties. It is believed only while the
//! kernel still has an image and the boot is the same. The kernel does not say whose image it has; [`crate::hotplug::outdated`] finds out most that
//! another loader has armed over ours since then.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::findings::recorded::RecordedAdvice;
use loader::describe::listing::Listing;
use loader::image::Summary;
use loader::phys::PhysRange;

pub mod failure;
pub mod origin;
pub mod state;

use origin::Origin;

/// Below the root.
const FILE: &str = "run/kdump-loader/armed.json";
const SET_ASIDE: &str = "run/kdump-loader/armed.json.aside";
const LOCK: &str = "run/kdump-loader/lock";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// The shape of the record.
pub const VERSION: u32 = 1;

/// How long another kdump-loader may take: it may wait for the kernel's lock itself ([`loader::submit`]), more than once.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at the lock.
const PAUSE: Duration = Duration::from_millis(100);

/// What was armed, when and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The shape of this file, [`VERSION`].
    #[serde(default)]
    pub version: u32,
    /// /proc/sys/kernel/random/boot_id at that time.
    pub boot_id: String,
    /// Seconds since 1970.
    pub armed_at: u64,
    /// The capture kernel's file. Text, and not a path: JSON has no room for bytes that are none.
    pub kernel: String,
    /// The initial RAM disk's file.
    #[serde(default)]
    pub initrd: Option<String>,
    /// Whether the kernel kept the elfcorehdr current when it was armed.
    #[serde(default)]
    pub hotplug: bool,
    /// The system call that armed it.
    #[serde(default)]
    pub call: Call,
    /// What the kernel was given as the capture kernel's command line, where it made the image itself.
    #[serde(default)]
    pub command_line: Option<String>,
    /// The image, where the loader made it.
    #[serde(default)]
    pub image: Option<Summary>,
    /// What it was made from.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// What its elfcorehdr listed when it was armed.
    #[serde(default)]
    pub listing: Option<Listing>,
    /// What `load` warned about when it was armed ([`crate::findings::advice`]).
    #[serde(default)]
    pub advice: Vec<RecordedAdvice>,
}

/// The system call that armed an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// kexec_load(2), with an image of the loader's.
    #[default]
    KexecLoad,
    /// kexec_file_load(2), with one of the kernel's.
    KexecFileLoad,
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
    /// Another process does not end.
    #[error(
        "another kdump-loader still holds the lock {} after {} s; find its process with fuser -v on that file, then try again",
        path.display(), waited.as_secs()
    )]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The record is not one.
    #[error("{} is not a valid record; load the image again to replace it", path.display())]
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
    /// Nothing is written down: another loader armed it, or this one could not write, or was killed before it did.
    Nothing,
    /// There is a record, of an earlier boot.
    Stale,
}

impl Record {
    /// A record of `image`, armed now.
    pub fn new(root: &Path, image: Summary, kernel: &Path, initrd: Option<&Path>, hotplug: bool) -> Result<Self, Error> {
        let record = Self::by_kernel(root, String::new(), kernel, initrd, hotplug)?;
        Ok(Self { call: Call::KexecLoad, command_line: None, image: Some(image), ..record })
    }

    /// A record of an image that the kernel has made of these files, armed now.
    pub fn by_kernel(
        root: &Path,
        command_line: String,
        kernel: &Path,
        initrd: Option<&Path>,
        hotplug: bool,
    ) -> Result<Self, Error> {
        let armed_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (kernel, initrd) = (kernel.display().to_string(), initrd.map(|initrd| initrd.display().to_string()));
        let (call, command_line) = (Call::KexecFileLoad, Some(command_line));
        Ok(Self {
            version: VERSION,
            boot_id: boot_id(root)?,
            armed_at,
            kernel,
            initrd,
            hotplug,
            call,
            command_line,
            image: None,
            origin: None,
            listing: None,
            advice: Vec::new(),
        })
    }

    /// With what can be compared later on: what it was made from, and of what machine.
    pub fn made(self, origin: Origin, listing: Option<Listing>, advice: Vec<RecordedAdvice>) -> Self {
        Self { origin: Some(origin), listing, advice, ..self }
    }

    /// The physical address of its elfcorehdr: its segment's, or where the kernel's loader puts it, at the start of the crash region, from which it
    /// fills it upwards (`load_crashdump_segments`, arch/x86/kernel/crash.c).
    pub fn elfcorehdr(&self, crash_region: Option<PhysRange>) -> Option<u64> {
        match (&self.image, self.call) {
            (Some(image), _) => image.segments.iter().find(|segment| segment.name == "elfcorehdr").map(|segment| segment.start),
            (None, Call::KexecFileLoad) => crash_region.map(|region| region.start()),
            (None, Call::KexecLoad) => None,
        }
    }

    /// Puts it in the place of the last one, whole or not at all. Addresses are for root's eyes only, as in /proc/iomem.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        write_whole(&root.join(FILE), self)?;
        let aside = root.join(SET_ASIDE);
        absent_is_fine(fs::remove_file(&aside).map_err(|error| (error, "remove", aside)))
    }
}

/// Writes a state file in JSON, whole or not at all, readable by root only.
pub fn write_whole(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    state::replace(path, &serde_json::to_vec_pretty(content).expect("strings and integers always serialize"))
}

/// A turn at arming. Dropping it, or dying, ends it.
#[derive(Debug)]
pub struct Turn {
    _locked: File,
}

/// Waits for our turn, no longer than `patience`: of two loads at once, the image that is armed last must also be the one that is
/// written down last. `says` is called before the first pause.
pub fn wait_for_turn(root: &Path, patience: Duration, says: impl FnOnce()) -> Result<Turn, Error> {
    wait_for_lock(root.join(LOCK), patience, says)
}

/// The same for another lock file. Only root can open it: a user who could would keep this machine without a dump.
pub fn wait_for_lock(path: PathBuf, patience: Duration, says: impl FnOnce()) -> Result<Turn, Error> {
    let file = state::create(&path)?;
    wait_for_file(file, path, patience, says)
}

/// The same for a file or directory that is open already.
pub fn wait_for_file(file: File, path: PathBuf, patience: Duration, says: impl FnOnce()) -> Result<Turn, Error> {
    let begin = Instant::now();
    let mut says = Some(says);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Turn { _locked: file }),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
            Err(TryLockError::WouldBlock) if begin.elapsed() >= patience => return Err(Error::Busy { path, waited: patience }),
            Err(TryLockError::WouldBlock) => {
                says.take().into_iter().for_each(|says| says());
                thread::sleep(PAUSE.min(patience));
            }
        }
    }
}

/// Whether somebody holds a lock.
pub fn is_locked(path: &Path) -> bool {
    state::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Moves the record out of sight: whoever is killed while the kernel changes images must not leave one that tells of the old image.
/// What such a one has left out of sight tells of an image that is long gone, so it is removed first.
pub fn set_aside(root: &Path) -> Result<(), Error> {
    let (path, aside) = (root.join(FILE), root.join(SET_ASIDE));
    absent_is_fine(fs::remove_file(&aside).map_err(|error| (error, "remove", aside.clone())))?;
    absent_is_fine(fs::rename(&path, aside).map_err(|error| (error, "set aside", path)))
}

/// Undoes [`set_aside`]: the image it tells of is still armed.
pub fn restore(root: &Path) -> Result<(), Error> {
    let path = root.join(SET_ASIDE);
    absent_is_fine(fs::rename(&path, root.join(FILE)).map_err(|error| (error, "restore", path)))
}

/// Removes the record: no image is armed any more.
pub fn forget(root: &Path) -> Result<(), Error> {
    for file in [FILE, SET_ASIDE] {
        let path = root.join(file);
        absent_is_fine(fs::remove_file(&path).map_err(|error| (error, "remove", path)))?;
    }
    Ok(())
}

pub(crate) fn absent_is_fine(result: Result<(), (std::io::Error, &'static str, PathBuf)>) -> Result<(), Error> {
    match result {
        Err((error, action, path)) if error.kind() != ErrorKind::NotFound => Err(failed(action, &path)(error)),
        _ => Ok(()),
    }
}

/// What is known about the image that is armed now. The caller has asked the kernel whether one is.
pub fn read(root: &Path) -> Result<Known, Error> {
    let path = root.join(FILE);
    let text = match state::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Known::Nothing),
        text => text.map_err(failed("read", &path))?,
    };
    let record: Record = serde_json::from_slice(&text).map_err(|source| Error::Garbled { path, source })?;
    if record.boot_id == boot_id(root)? { Ok(Known::Image(Box::new(record))) } else { Ok(Known::Stale) }
}

/// Which boot this is.
pub fn boot_id(root: &Path) -> Result<String, Error> {
    let path = root.join(BOOT_ID);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    Ok(text.trim_end().to_owned())
}

pub(crate) fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;

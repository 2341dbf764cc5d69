//! `[14]` The record of the armed image. The kernel only reports *that* an image is armed; the
//! record says *which*.
//!
//! *On entry* an image that the kernel has loaded. *On exit* a file below /run, which a reboot
//! empties. The record is valid during the same boot, while an image is armed. If another loader
//! has replaced the image, [`crate::hotplug::outdated`] usually notices.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loader::describe::listing::Listing;
use loader::image::Summary;
use loader::phys::PhysRange;
use serde::{Deserialize, Serialize};

use crate::findings::recorded::RecordedAdvice;

pub mod failure;
pub mod lock; // of two processes that arm or reload, one waits
pub mod origin;
pub mod state;

use origin::Origin;

/// Below the root.
const FILE: &str = "run/kdump-loader/armed.json";
const SET_ASIDE: &str = "run/kdump-loader/armed.json.aside";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// Version of the record's format.
pub const VERSION: u32 = 1;

/// An armed image: what, when and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the format, [`VERSION`].
    #[serde(default)]
    pub version: u32,
    /// /proc/sys/kernel/random/boot_id at that time.
    pub boot_id: String,
    /// Seconds since 1970.
    pub armed_at: u64,
    /// The capture kernel's file, as text, because JSON cannot hold arbitrary bytes.
    pub kernel: String,
    /// The initrd's file.
    #[serde(default)]
    pub initrd: Option<String>,
    /// Whether the kernel updated the elfcorehdr when the image was armed.
    #[serde(default)]
    pub hotplug: bool,
    /// The system call that armed it.
    #[serde(default)]
    pub call: Call,
    /// The capture kernel's command line, if the kernel built the image.
    #[serde(default)]
    pub command_line: Option<String>,
    /// The image, if the loader built it.
    #[serde(default)]
    pub image: Option<Summary>,
    /// What it was made from.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// The contents of its elfcorehdr when it was armed.
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
    /// kexec_load(2); the loader built the image.
    #[default]
    KexecLoad,
    /// kexec_file_load(2); the kernel built the image.
    KexecFileLoad,
}

/// Why a state file could not be written, read or locked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The action.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds the lock for too long.
    #[error(
        "another kdump-loader still holds the lock {} after {} s; find its process with fuser -v \
         on that file, then try again",
        path.display(), waited.as_secs()
    )]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long this process has waited.
        waited: Duration,
    },
    /// The record cannot be parsed.
    #[error("{} is not a valid record; load the image again to replace it", path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// What the record says about the armed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The record of the image.
    Image(Box<Record>),
    /// There is no record: another loader armed the image, or this one could not write the record.
    Nothing,
    /// The record is from an earlier boot.
    Stale,
}

impl Record {
    /// A record of `image`, armed now.
    pub fn new(
        root: &Path,
        image: Summary,
        kernel: &Path,
        initrd: Option<&Path>,
        hotplug: bool,
    ) -> Result<Self, Error> {
        let record = Self::by_kernel(root, String::new(), kernel, initrd, hotplug)?;
        Ok(Self { call: Call::KexecLoad, command_line: None, image: Some(image), ..record })
    }

    /// A record of an image that the kernel has built from these files, armed now.
    pub fn by_kernel(
        root: &Path,
        command_line: String,
        kernel: &Path,
        initrd: Option<&Path>,
        hotplug: bool,
    ) -> Result<Self, Error> {
        let armed_at =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (kernel, initrd) =
            (kernel.display().to_string(), initrd.map(|initrd| initrd.display().to_string()));
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

    /// Adds what later comparisons need: what the image was made from, and the machine.
    pub fn made(
        self,
        origin: Origin,
        listing: Option<Listing>,
        advice: Vec<RecordedAdvice>,
    ) -> Self {
        Self { origin: Some(origin), listing, advice, ..self }
    }

    /// The physical address of its elfcorehdr. The kernel's loader places it at the start of the
    /// crash region, which it fills upwards (`load_crashdump_segments`, arch/x86/kernel/crash.c).
    pub fn elfcorehdr(&self, crash_region: Option<PhysRange>) -> Option<u64> {
        match (&self.image, self.call) {
            (Some(image), _) => image
                .segments
                .iter()
                .find(|segment| segment.name == "elfcorehdr")
                .map(|segment| segment.start),
            (None, Call::KexecFileLoad) => crash_region.map(|region| region.start()),
            (None, Call::KexecLoad) => None,
        }
    }

    /// Replaces the previous record atomically. Only root can read it, because it has physical
    /// addresses, as /proc/iomem does.
    pub fn write(&self, root: &Path) -> Result<(), Error> {
        write_whole(&root.join(FILE), self)?;
        let aside = root.join(SET_ASIDE);
        absent_is_fine(fs::remove_file(&aside).map_err(|error| (error, "remove", aside)))
    }
}

/// Writes a state file in JSON atomically, readable by root only.
pub fn write_whole(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    state::replace(
        path,
        &serde_json::to_vec_pretty(content).expect("strings and integers always serialize"),
    )
}

/// Moves the record aside: if this process is killed while the kernel replaces the image, no record
/// of the old image remains. An older record that a killed process has moved aside is removed
/// first.
pub fn set_aside(root: &Path) -> Result<(), Error> {
    let (path, aside) = (root.join(FILE), root.join(SET_ASIDE));
    absent_is_fine(fs::remove_file(&aside).map_err(|error| (error, "remove", aside.clone())))?;
    absent_is_fine(fs::rename(&path, aside).map_err(|error| (error, "set aside", path)))
}

/// Undoes [`set_aside`], because the old image is still armed.
pub fn restore(root: &Path) -> Result<(), Error> {
    let path = root.join(SET_ASIDE);
    absent_is_fine(fs::rename(&path, root.join(FILE)).map_err(|error| (error, "restore", path)))
}

/// Removes the record, because its image is no longer armed.
pub fn forget(root: &Path) -> Result<(), Error> {
    for file in [FILE, SET_ASIDE] {
        let path = root.join(file);
        absent_is_fine(fs::remove_file(&path).map_err(|error| (error, "remove", path)))?;
    }
    Ok(())
}

pub(crate) fn absent_is_fine(
    result: Result<(), (std::io::Error, &'static str, PathBuf)>,
) -> Result<(), Error> {
    match result {
        Err((error, action, path)) if error.kind() != ErrorKind::NotFound => {
            Err(failed(action, &path)(error))
        }
        _ => Ok(()),
    }
}

/// Reads the record of the armed image. The caller has checked that an image is armed.
pub fn read(root: &Path) -> Result<Known, Error> {
    let path = root.join(FILE);
    let text = match state::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Known::Nothing),
        text => text.map_err(failed("read", &path))?,
    };
    let record: Record =
        serde_json::from_slice(&text).map_err(|source| Error::Garbled { path, source })?;
    if record.boot_id == boot_id(root)? {
        Ok(Known::Image(Box::new(record)))
    } else {
        Ok(Known::Stale)
    }
}

/// Identifier of the current boot.
pub fn boot_id(root: &Path) -> Result<String, Error> {
    let path = root.join(BOOT_ID);
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    Ok(text.trim_end().to_owned())
}

pub(crate) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;

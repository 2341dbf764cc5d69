//! Whether the armed image is up to date, that is, whether a new load would lead to the same dump.
//! The elfcorehdr may list removed memory that the /init of `--capture` leaves out.
//!
//! *On entry*
//! - the armed image: the record, and the elfcorehdr in memory
//! - the machine as it is now
//! - the options that are wanted now
//!
//! *On exit* every reason why the image is out of date; none if it is up to date.

use std::collections::BTreeSet;
use std::fmt;
use std::mem::offset_of;
use std::path::Path;

use handoff::{Block, DIGEST_LEN};
use loader::describe::listing::Listing;
use loader::image::{SpanSummary, hex};
use loader::machine::{self, CrashHotplug, Error, Present};
use loader::phys::PhysRange;
use serde::Serialize;

use crate::arm::record::origin::{Origin, PROGRAM, SECTION_LEN};
use crate::arm::record::{Call, Known, Record};
use crate::options::config::FilePolicy;

/// One reason why the armed image is out of date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Nothing is armed.
    NotArmed,
    /// The armed image is unknown.
    Unknown {
        /// Why.
        because: Unknown,
    },
    /// Memory was added, and would not be dumped.
    #[serde(rename = "memory_came")]
    MemoryAdded {
        /// Its addresses.
        range: SpanSummary,
    },
    /// Memory was removed, and the capture kernel would look for it.
    #[serde(rename = "memory_left")]
    MemoryRemoved {
        /// Its addresses.
        range: SpanSummary,
    },
    /// A memory block was removed, and the elfcorehdr cannot be read to check for it.
    BlockRemoved {
        /// Its number.
        block: u64,
    },
    /// A CPU was added, and its registers would not be dumped.
    #[serde(rename = "cpu_came")]
    CpuAdded {
        /// Its number.
        cpu: u32,
    },
    /// A file that the image was made from has changed.
    FileChanged {
        /// The option that names it.
        what: String,
        /// Its path.
        path: String,
    },
    /// A file that the image was made from no longer exists.
    FileGone {
        /// The option that names it.
        what: String,
        /// Its path.
        path: String,
    },
    /// An option has changed.
    OptionChanged {
        /// The config's key.
        key: String,
    },
    /// The config selects the other system call.
    CallChanged,
    /// The target of `--capture` is on another device, or cannot be used any more.
    TargetChanged {
        /// The option's value.
        target: String,
    },
    /// A watchdog is running that the /init of `--capture` would not feed.
    WatchdogStarted {
        /// Its name.
        name: String,
    },
    /// The user forced the reload.
    Forced,
}

/// Why the armed image is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Another loader armed it, or this one could not write a record.
    NoRecord,
    /// The record is from an earlier boot.
    EarlierBoot,
    /// The record cannot be read.
    Unreadable,
    /// An older loader wrote the record and recorded less.
    OlderRecord,
    /// Another loader has replaced the image.
    Replaced,
}

impl fmt::Display for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoRecord => "there is no record of it",
            Self::EarlierBoot => "the record is from an earlier boot",
            Self::Unreadable => "the record cannot be read",
            Self::OlderRecord => {
                "the record, from an older loader, does not say what it was made from"
            }
            Self::Replaced => "another loader has replaced the recorded image",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotArmed => write!(out, "nothing is armed"),
            Self::Unknown { because } => write!(out, "the armed image is unknown: {because}"),
            Self::MemoryAdded { range } => {
                write!(out, "memory {range} was added and is not in the list of memory to dump")
            }
            Self::MemoryRemoved { range } => {
                write!(out, "memory {range} was removed and is still in the list of memory to dump")
            }
            Self::BlockRemoved { block } => write!(out, "memory block {block} was removed"),
            Self::CpuAdded { cpu } => {
                write!(out, "CPU {cpu} was added, and the dump would lack its registers")
            }
            Self::FileChanged { what, .. } if what == PROGRAM => {
                write!(out, "this program has changed since it armed the image")
            }
            Self::FileChanged { what, path } => {
                write!(out, "the {what} changed: {path} is not the file that was loaded")
            }
            Self::FileGone { what, path } => {
                write!(out, "the {what} is gone: {path} no longer exists")
            }
            Self::OptionChanged { key } => write!(out, "the config's `{key}` changed"),
            Self::CallChanged => {
                write!(out, "the config's `file` changed: another system call must arm the image")
            }
            Self::TargetChanged { target } => {
                write!(
                    out,
                    "the dump's target {target} is not where it was when the image was loaded"
                )
            }
            Self::WatchdogStarted { name } => write!(
                out,
                "the watchdog {name} was started after the image was loaded, and may reset the \
                 machine before the dump is complete"
            ),
            Self::Forced => write!(out, "a reload was forced"),
        }
    }
}

/// The armed image, as far as it is known.
#[derive(Clone, Debug)]
pub struct Armed {
    /// Its record.
    pub record: Box<Record>,
    /// The current contents of its elfcorehdr, if memory can be read.
    pub listing: Option<Listing>,
    /// Whether the kernel updates the elfcorehdr; needed if that cannot be read.
    pub hotplug: CrashHotplug,
    /// Another image is armed than the recorded one: the kernel does not update it as recorded, or
    /// the recorded seal is not in memory. An image that keeps both is not noticed.
    pub replaced: bool,
}

impl Armed {
    /// Combines the record and the memory of the machine below `root`. crash_hotplug is read only
    /// if it matters: the kernel takes its kexec lock for the answer, and a panic while it is held
    /// leaves no dump.
    pub fn find(root: &Path, record: Box<Record>, present: &Present) -> Result<Self, Error> {
        let listing =
            record.elfcorehdr(present.crash_region).and_then(|start| Listing::read(root, start));
        let hotplug = match (record.hotplug, &listing) {
            (true, _) => CrashHotplug::read_patiently(root)?,
            (false, None) => CrashHotplug::read(root)?,
            (false, Some(_)) => CrashHotplug { cpu: None, memory: None },
        };
        let replaced = is_replaced(root, &record) || (record.hotplug && !hotplug.complete());
        Ok(Self { record, listing, hotplug, replaced })
    }

    /// Differences between the machine and the image's elfcorehdr, as it is in memory. If that
    /// cannot be read, as it was recorded: if the kernel updates it, additions are in it by now,
    /// but removed ranges stay.
    ///
    /// Removed memory is no reason if /init will leave it out: a reload would gain nothing, and
    /// leaves nothing armed while it copies the image.
    pub fn machine_reasons(&self, present: &Present, removed: &[u64]) -> Vec<Reason> {
        if self.replaced {
            return vec![Reason::Unknown { because: Unknown::Replaced }];
        }
        let mut reasons = Vec::new();
        let Some(listing) = self.listing.as_ref().or(self.record.listing.as_ref()) else {
            return vec![Reason::Unknown { because: Unknown::OlderRecord }];
        };
        let difference = listing.difference(present);
        let follows = |answer: Option<bool>| self.listing.is_none() && answer == Some(true);
        let (memory, cpu) = (follows(self.hotplug.memory), follows(self.hotplug.cpu));
        let span = |range: &PhysRange| SpanSummary::from(*range);
        let origin = self.record.origin.as_ref();
        let skips_removed = origin.is_some_and(|origin| origin.skips_removed_memory);
        let is_reason = |range: &&PhysRange| !(skips_removed && is_absent(range, present));
        let removed_ranges = difference.memory_removed.iter().filter(is_reason).map(span);
        reasons.extend(removed_ranges.map(|range| Reason::MemoryRemoved { range }));
        if self.listing.is_none() && !skips_removed {
            reasons.extend(removed.iter().map(|&block| Reason::BlockRemoved { block }));
        }
        if !memory {
            let added = difference.memory_added.iter().map(span);
            reasons.extend(added.map(|range| Reason::MemoryAdded { range }));
        }
        if !cpu {
            reasons.extend(difference.cpus_added.iter().map(|&cpu| Reason::CpuAdded { cpu }));
        }
        reasons
    }

    /// Differences between the wanted options and files and those that were armed.
    pub fn wish_reasons(&self, wished: &Origin, file: FilePolicy) -> Vec<Reason> {
        let Some(origin) = &self.record.origin else {
            return vec![Reason::Unknown { because: Unknown::OlderRecord }];
        };
        let mut reasons = Vec::new();
        let by_file = self.record.call == Call::KexecFileLoad;
        if (file == FilePolicy::Never && by_file) || (file == FilePolicy::Always && !by_file) {
            reasons.push(Reason::CallChanged);
        }
        let keys: BTreeSet<&String> = origin.options.keys().chain(wished.options.keys()).collect();
        for key in keys {
            if origin.options.get(key) != wished.options.get(key) {
                reasons.push(Reason::OptionChanged { key: key.clone() });
            }
        }
        let capture = wished.options.get("capture");
        let is_elsewhere = !wished.is_silent && origin.target != wished.target;
        if origin.options.get("capture") == capture && is_elsewhere {
            reasons.push(Reason::TargetChanged { target: capture.cloned().unwrap_or_default() });
        }
        let is_new = |name: &&String| !origin.watchdogs.contains(name);
        let started = wished.watchdogs.iter().filter(is_new).cloned();
        reasons.extend(started.map(|name| Reason::WatchdogStarted { name }));
        let wished = wished.clone().with_initrd_of(origin);
        // If the option names another file now, the option has changed, not the file.
        for (what, identity) in &origin.files {
            let renamed = origin.options.get(what) != wished.options.get(what);
            if renamed || wished.files.get(what) == Some(identity) {
                continue;
            }
            let (what, path) = (what.clone(), identity.path.clone());
            // A running program's file may be gone while another has taken its place.
            let gone = what != PROGRAM && matches!(Path::new(&path).try_exists(), Ok(false));
            reasons.push(match gone {
                true => Reason::FileGone { what, path },
                false => Reason::FileChanged { what, path },
            });
        }
        reasons
    }
}

/// Whether the kernel's list of sections lacks this range that was removed. It has a range that a
/// device took instead, such as a DIMM of CXL that became `devdax` (drivers/dax/device.c).
fn is_absent(range: &PhysRange, present: &Present) -> bool {
    let has_whole_sections =
        range.start().is_multiple_of(SECTION_LEN) && range.end().is_multiple_of(SECTION_LEN);
    has_whole_sections && !present.devices.iter().any(|device| range.contains(*device))
}

/// Whether the seal in the purgatory's block, which is the image's identity, differs from the
/// recorded one.
fn is_replaced(root: &Path, record: &Record) -> bool {
    let Some(image) = &record.image else { return false };
    let Some(block) = &image.by_block else { return false };
    let seal =
        PhysRange::with_len(block.block.start + offset_of!(Block, seal) as u64, DIGEST_LEN as u64);
    let read = seal.and_then(|seal| machine::read_memory(root, seal).ok());
    read.is_some_and(|seal| hex(&seal) != image.identity)
}

/// The record of the armed image, or why the image is unknown.
pub fn known(read: Result<Known, crate::arm::record::Error>) -> Result<Box<Record>, Unknown> {
    match read {
        Ok(Known::Image(record)) => Ok(record),
        Ok(Known::Nothing) => Err(Unknown::NoRecord),
        Ok(Known::Stale) => Err(Unknown::EarlierBoot),
        Err(_) => Err(Unknown::Unreadable),
    }
}

#[cfg(test)]
mod tests;

//! Whether the armed image is up to date: whether an image that was made now would be the same.
//!
//! *On entry* what is armed, by the kernel and by the record; what is there, and what is asked for. *On exit* every reason why it is out of date, in
//! words that a person understands; none if it is up to date.

use std::collections::BTreeSet;
use std::fmt;
use std::mem::offset_of;
use std::path::Path;

use handoff::{Block, DIGEST_LEN};
use serde::Serialize;

use crate::arm::record::origin::{Origin, PROGRAM};
use crate::arm::record::{Call, Known, Record};
use crate::options::config::FilePolicy;
use loader::describe::listing::Listing;
use loader::image::{SpanSummary, hex};
use loader::machine::{self, CrashHotplug, Error, Present};
use loader::phys::PhysRange;

/// One reason why the armed image is out of date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Nothing is.
    NotArmed,
    /// What is armed is not known.
    Unknown {
        /// Why not.
        because: Unknown,
    },
    /// It would not be dumped.
    MemoryCame {
        /// Where.
        range: SpanSummary,
    },
    /// It would be looked for, and is not there.
    MemoryLeft {
        /// Where.
        range: SpanSummary,
    },
    /// A memory block was removed, and whether the elfcorehdr still has it cannot be seen.
    BlockRemoved {
        /// Its number.
        block: u64,
    },
    /// Its registers would be missing.
    CpuCame {
        /// Its number.
        cpu: u32,
    },
    /// A file that the image was made from is another one now.
    FileChanged {
        /// The option that names it.
        what: String,
        /// Where it is.
        path: String,
    },
    /// Something else is wished for.
    OptionChanged {
        /// The config's key.
        key: String,
    },
    /// Another system call is wished for.
    CallChanged,
    /// It was asked for.
    Forced,
}

/// Why nothing is known about the armed image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Another loader armed it, or this one could not write or was killed before it did.
    NoRecord,
    /// The record is of an earlier boot.
    EarlierBoot,
    /// The record cannot be read.
    Unreadable,
    /// The record was written by a loader that wrote down less.
    OlderRecord,
    /// Another loader has armed another image since.
    Replaced,
}

impl fmt::Display for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoRecord => "no record of it",
            Self::EarlierBoot => "the record is from an earlier boot",
            Self::Unreadable => "the record cannot be read",
            Self::OlderRecord => "the record does not say what it was made from",
            Self::Replaced => "another loader has replaced this loader's image",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotArmed => write!(out, "nothing is armed"),
            Self::Unknown { because } => write!(out, "which image is armed is unknown: {because}"),
            Self::MemoryCame { range } => write!(out, "memory {range} was added and is not in the list of memory to dump"),
            Self::MemoryLeft { range } => write!(out, "memory {range} was removed and is still in the list of memory to dump"),
            Self::BlockRemoved { block } => write!(out, "memory block {block} was removed"),
            Self::CpuCame { cpu } => write!(out, "CPU {cpu} was added, and the dump would lack its registers"),
            Self::FileChanged { what, .. } if what == PROGRAM => write!(out, "this program has changed since it armed the image"),
            Self::FileChanged { what, path } => write!(out, "the {what} changed: {path} is not the file that was loaded"),
            Self::OptionChanged { key } => write!(out, "the config's `{key}` changed"),
            Self::CallChanged => write!(out, "the config's `file` changed: another system call must arm the image"),
            Self::Forced => write!(out, "a reload was forced"),
        }
    }
}

/// What is armed, as far as it can be found out.
#[derive(Clone, Debug)]
pub struct Armed {
    /// What was written down.
    pub record: Box<Record>,
    /// What the elfcorehdr lists now, read out of memory.
    pub listing: Option<Listing>,
    /// Whether the kernel keeps it current; of interest where it cannot be read.
    pub hotplug: CrashHotplug,
    /// Another image is armed than was written down: it does not stay current as that one did, or what it is recognised by is not in its place.
    /// One that leaves that place alone and stays current, too, goes unnoticed.
    pub replaced: bool,
}

impl Armed {
    /// From the record, and the memory of the machine below `root`. The kernel is asked whether it keeps the header current only where the answer
    /// tells something: it takes its kexec lock for that, and a panic in that moment would leave no dump.
    pub fn find(root: &Path, record: Box<Record>, present: &Present) -> Result<Self, Error> {
        let listing = record.elfcorehdr(present.crash_region).and_then(|start| Listing::read(root, start));
        let hotplug = match (record.hotplug, &listing) {
            (true, _) => CrashHotplug::read_patiently(root)?,
            (false, None) => CrashHotplug::read(root)?,
            (false, Some(_)) => CrashHotplug { cpu: None, memory: None },
        };
        let replaced = is_replaced(root, &record) || (record.hotplug && !hotplug.complete());
        Ok(Self { record, listing, hotplug, replaced })
    }

    /// What of the machine the image does not know. What the header lists now decides if it can be read. If not, what it listed when it was
    /// armed does; the kernel has added what came since if it said that it does, but has taken nothing out.
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
        let left = difference.memory_left.iter().map(span);
        reasons.extend(left.map(|range| Reason::MemoryLeft { range }));
        if self.listing.is_none() {
            reasons.extend(removed.iter().map(|&block| Reason::BlockRemoved { block }));
        }
        if !memory {
            let came = difference.memory_came.iter().map(span);
            reasons.extend(came.map(|range| Reason::MemoryCame { range }));
        }
        if !cpu {
            reasons.extend(difference.cpus_came.iter().map(|&cpu| Reason::CpuCame { cpu }));
        }
        reasons
    }

    /// What is wished for and is not what was armed.
    pub fn wish_reasons(&self, wished: &Origin, file: FilePolicy) -> Vec<Reason> {
        let Some(origin) = &self.record.origin else { return vec![Reason::Unknown { because: Unknown::OlderRecord }] };
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
        // A file that another option names now is not the same file that changed.
        for (what, identity) in &origin.files {
            let renamed = origin.options.get(what) != wished.options.get(what);
            if !renamed && wished.files.get(what) != Some(identity) {
                reasons.push(Reason::FileChanged { what: what.clone(), path: identity.path.clone() });
            }
        }
        reasons
    }
}

/// Whether something else lies where our purgatory's block should: its seal is the image's identity.
fn is_replaced(root: &Path, record: &Record) -> bool {
    let Some(image) = &record.image else { return false };
    let Some(block) = &image.by_block else { return false };
    let seal = PhysRange::with_len(block.block.start + offset_of!(Block, seal) as u64, DIGEST_LEN as u64);
    let read = seal.and_then(|seal| machine::read_memory(root, seal).ok());
    read.is_some_and(|seal| hex(&seal) != image.identity)
}

/// What is known, or why it is not.
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

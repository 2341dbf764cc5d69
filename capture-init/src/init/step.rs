//! What is done with the crashed kernel's memory, and how it ends.
//!
//! Each step runs in a process of its own. If it panics or runs out of memory, /init survives and
//! takes the next step.

use std::fmt;
use std::io;
use std::path::PathBuf;

use capture_init::{Dump, DumpLevel};
use serde::{Deserialize, Serialize};

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The crashed kernel's log, as text.
    Log,
    /// A dump by makedumpfile, with these arguments.
    Makedumpfile(Vec<String>),
    /// A dump by our own filter.
    Filter(DumpLevel),
    /// A copy of /proc/vmcore.
    Copy,
}

/// Where a step writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// A file, which is made, or a partition.
    pub path: PathBuf,
    /// The first byte. A file begins with 0.
    pub offset: u64,
    /// Bytes that there are from `offset` on.
    pub room: u64,
    /// Whether it is a partition, which keeps its length and its old content.
    pub is_partition: bool,
}

/// A step's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// The log is written.
    Log {
        /// Bytes of text.
        bytes: u64,
        /// The crashed kernel's release.
        kernel: Option<String>,
        /// The line that announced the crash.
        crash: Option<String>,
    },
    /// The dump is written.
    Dump {
        /// What it is.
        dump: Dump,
        /// What is not as it was asked for.
        troubles: Vec<String>,
    },
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened, in words.
    pub words: String,
    /// Whether the target is the cause. Then another way of dumping would fail as well.
    pub is_target: bool,
}

impl Trouble {
    /// The target is full, or cannot be written or read.
    pub fn of_target(words: impl fmt::Display) -> Self {
        Self { words: words.to_string(), is_target: true }
    }

    /// Something else: the vmcore, the filter, memory.
    pub fn of_step(words: impl fmt::Display) -> Self {
        Self { words: words.to_string(), is_target: false }
    }

    /// The target, for reasons of an I/O error.
    pub fn target(what: &str) -> impl Fn(io::Error) -> Self {
        move |error| Self::of_target(format_args!("{what}: {error}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Log => "the crashed kernel's log",
            Self::Makedumpfile(_) => "the dump by makedumpfile",
            Self::Filter(DumpLevel::All) => "the dump of all pages",
            Self::Filter(DumpLevel::NoZeroes) => "the dump without pages of zeroes",
            Self::Filter(DumpLevel::NoFreeOrZeroes) => "the dump without free pages",
            Self::Copy => "the unfiltered copy",
        })
    }
}

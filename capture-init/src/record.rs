//! The record of one capture: what was saved, when, and in how much memory.
//!
//! /init writes it when a dump begins, and again when it ends. A record that says
//! [`State::Writing`] belongs to a capture that was interrupted.

use serde::{Deserialize, Serialize};

/// Version of [`Record`].
pub const RECORD_VERSION: u32 = 1;

/// Files in the folder of a dump. There is no other.
pub const LOG_FILE: &str = "dmesg.txt";
/// The dump.
pub const DUMP_FILE: &str = "vmcore";
/// The dump while it is being written.
pub const INCOMPLETE_DUMP_FILE: &str = "vmcore.incomplete";
/// An unfiltered copy while it is being written.
pub const UNFILTERED_DUMP_FILE: &str = "vmcore.unfiltered.incomplete";
/// The record, as JSON.
pub const RECORD_FILE: &str = "capture.json";

/// What is known of one capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// How far it got.
    pub state: State,
    /// When /init began, in seconds since 1970, by the machine's clock.
    pub began: u64,
    /// Release of the crashed kernel, from its VMCOREINFO.
    pub kernel: Option<String>,
    /// Bytes of the crashed kernel's log, as text.
    pub log_bytes: Option<u64>,
    /// The dump, once it is complete.
    pub dump: Option<Dump>,
    /// When what happened.
    pub times: Times,
    /// How much memory it took.
    pub memory: Memory,
    /// What did not go as planned, in words, in order.
    pub troubles: Vec<String>,
}

/// How far a capture got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being written, or was interrupted.
    Writing,
    /// The dump is on the medium.
    Complete,
    /// A part of the dump is on the medium, and the crashed kernel's log if `log_bytes` says so.
    Incomplete,
}

/// A complete dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// The format.
    pub format: Format,
    /// Bytes of the file, or in the partition.
    pub bytes: u64,
    /// Which pages it has. Unknown if makedumpfile wrote it.
    pub pages: Option<Pages>,
}

/// The format of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// kdump-compressed, by /init.
    KdumpCompressed,
    /// An unfiltered copy of /proc/vmcore, which is an ELF core file.
    Elf,
    /// Whatever the task's makedumpfile wrote.
    Makedumpfile,
}

/// How many pages a dump has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// Pages of /proc/vmcore.
    pub all: u64,
    /// Free pages, which were left out.
    pub free: u64,
    /// Pages with broken memory, which were left out.
    pub poisoned: u64,
    /// Pages of a balloon, or of memory that the guest had not accepted, which were left out.
    #[serde(default)]
    pub offline: u64,
    /// Pages of memory that had been removed from the machine, which were left out.
    #[serde(default)]
    pub absent: u64,
    /// Pages of zeroes.
    pub zeroes: u64,
    /// Pages with data of their own.
    pub saved: u64,
    /// Pages that could not be read.
    pub unreadable: u64,
}

/// Milliseconds since the capture kernel started, by CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// /init began.
    pub init_ms: u64,
    /// The target was found and could be written.
    pub target_ms: Option<u64>,
    /// Writing the dump began.
    pub dump_ms: Option<u64>,
    /// The dump was on the medium.
    pub saved_ms: Option<u64>,
}

/// Memory of the capture kernel, from /proc/meminfo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// MemTotal. The kernel's image and its tables are not in it.
    pub total_kib: u64,
    /// The lowest MemAvailable that was seen.
    pub lowest_available_kib: u64,
}

impl Record {
    /// A capture that begins.
    pub fn new(began: u64, init_ms: u64) -> Self {
        Self {
            version: RECORD_VERSION,
            state: State::Writing,
            began,
            kernel: None,
            log_bytes: None,
            dump: None,
            times: Times { init_ms, ..Times::default() },
            memory: Memory::default(),
            troubles: Vec::new(),
        }
    }

    /// The bytes of [`RECORD_FILE`].
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a record has no map and no foreign type")
    }
}

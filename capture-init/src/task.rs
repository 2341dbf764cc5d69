//! The task: which modules /init loads, where the dump goes, and within which limits.
//!
//! On entry: the loader has chosen a target. On exit: a file in the initrd, JSON, that /init
//! accepts only in the version it knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Path of the task in the initrd.
pub const TASK_PATH: &str = "/task.json";

/// Path of makedumpfile in the initrd.
pub const MAKEDUMPFILE_PATH: &str = "/bin/makedumpfile";

/// Directory of its libraries in the initrd, each with the name by which it is asked for. There is
/// no cache of ldconfig(8), so /init names the directory to ld.so.
pub const LIBRARIES_PATH: &str = "/lib";

/// Version of [`Task`]. /init is embedded in the loader, so both always have the same one; a
/// different one means that the initrd was put together by hand.
pub const TASK_VERSION: u32 = 1;

/// What to do about an [`InvalidTask`].
pub const INVALID_TASK_HELP: &str = "make the initrd with `kdump-loader load --capture`";

/// All that /init needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// [`TASK_VERSION`].
    pub version: u32,
    /// Modules in the order in which they are loaded, as paths in the initrd, such as
    /// `/modules/virtio_blk.ko.xz`. The kernel decompresses them (CONFIG_MODULE_DECOMPRESS).
    pub modules: Vec<String>,
    /// The parameters of those modules that get any, by their paths, as finit_module(2) takes them.
    pub parameters: BTreeMap<String, String>,
    /// Where the dump goes.
    pub target: Target,
    /// What is left out of it.
    pub level: DumpLevel,
    /// Seconds from the start of /init after which the machine is reset. None: no limit.
    pub timeout_seconds: Option<u32>,
    /// Which earlier dumps stay. Meaningless for a raw partition, which has one dump.
    pub keep: Keep,
    /// Whether /init runs the program at [`MAKEDUMPFILE_PATH`] before its own filter, and with
    /// which arguments before the two files.
    pub makedumpfile: Option<Vec<String>>,
    /// Watchdogs that ran when the image was armed, by the names that their drivers give them in
    /// `identity` (Documentation/ABI/testing/sysfs-class-watchdog). Their modules are among
    /// [`Self::modules`].
    pub watchdogs: Vec<String>,
}

/// Where the dump goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Target {
    /// A whole partition or disk that holds nothing else.
    Raw {
        /// Which one.
        disk: DiskId,
    },
    /// A directory on a filesystem. Each dump is a folder in it.
    Directory {
        /// The partition or disk that holds the filesystem.
        disk: DiskId,
        /// The filesystem's type.
        filesystem: Filesystem,
        /// Path below the filesystem's root, without a `/` at its beginning or end.
        path: String,
    },
}

/// How a block device is found again. Never by a name such as `sda1`, which depends on the order
/// in which disks are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum DiskId {
    /// Unique GUID of a GPT partition, or `SIGNATURE-NUMBER` of an MSDOS partition, both in
    /// lower case.
    PartUuid(String),
    /// Serial number of a whole disk, without blanks at its ends.
    Serial(String),
}

/// The type of a filesystem, as mount(2) and /proc/filesystems write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// ext4.
    Ext4,
    /// xfs.
    Xfs,
}

/// What is left out of a dump, with makedumpfile's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DumpLevel {
    /// 0: nothing.
    All,
    /// 1: pages of zeroes.
    NoZeroes,
    /// 17: free pages and pages of zeroes.
    NoFreeOrZeroes,
}

/// Which earlier dumps stay in the directory. The oldest go first, and only after the new one is
/// complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// At most this many dumps, with the new one. At least 1.
    pub count: u32,
    /// At most this many bytes of dumps, with the new one, which stays in any case. None: no limit.
    pub bytes: Option<u64>,
}

/// The file is not a task.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTask {
    /// It is not JSON of this form.
    #[error("{TASK_PATH} is not a task of /init: {0}; {INVALID_TASK_HELP}")]
    Json(#[from] serde_json::Error),
    /// It was written for another /init.
    #[error(
        "{TASK_PATH} has version {found}, and this /init knows {TASK_VERSION}; {INVALID_TASK_HELP}"
    )]
    Version {
        /// The version in the file.
        found: u32,
    },
}

impl Task {
    /// The file's bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a task has no map and no foreign type")
    }

    /// Reads the file's bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidTask> {
        /// Only what every version has.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != TASK_VERSION {
            return Err(InvalidTask::Version { found: version });
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            version: TASK_VERSION,
            modules: vec!["/modules/virtio_blk.ko.xz".into()],
            parameters: [("/modules/virtio_blk.ko.xz".into(), "queue_depth=64".into())].into(),
            target: Target::Raw { disk: DiskId::PartUuid("0011".into()) },
            level: DumpLevel::NoFreeOrZeroes,
            timeout_seconds: None,
            keep: Keep { count: 3, bytes: None },
            makedumpfile: None,
            watchdogs: vec!["iTCO_wdt".into()],
        }
    }

    #[test]
    fn task_is_read_as_it_was_written() {
        assert_eq!(Task::from_json(&task().to_json()).unwrap(), task());
    }

    #[test]
    fn task_of_another_version_is_refused() {
        let other = Task { version: TASK_VERSION + 1, ..task() };
        let error = Task::from_json(&other.to_json()).unwrap_err();
        assert!(matches!(error, InvalidTask::Version { found: 2 }), "{error}");
    }
}

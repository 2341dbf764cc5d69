//! Why there is no initrd for `--capture`: messages that a user reads.

use std::path::PathBuf;

use capture_init::disks::{LONGEST_ANSWER, NotFound, TableError};
use loader::files::read;

/// What to do about a target that this program's /init cannot reach.
const OTHER_WAY: &str = "choose a directory on ext4 or xfs, or a partition, on a local disk; or \
                         use an initrd of the distribution, which can save there (--initrd FILE \
                         in place of --capture)";

/// Why a place cannot be the target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The path does not exist.
    #[error("{} does not exist; create it, or name another place with --capture", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path below /dev is no block device.
    #[error("{} is not a block device; name a partition, a disk or a directory", path.display())]
    NotBlock {
        /// The path.
        path: PathBuf,
    },
    /// The path is no directory.
    #[error("{} is not a directory; name a directory, or a device below /dev", path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
    },
    /// The device has nothing by which it can be found again.
    #[error(
        "{} has no {what} by which the capture kernel could find it: names such as this one may \
         change at every boot; use a partition of a GPT",
        device.display()
    )]
    Anonymous {
        /// Its node.
        device: PathBuf,
        /// What it lacks.
        what: &'static str,
    },
    /// It needs more than drivers.
    #[error(
        "{} is {kind}, which the /init of --capture cannot set up; {OTHER_WAY}",
        device.display()
    )]
    Stacked {
        /// Its node.
        device: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The directory is on a filesystem that /init cannot mount.
    #[error(
        "{} is on {kind} (mounted at {mount_point}), {reason}; {OTHER_WAY}",
        directory.display()
    )]
    Filesystem {
        /// The directory.
        directory: PathBuf,
        /// The filesystem's type.
        kind: String,
        /// Where it is mounted.
        mount_point: String,
        /// Why it cannot be mounted.
        reason: &'static str,
    },
    /// No mount's options show this, and /init could not name the journal's device.
    #[error(
        "the ext4 on {} has its journal on another device, which the /init of --capture cannot set \
         up; {OTHER_WAY}",
        device.display()
    )]
    ExternalJournal {
        /// The filesystem's node.
        device: PathBuf,
    },
    /// The directory is on no mount that is known.
    #[error(
        "the filesystem of {} is unknown: /proc/self/mountinfo lists none",
        directory.display()
    )]
    NoMount {
        /// The directory.
        directory: PathBuf,
    },
    /// Something else is on a device that the dump would overwrite.
    #[error(
        "{} is in use or holds data: {what}. The dump overwrites a device that is named in \
         --capture; name a directory instead, or another partition, or clear the first MiB of this \
         one with dd",
        device.display()
    )]
    Occupied {
        /// Its node.
        device: PathBuf,
        /// What is on it.
        what: String,
    },
    /// The filesystem that was the target when the image was loaded is no longer on it.
    #[error(
        "{} has no {expected} any more, but {found}: it was formatted after the image was loaded",
        device.display()
    )]
    Reformatted {
        /// Its node.
        device: PathBuf,
        /// The filesystem's type.
        expected: &'static str,
        /// What is on it.
        found: &'static str,
    },
    /// Nothing can be written to it.
    #[error("{} is read-only; name another place with --capture", device.display())]
    ReadOnly {
        /// Its node.
        device: PathBuf,
    },
}

/// Why the modules cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Modules {
    /// The kernel's file does not say which kernel it is.
    #[error(
        "{} does not say its release, so its modules cannot be found; use the bzImage that the \
         distribution installs",
        kernel.display()
    )]
    NoRelease {
        /// The file.
        kernel: PathBuf,
    },
    /// The kernel's modules are not installed.
    #[error(
        "the modules of the capture kernel are not on this machine: {} is missing or cannot be \
         read; install the modules of Linux {release}, or arm a kernel whose modules are installed",
        path.display()
    )]
    NotInstalled {
        /// The capture kernel's release.
        release: String,
        /// A file of them that is missing.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The kernel has no such driver.
    #[error(
        "Linux {release} has no {what} ({name}), neither built in nor as a module, so it cannot \
         write to the target; arm another kernel, or name another target"
    )]
    Missing {
        /// The capture kernel's release.
        release: String,
        /// `driver` or `filesystem`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A module's file cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// A module's file cannot be unpacked.
    #[error("the module {} cannot be decompressed", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Why makedumpfile cannot be put into the initrd.
#[derive(Debug, thiserror::Error)]
pub enum Makedumpfile {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The program's path leads nowhere.
    #[error("cannot use {}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file has no bit for execution.
    #[error(
        "{} is not executable; set its mode with chmod +x, or name another program with \
         --makedumpfile",
        path.display()
    )]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The file is a script, or for another machine.
    #[error(
        "{} is not a program for x86-64 in the ELF format; name makedumpfile itself, not a script \
         that starts it",
        path.display()
    )]
    NotProgram {
        /// The file.
        path: PathBuf,
    },
    /// The file is another program.
    #[error(
        "{} is not makedumpfile: a version of makedumpfile is not in it; name another program with \
         --makedumpfile",
        path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// A library is not on this machine.
    #[error(
        "{} needs {library}, which is not a library for x86-64 in any of these: {searched}; \
         install it, or leave --makedumpfile out",
        path.display()
    )]
    Missing {
        /// The program or library that needs it.
        path: PathBuf,
        /// Its name.
        library: String,
        /// The directories, in order.
        searched: String,
    },
    /// The built-in filter has no such level.
    #[error(
        "dump level {level} needs makedumpfile: add --makedumpfile PROGRAM, or use --dump-level \
         17, 1 or 0"
    )]
    Level {
        /// The level.
        level: u8,
    },
}

/// Why there is no initrd.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place cannot be the target.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No device has this identifier, or several have it.
    #[error(transparent)]
    Device(#[from] NotFound),
    /// The target's first bytes cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Its node.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The disk did not answer in time.
    #[error(
        "{} does not answer for {} s, so its content is unknown; the kernel's messages may say why",
        path.display(),
        LONGEST_ANSWER.as_secs()
    )]
    Silent {
        /// Its node.
        path: PathBuf,
    },
    /// The table that has the target's PARTUUID cannot be read, or is damaged.
    #[error("the PARTUUID of the target is unknown: the partition table of {}", path.display())]
    Table {
        /// The disk's node.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TableError,
    },
    /// The modules cannot be put together.
    #[error(transparent)]
    Modules(#[from] Modules),
    /// makedumpfile cannot be put into it.
    #[error(transparent)]
    Makedumpfile(#[from] Makedumpfile),
    /// The program was built without /init.
    #[error(
        "this kdump-loader was built without the /init of --capture: use --initrd FILE, or build \
         the program with `cargo xtask build`"
    )]
    NoInit,
}

impl Error {
    /// Whether a disk that does not answer is the cause: then nothing is known of the target.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Device(NotFound::Silent { .. }))
    }
}

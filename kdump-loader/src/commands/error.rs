//! Why a command failed, and what is armed afterwards: the messages that a user reads.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::arm::record;
use crate::hotplug::removal;
use crate::options::config;
use crate::options::embedded::NotEmbedded;
use loader::admit::preflight;
use loader::files;
use loader::files::read;
use loader::kernel;
use loader::machine;
use loader::phys::PhysRange;
use loader::purgatory;
use loader::submit;
use loader::submit::firmware::Firmware;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image cannot be built.
    #[error(transparent)]
    Build(#[from] loader::Error),
    /// The machine cannot be read or saved.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// The kernel would reject an image.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// kexec_load(2) failed.
    #[error("{refusal}{hint}; {aftermath}")]
    Refused {
        /// Why.
        refusal: submit::Error,
        /// How this machine's firmware explains it.
        hint: Hint,
        /// What is armed now.
        aftermath: Aftermath,
    },
    /// kexec_file_load(2) failed.
    #[error("{refusal}{hint}; {aftermath}")]
    FileRefused {
        /// Why.
        refusal: submit::file::Error,
        /// How this machine's firmware explains it.
        hint: Hint,
        /// What is armed now.
        aftermath: Aftermath,
    },
    /// The kernel would not find a dm-crypt key that it is configured to hand over.
    #[error(transparent)]
    Keys(#[from] submit::keys::Error),
    /// The kernel does not say whether an image is armed.
    #[error(transparent)]
    Armed(machine::Error),
    /// The window of addresses is empty.
    #[error("--mem-min={mem_min:#x} is above --mem-max={mem_max:#x}; swap them")]
    NoWindow {
        /// The lowest address.
        mem_min: u64,
        /// The highest.
        mem_max: u64,
    },
    /// The file does not have the type that --type names.
    #[error("{} is a {}, not a {expected}; correct --type or leave it out", path.display(), found.unwrap_or("file of unknown type"))]
    Format {
        /// The file.
        path: PathBuf,
        /// The requested type.
        expected: &'static str,
        /// The type of the file.
        found: Option<&'static str>,
    },
    /// The call concerns reboots, and there is no other kexec.
    #[error("{0}")]
    NoOtherKexec(String),
    /// The other kexec cannot be run.
    #[error("cannot run {}, the kexec for reboots; set KDUMP_LOADER_KEXEC=FILE to use another", program.display())]
    Elsewhere {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another kdump-loader holds the lock for too long.
    #[error(transparent)]
    Lock(record::Error),
    /// The image is armed, but standard output failed.
    #[error("armed {identity}, but could not print the result")]
    ArmedButNotPrinted {
        /// The image's identity.
        identity: String,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// A reload failed before the system call.
    #[error("the reload failed; {aftermath}")]
    Reload {
        /// What is armed now.
        aftermath: Aftermath,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The config cannot be read, or has an error.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The kernel announced the removal of memory, but still lists it.
    #[error(
        "the kernel reported memory {range} as removed, but /proc/iomem still lists it after {} s; the next reload checks again",
        removal::PATIENCE.as_secs()
    )]
    NotReleased {
        /// Where it is.
        range: PhysRange,
    },
    /// The kernel's device events cannot be received.
    #[error("cannot receive the kernel's device events (netlink, NETLINK_KOBJECT_UEVENT); a sandbox may forbid it")]
    Watch {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is not a kernel that can be loaded.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// This program has no embedded purgatory.
    #[error(transparent)]
    NotEmbedded(#[from] NotEmbedded),
    /// A file is not a purgatory that can be loaded.
    #[error(transparent)]
    Purgatory(#[from] purgatory::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The capture kernel and its initrd cannot be read, or cannot fit.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// This program's own file cannot be read.
    #[error("cannot read this program's own file, {}", path.display())]
    Program {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// memfd_create(2) or a write to its file failed.
    #[error("cannot create an in-memory file for the {what}")]
    InMemory {
        /// What the file is for.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The service could not be installed, uninstalled or checked.
    #[error(transparent)]
    Service(#[from] crate::service::Error),
    /// A file is missing or differs, or another service arms.
    #[error("{problems} problem{}; `kdump-loader service install` installs what is missing", if *problems == 1 { "" } else { "s" })]
    NotInstalled {
        /// How many findings are problems.
        problems: usize,
    },
    /// The files are in place, but systemd or udev was not notified.
    #[error("the files are in place, but `{command}` failed ({ended}); run it yourself, or reboot")]
    System {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
        /// Why it could not be run.
        #[source]
        source: Option<io::Error>,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The kernel rejected an image.
    pub fn refused(root: &Path, refusal: submit::Error, aftermath: Aftermath) -> Self {
        let hint = Hint(Firmware::read(root).about_load(&refusal));
        Self::Refused { refusal, hint, aftermath }
    }

    /// The kernel rejected files.
    pub fn file_refused(root: &Path, refusal: submit::file::Error, aftermath: Aftermath) -> Self {
        let hint = Hint(Firmware::read(root).about_file_load(&refusal));
        Self::FileRefused { refusal, hint, aftermath }
    }
}

/// A remark about this machine's firmware, if it explains the failure.
#[derive(Debug)]
pub struct Hint(Option<&'static str>);

impl Hint {
    /// No remark.
    pub const NONE: Self = Self(None);
}

impl fmt::Display for Hint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |words| write!(out, "; {words}"))
    }
}

/// What is armed after a failed load. The kernel may free the old image before it checks the new
/// one.
#[derive(Debug)]
pub enum Aftermath {
    /// The old image.
    StillArmed,
    /// Nothing.
    Disarmed,
    /// The kernel does not say.
    Unknown,
}

impl fmt::Display for Aftermath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::StillArmed => "the previous image is still armed",
            Self::Disarmed => "no image is armed now, so a panic would leave no dump",
            Self::Unknown => "whether an image is still armed is unknown",
        })
    }
}

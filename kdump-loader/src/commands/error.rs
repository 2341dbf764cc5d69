//! Why a command could not do what it should, and what is armed then: the words that a person reads.

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

/// Why a command could not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no image.
    #[error(transparent)]
    Build(#[from] loader::Error),
    /// The machine cannot be read or saved.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// The kernel would not take an image.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// The kernel did not take it, or did not let go.
    #[error("{refusal}{hint}; {aftermath}")]
    Refused {
        /// Why.
        refusal: submit::Error,
        /// What this machine's firmware has to do with it.
        hint: Hint,
        /// What is armed now.
        aftermath: Aftermath,
    },
    /// The kernel did not take the files, or did not let go.
    #[error("{refusal}{hint}; {aftermath}")]
    FileRefused {
        /// Why.
        refusal: submit::file::Error,
        /// What this machine's firmware has to do with it.
        hint: Hint,
        /// What is armed now.
        aftermath: Aftermath,
    },
    /// The kernel would not find a key that it is asked to hand over.
    #[error(transparent)]
    Keys(#[from] submit::keys::Error),
    /// The kernel does not say whether an image is armed.
    #[error(transparent)]
    Armed(machine::Error),
    /// Nothing lies between the two.
    #[error("--mem-min={mem_min:#x} lies above --mem-max={mem_max:#x}; exchange them")]
    NoWindow {
        /// The lowest address.
        mem_min: u64,
        /// The highest.
        mem_max: u64,
    },
    /// The file is not of the type that was asked for.
    #[error("{} is no {expected} but a {}", path.display(), found.unwrap_or("file of no known type"))]
    Format {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: &'static str,
        /// What it is.
        found: Option<&'static str>,
    },
    /// It is about reboots, and there is no other kexec.
    #[error("{0}")]
    NotOurs(String),
    /// The other kexec cannot be run.
    #[error("cannot run {}, the kexec for what is about reboots; KDUMP_LOADER_KEXEC=FILE names another", program.display())]
    Elsewhere {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another kdump-loader does not end.
    #[error(transparent)]
    Turn(record::Error),
    /// The image is armed, but whoever asked for it could not be told.
    #[error("armed {identity}, but that could not be printed")]
    ArmedUntold {
        /// Of the image.
        identity: String,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The armed image could not be made true.
    #[error("the armed image could not be made true; {aftermath}")]
    Reload {
        /// What is armed now.
        aftermath: Aftermath,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The config is none.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Memory that the kernel said it removes is still there.
    #[error(
        "{range}, of which the kernel said that it is removed, is still in /proc/iomem after {} s: the next reload looks again",
        removal::PATIENCE.as_secs()
    )]
    NotReleased {
        /// Where it is.
        range: PhysRange,
    },
    /// The kernel's events cannot be had.
    #[error("cannot listen to the kernel's events of devices (netlink, NETLINK_KOBJECT_UEVENT); a sandbox may forbid it")]
    Watch {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is no kernel.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// There is no purgatory in this program.
    #[error(transparent)]
    NotEmbedded(#[from] NotEmbedded),
    /// A file is no purgatory.
    #[error(transparent)]
    Purgatory(#[from] purgatory::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The capture kernel and its initrd cannot be read, or cannot fit.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// This program cannot be read.
    #[error("cannot read the program itself, {}", path.display())]
    Program {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file in memory cannot be made.
    #[error("cannot make a file in memory for the {what}")]
    InMemory {
        /// What it should hold.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The service could not be installed, taken away or looked at.
    #[error(transparent)]
    Service(#[from] crate::service::Error),
    /// Something of the service is missing or differs, or somebody else arms.
    #[error("{wrong} of {of} findings ask for something to be done; `kdump-loader service install` puts right what is missing")]
    NotInstalled {
        /// How many.
        wrong: usize,
        /// Of how many.
        of: usize,
    },
    /// The files are in place, but systemd or udev does not know.
    #[error("the files are as they shall be, but `{command}` {ended}; run it by hand, or restart the machine")]
    System {
        /// What was called.
        command: String,
        /// What became of it.
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
    /// The kernel refused an image.
    pub fn refused(root: &Path, refusal: submit::Error, aftermath: Aftermath) -> Self {
        let hint = Hint(Firmware::read(root).about_load(&refusal));
        Self::Refused { refusal, hint, aftermath }
    }

    /// The kernel refused files.
    pub fn file_refused(root: &Path, refusal: submit::file::Error, aftermath: Aftermath) -> Self {
        let hint = Hint(Firmware::read(root).about_file_load(&refusal));
        Self::FileRefused { refusal, hint, aftermath }
    }
}

/// A sentence about this very machine, if there is one.
#[derive(Debug)]
pub struct Hint(Option<&'static str>);

impl Hint {
    /// There is none.
    pub const NONE: Self = Self(None);
}

impl fmt::Display for Hint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |words| write!(out, "; {words}"))
    }
}

/// What is armed after the kernel refused: it may have freed the old image before it looked at the new one.
#[derive(Debug)]
pub enum Aftermath {
    /// The old image is.
    StillArmed,
    /// Nothing is.
    Disarmed,
    /// The kernel does not say.
    Unknown,
}

impl fmt::Display for Aftermath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::StillArmed => "the image that was armed before is still armed",
            Self::Disarmed => "no image is armed now, so a panic would leave no dump",
            Self::Unknown => "whether an image is still armed could not be read",
        })
    }
}

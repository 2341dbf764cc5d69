//! Why nothing was armed, and what is armed afterwards: messages that a user reads.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use loader::admit::preflight;
use loader::files;
use loader::files::read;
use loader::machine;
use loader::submit;
use loader::submit::firmware::Firmware;

use super::record;
use crate::capture;
use crate::options::embedded::NotEmbedded;

/// Why nothing was armed or disarmed.
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
    /// An image is armed, and whether the kernel accepts its replacement cannot be tried before.
    #[error(
        "whether the kernel accepts these files cannot be tried before it frees the armed image: \
         a kernel to reboot into is loaded, or kernel.kexec_load_limit_reboot is set; unload that \
         kernel (kexec -u), or disarm first (kdump-loader unload); {}",
        Aftermath::StillArmed
    )]
    NotRehearsed,
    /// A reload would replace an image by files of which one is from another release.
    #[error("{mismatch}; {}", Aftermath::StillArmed)]
    Mismatch {
        /// What does not belong together.
        mismatch: String,
    },
    /// The kernel would not find a dm-crypt key that it is configured to hand over.
    #[error(transparent)]
    Keys(#[from] submit::keys::Error),
    /// The kernel does not say whether an image is armed.
    #[error(transparent)]
    Armed(machine::Error),
    /// The file does not have the type that --type names.
    #[error(
        "{} is a {}, not a {expected}; correct --type or leave it out",
        path.display(), found.unwrap_or("file of unknown type")
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The requested type.
        expected: &'static str,
        /// The type of the file.
        found: Option<&'static str>,
    },
    /// Another kdump-loader holds the lock for too long.
    #[error(transparent)]
    Lock(record::Error),
    /// This program has no embedded purgatory.
    #[error(transparent)]
    NotEmbedded(#[from] NotEmbedded),
    /// The initrd of `--capture` cannot be made.
    #[error(transparent)]
    Capture(#[from] capture::Error),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The capture kernel and its initrd cannot be read, or cannot fit.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// memfd_create(2) or a write to its file failed.
    #[error("cannot create an in-memory file for the {what}")]
    InMemory {
        /// What the file is for.
        what: &'static str,
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

//! Why a machine could not be read, or its snapshot could not be written.

use std::io;
use std::path::PathBuf;

use super::no_reservation::Cause;
use super::open::Refusal;

/// Why a machine could not be read, or its snapshot could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A required file is missing.
    #[error("{} is missing: {absent}", path.display())]
    Missing {
        /// Its first possible path.
        path: PathBuf,
        /// What that means, and what to do.
        absent: &'static str,
    },
    /// A file exists but cannot be read.
    #[error("cannot read {}{}", path.display(), if denied(source) { DENIED } else { "" })]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path in a snapshot is not a usable file.
    #[error("{} {refusal}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why not.
        refusal: Refusal,
    },
    /// A file is malformed.
    #[error(
        "{} must hold {expected}, but holds {found}: if this is a snapshot, take it again",
        path.display()
    )]
    Garbled {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The kernel shows zeroes in place of addresses.
    #[error(
        "{} shows only zero addresses, because this process lacks CAP_SYS_ADMIN: run as root, and \
         on the host rather than in a container",
        path.display()
    )]
    Hidden {
        /// /proc/iomem.
        path: PathBuf,
    },
    /// No memory is reserved for a capture kernel.
    #[error("{0}")]
    NotReserved(Cause),
    /// The directory for a snapshot has files in it.
    #[error(
        "the directory {} is not empty: name an empty one, or one that does not exist yet",
        dir.display()
    )]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the snapshot could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Root can read all of these files, except /proc/kcore under lockdown=confidentiality
/// (`open_kcore`, fs/proc/kcore.c).
const DENIED: &str =
    " (run as root; if the kernel is locked down, load a signed kernel with kexec_file_load)";

fn denied(source: &io::Error) -> bool {
    source.kind() == io::ErrorKind::PermissionDenied
}

impl Error {
    /// Whether permission to read a file was denied. Root is denied only where the kernel is locked
    /// down.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Read { source, .. } if denied(source))
    }
}

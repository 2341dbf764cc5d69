//! Why a machine could not be read, or saved, in words that name the file and the remedy.

use std::io;
use std::path::PathBuf;

use super::no_reservation::Cause;
use super::open::Refusal;

/// Why the machine could not be read, or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that must be there is not.
    #[error("{} is missing: {absent}", path.display())]
    Missing {
        /// Where it was looked for first.
        path: PathBuf,
        /// What that means and what to do.
        absent: &'static str,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}{}", path.display(), if denied(source) { DENIED } else { "" })]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of a snapshot is none.
    #[error("{} {refusal}", path.display())]
    Snapshot {
        /// Which.
        path: PathBuf,
        /// What it is instead.
        refusal: Refusal,
    },
    /// A file holds something else than it should.
    #[error("{} must hold {expected}, but holds {found}: if this is a snapshot, take it again", path.display())]
    Garbled {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The kernel shows zeroes instead of addresses.
    #[error(
        "{} shows only zero addresses, because this process lacks CAP_SYS_ADMIN: run as root, and on the host rather \
         than in a container",
        path.display()
    )]
    Hidden {
        /// /proc/iomem.
        path: PathBuf,
    },
    /// No memory is reserved.
    #[error("{0}")]
    NotReserved(Cause),
    /// A snapshot would mix with what is there.
    #[error("the directory {} is not empty: name an empty one, or one that does not exist yet", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the snapshot could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Root reads every one of these files, but for /proc/kcore under lockdown=confidentiality
/// (`open_kcore`, fs/proc/kcore.c).
const DENIED: &str = " (run as root; if the kernel is locked down, load a signed kernel with --file)";

fn denied(source: &io::Error) -> bool {
    source.kind() == io::ErrorKind::PermissionDenied
}

impl Error {
    /// Whether a file is closed even to root.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Read { source, .. } if denied(source))
    }
}

//! Why an object cannot be told what its own loader would tell it.

use std::path::PathBuf;

use super::{KEXEC_TOOLS, LINUX, REGIONS};
use crate::purgatory::relocatable;

/// Why a file cannot be used as another's purgatory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be bound, or lacks a symbol, or has one of another size.
    #[error(transparent)]
    Relocatable(#[from] relocatable::Error),
    /// It has no table of regions.
    #[error(
        "{} is an object, but no purgatory that could be told what to verify: it has neither {}, as the kernel's, nor {}, as kexec-tools'",
        path.display(), LINUX.regions(), KEXEC_TOOLS.regions()
    )]
    NoContract {
        /// The file.
        path: PathBuf,
    },
    /// It has both tables.
    #[error(
        "{} has both {}, as the kernel's purgatory, and {}, as kexec-tools': in which order it takes registers cannot be told; build \
         it for one of them",
        path.display(), LINUX.regions(), KEXEC_TOOLS.regions()
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
    },
    /// Its table has not so many places.
    #[error("{} verifies {REGIONS} regions at most, and this image has {found}", path.display())]
    TooManyRegions {
        /// The file.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
}

//! Why an object cannot be used as a foreign purgatory.

use std::path::PathBuf;

use super::{KEXEC_TOOLS, LINUX, REGIONS};
use crate::purgatory::relocatable;

/// Why an object cannot be used as a foreign purgatory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be bound, lacks a symbol, or has a symbol of another size.
    #[error(transparent)]
    Relocatable(#[from] relocatable::Error),
    /// It has no table of regions.
    #[error(
        "{} is an ELF object, but not a known purgatory: it defines neither {}, as the kernel's \
         does, nor {}, as kexec-tools' does; use one of these",
        path.display(), LINUX.regions(), KEXEC_TOOLS.regions()
    )]
    NoContract {
        /// The file.
        path: PathBuf,
    },
    /// It has both tables.
    #[error(
        "{} defines both {}, as the kernel's purgatory does, and {}, as kexec-tools' does, so the \
         order of its registers is unknown: build it for one of them",
        path.display(), LINUX.regions(), KEXEC_TOOLS.regions()
    )]
    Ambiguous {
        /// The file.
        path: PathBuf,
    },
    /// Its table has too few slots.
    #[error(
        "{} verifies {REGIONS} regions at most, and this image has {found}: use \
         kdump-purgatory",
        path.display()
    )]
    TooManyRegions {
        /// The file.
        path: PathBuf,
        /// How many regions the image has.
        found: usize,
    },
}

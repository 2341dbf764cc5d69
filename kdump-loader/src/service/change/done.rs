//! A change of the machine, as it is reported.

use std::fmt;
use std::path::PathBuf;

/// A change, or in a dry run a planned change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A new file.
    Wrote(PathBuf),
    /// A new link, and its target.
    Linked(PathBuf, PathBuf),
    /// A file or link that replaces this program's older one.
    Updated(PathBuf),
    /// A file or link that replaces a foreign one, and the name under which the old one is kept.
    Replaced(PathBuf, PathBuf),
    /// An installed file or link was removed.
    Removed(PathBuf),
    /// The older file was restored.
    Restored(PathBuf),
    /// An installed file was changed by others, so it stays.
    Left(PathBuf),
    /// The folder of recorded panics stays.
    LeftPanics(PathBuf),
}

impl fmt::Display for Done {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrote(path) => write!(out, "write     {}", path.display()),
            Self::Linked(path, target) => {
                write!(out, "link      {} -> {}", path.display(), target.display())
            }
            Self::Updated(path) => write!(out, "update    {}", path.display()),
            Self::Replaced(path, kept) => {
                write!(out, "replace   {}, old file kept as {}", path.display(), kept.display())
            }
            Self::Removed(path) => write!(out, "remove    {}", path.display()),
            Self::Restored(path) => write!(out, "restore   {}", path.display()),
            Self::Left(path) => write!(
                out,
                "leave     {}, which was changed after the installation",
                path.display()
            ),
            Self::LeftPanics(path) => write!(
                out,
                "leave     {}, which has recorded panics; remove it if they are of no more use",
                path.display()
            ),
        }
    }
}

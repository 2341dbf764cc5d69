//! `[1]` A machine's file system: reads paths, and makes single atomic changes.
//!
//! Paths are relative to the root. Nothing outside the root is read or changed, even through links.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Error, failed};
use crate::arm::write;

/// Suffix of an older file that is kept next to its replacement. udev reads only *.rules, and
/// systemd only *.service and *.path, so they ignore it.
const KEPT: &str = ".before-kdump-loader";
/// Suffix of a file that is being written.
const NEW: &str = ".kdump-loader-new";

/// rwxr-xr-x
const DIRECTORY: u32 = 0o755;

/// The file system of a machine.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// System calls that still take effect. After the last one, every call fails, as if the process
    /// had been killed.
    #[cfg(test)]
    pub lives: std::cell::Cell<u32>,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A file.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Its target.
        target: PathBuf,
    },
    /// Something else.
    Other {
        /// What.
        what: &'static str,
    },
}

impl Tree {
    /// The file system at this root, which must exist.
    pub fn new(root: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: root.canonicalize().map_err(failed("access", root))?,
            #[cfg(test)]
            lives: u32::MAX.into(),
        })
    }

    /// Runs before each system call that changes something.
    fn alive(&self) -> std::io::Result<()> {
        #[cfg(test)]
        match self.lives.get() {
            0 => return Err(std::io::Error::other("killed here")),
            lives => self.lives.set(lives - 1),
        }
        Ok(())
    }

    /// The path with the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What is at a path. A link there is not followed.
    pub fn look(&self, path: &str) -> Result<Found, Error> {
        let whole = self.inside(path)?;
        let metadata = match fs::symlink_metadata(&whole) {
            // Nothing is below a file.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Found::Absent);
            }
            metadata => metadata.map_err(failed("access", &whole))?,
        };
        let kind = metadata.file_type();
        Ok(if kind.is_symlink() {
            Found::Link { target: fs::read_link(&whole).map_err(failed("read", &whole))? }
        } else if kind.is_file() {
            let bytes = fs::read(&whole).map_err(failed("read", &whole))?;
            Found::File { bytes, mode: metadata.permissions().mode() & 0o7777 }
        } else {
            Found::Other {
                what: if kind.is_dir() { "a directory" } else { "a device, a socket or a pipe" },
            }
        })
    }

    /// The text of a file, or of the file that a link leads to inside the root. `None` if there is
    /// none, or if it is not UTF-8.
    pub fn text(&self, path: &str) -> Result<Option<String>, Error> {
        let whole = self.inside(path)?;
        match whole.canonicalize() {
            Ok(file) if file.starts_with(&self.root) && file.is_file() => {
                Ok(String::from_utf8(fs::read(&file).map_err(failed("read", &file))?).ok())
            }
            _ => Ok(None),
        }
    }

    /// The sorted names in a directory; empty if there is no directory.
    pub fn names(&self, directory: &str) -> Result<Vec<OsString>, Error> {
        let whole = self.inside(directory)?;
        match whole.canonicalize() {
            Ok(inside) if inside.starts_with(&self.root) && inside.is_dir() => {
                let entries = fs::read_dir(&inside).map_err(failed("list", &whole))?;
                let names: Result<Vec<_>, _> =
                    entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
                let mut names = names.map_err(failed("list", &whole))?;
                names.sort();
                Ok(names)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The missing directories above a path, outermost first.
    pub fn missing_directories(&self, path: &str) -> Result<Vec<String>, Error> {
        self.inside(path)?;
        let above =
            Path::new(path).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        let mut missing: Vec<String> = Vec::new();
        for directory in above {
            let whole = self.root.join(directory);
            match fs::metadata(&whole) {
                Ok(metadata) if metadata.is_dir() => break,
                Ok(_) => return Err(Error::InTheWay { path: whole, what: "a file" }),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    missing.push(directory.display().to_string())
                }
                // The check of the directory above reports the file.
                Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                Err(error) => return Err(failed("access", &whole)(error)),
            }
        }
        missing.reverse();
        Ok(missing)
    }

    /// Creates a directory.
    pub fn make_directory(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        match self.alive().and_then(|()| write::create_directory(&whole, DIRECTORY)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(failed("create", &whole)),
        }
    }

    /// Removes a directory, if it exists and is empty.
    pub fn remove_directory(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        match self.alive().and_then(|()| fs::remove_dir(&whole)) {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) =>
            {
                Ok(())
            }
            removed => removed.map_err(failed("remove", &whole)),
        }
    }

    /// Writes or replaces a file.
    pub fn write(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let whole = self.inside(path)?;
        self.remove_unfinished(path)?;
        let new = with_suffix(&whole, NEW);
        let create = || OpenOptions::new().write(true).create_new(true).mode(mode).open(&new);
        let written = self.alive().and_then(|()| create()).and_then(|mut file| {
            self.alive()?;
            file.write_all(bytes)?;
            // The umask may have removed bits.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.sync_all()
        });
        self.replace(&new, &whole, written)
    }

    /// Creates a link, or replaces what is there.
    pub fn link(&self, path: &str, target: &Path) -> Result<(), Error> {
        let whole = self.inside(path)?;
        self.remove_unfinished(path)?;
        let new = with_suffix(&whole, NEW);
        self.replace(&new, &whole, self.alive().and_then(|()| symlink(target, &new)))
    }

    fn replace(&self, new: &Path, whole: &Path, made: std::io::Result<()>) -> Result<(), Error> {
        // Errors name the final path, which the user knows.
        let replaced = made.and_then(|()| self.alive()).and_then(|()| fs::rename(new, whole));
        replaced.map_err(|source| {
            let _ = self.alive().and_then(|()| fs::remove_file(new));
            failed("write", whole)(source)
        })
    }

    /// Removes a file or link, if it exists.
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        self.unlink(&self.inside(path)?)
    }

    /// Removes the unfinished file of a killed process.
    pub fn remove_unfinished(&self, path: &str) -> Result<(), Error> {
        self.unlink(&with_suffix(&self.inside(path)?, NEW))
    }

    fn unlink(&self, whole: &Path) -> Result<(), Error> {
        if fs::symlink_metadata(whole).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        absent_is_fine(self.alive().and_then(|()| fs::remove_file(whole)))
            .map_err(failed("remove", whole))
    }

    /// Gives a file a second name next to it, which stays when the file is replaced.
    pub fn keep(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        let kept = with_suffix(&whole, KEPT);
        self.alive()
            .and_then(|()| fs::hard_link(&whole, &kept))
            .map_err(failed("keep the old file as", &kept))
    }

    /// The file that [`Tree::keep`] has kept.
    pub fn kept(&self, path: &str) -> Result<Found, Error> {
        self.look(&kept_name(path))
    }

    /// Restores the kept file.
    pub fn restore(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        let kept = with_suffix(&whole, KEPT);
        self.alive().and_then(|()| fs::rename(&kept, &whole)).map_err(failed("restore", &whole))?;
        // If the file was never replaced, rename(2) leaves both names of the same file.
        self.unlink(&kept)
    }

    /// The path with the root, if its directory, or the existing part of that, is inside the root.
    fn inside(&self, path: &str) -> Result<PathBuf, Error> {
        let whole = self.root.join(path);
        let there = whole
            .ancestors()
            .skip(1)
            .find(|above| fs::symlink_metadata(above).is_ok())
            .unwrap_or(Path::new("/"));
        let above = match there.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::InTheWay {
                    path: there.to_owned(),
                    what: "a link that leads nowhere",
                });
            }
            above => above.map_err(failed("access", there))?,
        };
        if above.starts_with(&self.root) {
            return Ok(whole);
        }
        let path = whole.parent().unwrap_or(&whole).to_owned();
        Err(Error::Outside { path, root: self.root.clone(), leads_to: above })
    }
}

/// The name under which [`Tree::keep`] keeps a file.
pub fn kept_name(path: &str) -> String {
    format!("{path}{KEPT}")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Ignores the error of removing a missing file.
pub fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

//! [1] A machine's file system: what lies at a path, and one change at a time, each of which is there whole or not at all.
//!
//! Paths are relative to the root. Nothing outside of it is ever looked at or touched, whatever the links inside say.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Error, failed};
use crate::arm::write;

/// What the name of a file gets that was there before, beside what has taken its place. udev reads *.rules and systemd *.service and *.path,
/// so neither reads these.
const KEPT: &str = ".before-kdump-loader";
/// What the name of a file gets while it is written.
const NEW: &str = ".kdump-loader-new";

/// rwxr-xr-x
const DIRECTORY: u32 = 0o755;

/// The file system of a machine.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    /// System calls that still take effect: none after the last, as if the process had been killed there.
    #[cfg(test)]
    pub lives: std::cell::Cell<u32>,
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A file.
    File {
        /// What is in it.
        bytes: Vec<u8>,
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: PathBuf,
    },
    /// Something else.
    Other {
        /// What.
        what: &'static str,
    },
}

impl Tree {
    /// The file system with this root, which must be there.
    pub fn new(root: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: root.canonicalize().map_err(failed("look at", root))?,
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

    /// The whole path.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What lies there. A link at the end is not followed.
    pub fn look(&self, path: &str) -> Result<Found, Error> {
        let whole = self.inside(path)?;
        let metadata = match fs::symlink_metadata(&whole) {
            // A file where a directory belongs has nothing below it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Found::Absent),
            metadata => metadata.map_err(failed("look at", &whole))?,
        };
        let kind = metadata.file_type();
        Ok(if kind.is_symlink() {
            Found::Link { target: fs::read_link(&whole).map_err(failed("read", &whole))? }
        } else if kind.is_file() {
            let bytes = fs::read(&whole).map_err(failed("read", &whole))?;
            Found::File { bytes, mode: metadata.permissions().mode() & 0o7777 }
        } else {
            Found::Other { what: if kind.is_dir() { "a directory" } else { "a device, a socket or a pipe" } }
        })
    }

    /// The text of a file, and of the one that a link leads to inside of the root; nothing if there is none or it is no text.
    pub fn text(&self, path: &str) -> Result<Option<String>, Error> {
        let whole = self.inside(path)?;
        match whole.canonicalize() {
            Ok(file) if file.starts_with(&self.root) && file.is_file() => {
                Ok(String::from_utf8(fs::read(&file).map_err(failed("read", &file))?).ok())
            }
            _ => Ok(None),
        }
    }

    /// The names in a directory, in order; none if there is no directory.
    pub fn names(&self, directory: &str) -> Result<Vec<OsString>, Error> {
        let whole = self.inside(directory)?;
        match whole.canonicalize() {
            Ok(inside) if inside.starts_with(&self.root) && inside.is_dir() => {
                let entries = fs::read_dir(&inside).map_err(failed("list", &whole))?;
                let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
                let mut names = names.map_err(failed("list", &whole))?;
                names.sort();
                Ok(names)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The directories on the way to a path that are not there, the uppermost first.
    pub fn missing_directories(&self, path: &str) -> Result<Vec<String>, Error> {
        self.inside(path)?;
        let above = Path::new(path).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        let mut missing: Vec<String> = Vec::new();
        for directory in above {
            let whole = self.root.join(directory);
            match fs::metadata(&whole) {
                Ok(metadata) if metadata.is_dir() => break,
                Ok(_) => return Err(Error::InTheWay { path: whole, what: "a file" }),
                Err(error) if error.kind() == ErrorKind::NotFound => missing.push(directory.display().to_string()),
                // What lies above it says so.
                Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                Err(error) => return Err(failed("look at", &whole)(error)),
            }
        }
        missing.reverse();
        Ok(missing)
    }

    /// Makes a directory.
    pub fn make_directory(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        match self.alive().and_then(|()| write::create_directory(&whole, DIRECTORY)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(failed("create", &whole)),
        }
    }

    /// Removes a directory, if it is there and empty.
    pub fn remove_directory(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        match self.alive().and_then(|()| fs::remove_dir(&whole)) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
            removed => removed.map_err(failed("remove", &whole)),
        }
    }

    /// Puts a file there, in the place of what was.
    pub fn write(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let whole = self.inside(path)?;
        self.remove_unfinished(path)?;
        let new = with_suffix(&whole, NEW);
        let create = || OpenOptions::new().write(true).create_new(true).mode(mode).open(&new);
        let written = self.alive().and_then(|()| create()).and_then(|mut file| {
            self.alive()?;
            file.write_all(bytes)?;
            // Whatever the umask says.
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.sync_all()
        });
        self.replace(&new, &whole, written)
    }

    /// Puts a link there, in the place of what was.
    pub fn link(&self, path: &str, target: &Path) -> Result<(), Error> {
        let whole = self.inside(path)?;
        self.remove_unfinished(path)?;
        let new = with_suffix(&whole, NEW);
        self.replace(&new, &whole, self.alive().and_then(|()| symlink(target, &new)))
    }

    fn replace(&self, new: &Path, whole: &Path, made: std::io::Result<()>) -> Result<(), Error> {
        // The name that a person knows, not the one beside it.
        let replaced = made.and_then(|()| self.alive()).and_then(|()| fs::rename(new, whole));
        replaced.map_err(|source| {
            let _ = self.alive().and_then(|()| fs::remove_file(new));
            failed("write", whole)(source)
        })
    }

    /// Removes a file or link; that it is gone already is fine.
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        self.unlink(&self.inside(path)?)
    }

    /// Removes what a killed process left of a file that it was writing.
    pub fn remove_unfinished(&self, path: &str) -> Result<(), Error> {
        self.unlink(&with_suffix(&self.inside(path)?, NEW))
    }

    fn unlink(&self, whole: &Path) -> Result<(), Error> {
        if fs::symlink_metadata(whole).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        absent_is_fine(self.alive().and_then(|()| fs::remove_file(whole))).map_err(failed("remove", whole))
    }

    /// Gives what lies there a second name beside it, under which it stays when something else takes its place.
    pub fn keep(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        let kept = with_suffix(&whole, KEPT);
        self.alive().and_then(|()| fs::hard_link(&whole, &kept)).map_err(failed("keep the old file as", &kept))
    }

    /// What [`Tree::keep`] has kept.
    pub fn kept(&self, path: &str) -> Result<Found, Error> {
        self.look(&kept_name(path))
    }

    /// Puts back what was kept, in the place of what is there.
    pub fn restore(&self, path: &str) -> Result<(), Error> {
        let whole = self.inside(path)?;
        let kept = with_suffix(&whole, KEPT);
        self.alive().and_then(|()| fs::rename(&kept, &whole)).map_err(failed("restore", &whole))?;
        // Two names of one file are left alone by rename(2): then nothing had taken its place.
        self.unlink(&kept)
    }

    /// The whole path, if the directory it lies in, or the part of it that is there, lies inside of the root.
    fn inside(&self, path: &str) -> Result<PathBuf, Error> {
        let whole = self.root.join(path);
        let there = whole.ancestors().skip(1).find(|above| fs::symlink_metadata(above).is_ok()).unwrap_or(Path::new("/"));
        let above = match there.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::InTheWay { path: there.to_owned(), what: "a link that leads nowhere" });
            }
            above => above.map_err(failed("look at", there))?,
        };
        if above.starts_with(&self.root) {
            return Ok(whole);
        }
        let path = whole.parent().unwrap_or(&whole).to_owned();
        Err(Error::Outside { path, root: self.root.clone(), leads_to: above })
    }
}

/// Where [`Tree::keep`] keeps what lies at a path.
pub fn kept_name(path: &str) -> String {
    format!("{path}{KEPT}")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removing a file that is gone already is no failure.
pub fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

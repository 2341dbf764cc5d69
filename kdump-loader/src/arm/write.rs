//! `[14a]` Writes files and directories as root.
//!
//! *On entry* a path and its new content.
//!
//! *On exit*
//! - the complete new file, or after an error the old one
//! - nothing was written through a symbolic link, which another user could have planted in a
//!   writable directory
//! - the mode does not depend on the umask

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Limit of attempts to find a free name for the new file. A killed process leaves one such file at
/// most.
const ATTEMPTS: u32 = 8;

/// Replaces the file at `path`, or creates it, with these permission bits.
///
/// The new file is created next to it (`O_CREAT | O_EXCL`, which follows no link), synced, and
/// renamed. It keeps the group of the old one, so that the same users can read it. Its owner is the
/// writing user: a file that another user has planted must not stay that user's.
///
/// # Errors
///
/// After an error, the new file is removed and the old one unchanged.
///
/// - `InvalidInput` if a link, a directory or a device is at `path`
/// - `PermissionDenied` if this user cannot give the new file the group of the old one
/// - every other error of the file system
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let old = match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "not a regular file, so it was not replaced",
            ));
        }
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let (new, mut file) = create_beside(path)?;
    let written = (|| {
        if let Some(old) = old {
            keep_group(&file, &old)?;
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&new);
    })
}

/// Gives the new file the group of the old one, if it differs.
fn keep_group(new: &fs::File, old: &fs::Metadata) -> io::Result<()> {
    if new.metadata()?.gid() == old.gid() { Ok(()) } else { fchown(new, None, Some(old.gid())) }
}

/// Creates an empty file next to `path`, under a name that was free, readable by its owner alone.
fn create_beside(path: &Path) -> io::Result<(PathBuf, fs::File)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
    let mut attempt = 0;
    loop {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".new-{}-{attempt}", std::process::id()));
        let new = path.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1
            }
            file => return Ok((new, file?)),
        }
    }
}

/// Creates the directory at `path` and those above it that are missing, each with these permission
/// bits.
///
/// A directory that exists keeps its permissions.
///
/// # Errors
///
/// `NotADirectory` if `path` is something else, a link included; every other error of the file
/// system.
pub fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(above) =
        path.parent().filter(|above| !above.as_os_str().is_empty() && !above.exists())
    {
        create_directory(above, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path)?.is_dir() {
                Ok(())
            } else {
                Err(io::Error::new(
                    ErrorKind::NotADirectory,
                    "something other than a directory has its name",
                ))
            }
        }
        // Until this call, the umask may have removed bits, which is safe.
        created => created.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn names_in(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn file_is_replaced_whole_with_the_requested_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("status.prom");
        for (text, mode) in [("first", 0o600), ("second", 0o644)] {
            replace(&path, text.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(mode_of(&path), mode);
        }
        assert_eq!(names_in(root.path()), ["status.prom"]);
    }

    #[test]
    fn new_file_keeps_the_group_of_the_old_one_and_belongs_to_the_writer() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("status.prom");
        fs::write(&path, "first").unwrap();
        if std::os::unix::fs::chown(&path, Some(65_533), Some(65_534)).is_err() {
            eprintln!("skipped: only root can give a file to another user");
            return;
        }
        replace(&path, b"second", 0o640).unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        // Only root gets here.
        assert_eq!((found.uid(), found.gid(), mode_of(&path)), (0, 65_534, 0o640));
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    }

    #[test]
    fn link_or_directory_in_its_place_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let link = root.path().join("link");
        symlink(&victim, &link).unwrap();
        for path in [&link, root.path()] {
            assert_eq!(replace(path, b"new", 0o600).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_link(&link).unwrap(), victim);
    }

    #[test]
    fn planted_link_under_the_name_of_the_new_file_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, root.path().join(format!(".state.new-{}-0", std::process::id()))).unwrap();
        replace(&root.path().join("state"), b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(root.path().join("state")).unwrap(), "new");
    }

    #[test]
    fn new_directories_get_the_requested_mode_and_old_ones_keep_theirs() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o711)).unwrap();
        let below = root.path().join("run/kdump-loader");
        create_directory(&below, 0o755).unwrap();
        create_directory(&below, 0o700).unwrap();
        assert_eq!(
            [mode_of(root.path()), mode_of(&root.path().join("run")), mode_of(&below)],
            [0o711, 0o755, 0o755]
        );
        symlink(root.path(), root.path().join("elsewhere")).unwrap();
        let refused = create_directory(&root.path().join("elsewhere"), 0o755).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotADirectory);
    }
}

//! Opens, creates and replaces state files below /run/kdump-loader.
//!
//! *On entry* a path below a state directory. *On exit* a file or directory that only its owner can
//! write, under any umask.
//!
//! - A state directory that is a link, or has another owner than /run, is rejected.
//! - A state directory that others can write gets its mode back. (An earlier release created it so
//!   under umask 0.)
//! - Entries that others have planted in it are rejected: links and special files are never opened,
//!   and an entry must have the owner of its directory.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Error, failed};
use crate::arm::write;

/// The state directory, below the root.
pub const PATH: &str = "run/kdump-loader";
/// rwxr-xr-x: `status` reads the queue without privileges.
const DIRECTORY: u32 = 0o755;
/// rw-------: records have physical addresses, and a user who can open a lock can hold it.
const FILE: u32 = 0o600;
/// Write permission of the group and of others.
const OTHERS_WRITE: u32 = 0o022;
/// Links are not followed, and a FIFO does not block the open.
const SAFELY: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// Creates a state directory, or checks the existing one. Corrects its mode, but not its owner.
pub fn directory(path: &Path) -> Result<(), Error> {
    let owner_above =
        path.parent().and_then(|above| fs::metadata(above).ok()).map(|above| above.uid());
    write::create_directory(path, DIRECTORY).map_err(|error| {
        let reason = "it is a link or a file, not a directory; remove it and try again";
        let error = if error.kind() == ErrorKind::NotADirectory {
            io::Error::new(ErrorKind::NotADirectory, reason)
        } else {
            error
        };
        failed("use", path)(error)
    })?;
    let found = fs::symlink_metadata(path).map_err(failed("access", path))?;
    if owner_above.is_some_and(|owner| owner != found.uid()) {
        let reason = format!("it belongs to user {}; remove it and try again", found.uid());
        return Err(failed("use", path)(io::Error::new(ErrorKind::PermissionDenied, reason)));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY))
            .map_err(failed("restrict", path))?;
    }
    Ok(())
}

/// Creates the directory of a state file.
fn directory_of(path: &Path) -> Result<(), Error> {
    directory(path.parent().expect("a state file has a directory"))
}

/// Replaces a state file as a whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    directory_of(path)?;
    write::replace(path, bytes, FILE).map_err(failed("write", path))
}

/// Opens a state file for writing without truncating it. Creates it if it is missing.
pub fn create(path: &Path) -> Result<File, Error> {
    directory_of(path)?;
    create_in_place(path)
}

/// The same in an existing directory such as /run, which is neither created nor changed.
pub fn create_in_place(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE)
        .custom_flags(SAFELY)
        .open(path);
    let file = opened.map_err(failed("create", path))?;
    expect_ours(&file, path).map_err(failed("use", path))?;
    // An earlier release may have left it open to others.
    file.set_permissions(Permissions::from_mode(FILE)).map_err(failed("restrict", path))?;
    Ok(file)
}

/// Opens a state file for reading.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(SAFELY).open(path)?;
    expect_ours(&file, path)?;
    Ok(file)
}

/// Reads a state file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The entries of a state directory; none if it is missing, a link, or has another owner than the
/// directory above it.
pub fn entries(path: &Path) -> Vec<PathBuf> {
    let owner_above =
        path.parent().and_then(|above| fs::metadata(above).ok()).map(|above| above.uid());
    let ours = fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && Some(found.uid()) == owner_above);
    let entries = ours.then(|| fs::read_dir(path).ok()).flatten();
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Checks that a file is regular and has the owner of its directory.
fn expect_ours(file: &File, path: &Path) -> io::Result<()> {
    let refused = |reason: String| Err(io::Error::new(ErrorKind::PermissionDenied, reason));
    let found = file.metadata()?;
    if !found.is_file() {
        return refused("it is not a regular file; remove it and try again".into());
    }
    let directory = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
    if found.uid() != directory.uid() {
        return refused(format!("it belongs to user {}; remove it and try again", found.uid()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn directory_that_others_can_write_gets_its_mode_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/kdump-loader");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        replace(&path.join("armed.json"), b"{}").unwrap();
        assert_eq!((mode_of(&path), mode_of(&path.join("armed.json"))), (0o755, 0o600));
    }

    #[test]
    fn linked_directory_is_refused_and_nothing_is_written_through_it() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = root.path().join("kdump-loader");
        symlink(elsewhere.path(), &path).unwrap();
        assert!(replace(&path.join("armed.json"), b"{}").is_err());
        assert!(create(&path.join("lock")).is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn link_or_fifo_in_a_files_place_is_neither_written_nor_read() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let (link, fifo) = (root.path().join("lock"), root.path().join("armed.json"));
        symlink(&victim, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [&link, &fifo] {
            assert!(
                create(path).is_err() && replace(path, b"new").is_err() && read(path).is_err(),
                "{}",
                path.display()
            );
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn file_or_directory_of_another_user_is_rejected() {
        let root = tempfile::tempdir().unwrap();
        let (directory, file) = (root.path().join("theirs"), root.path().join("lock"));
        fs::create_dir(&directory).unwrap();
        fs::write(&file, "").unwrap();
        if chown(&directory, Some(12345), None).is_err() {
            // Only root can give a file away.
            return;
        }
        chown(&file, Some(12345), None).unwrap();
        let reason = super::directory(&directory).unwrap_err();
        let why = std::error::Error::source(&reason).unwrap().to_string();
        assert!(why.contains("user 12345"), "{why}");
        assert!(create(&file).is_err() && read(&file).is_err());
    }
}

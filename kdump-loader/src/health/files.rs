//! Reads files of a machine below a root: the live machine or a disk image. No link leads out of
//! the root, and only regular files are read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// Limit of a settings file.
const MOST_TEXT: u64 = 1 << 20;

/// The files below a root. A leading `/` in a path is the root.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    root: &'a Path,
}

impl<'a> Files<'a> {
    /// The files below `root`.
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Opens a regular file. A FIFO or device is an error, and does not block.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let file = File::from(self.resolve(path.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    /// The bytes of a file of up to `most` bytes.
    pub fn read(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than the limit detects a larger file. Files in /proc have length 0, so
        // metadata cannot tell.
        self.open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 <= most {
            true => Ok(bytes),
            false => {
                Err(io::Error::new(ErrorKind::FileTooLarge, format!("more than {most} bytes")))
            }
        }
    }

    /// The text of a settings file, if it can be read. Invalid UTF-8 becomes U+FFFD.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = self.read(path, MOST_TEXT).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a file in /proc or /sys, if it can be read.
    pub fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(self.text(path)?.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Finds a path without opening the file. Links are followed.
    pub fn find(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.resolve(path.as_ref(), OFlags::PATH)
    }

    /// Whether the path exists.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.find(path).is_ok()
    }

    /// Whether the path is a directory's.
    pub fn is_directory(&self, path: impl AsRef<Path>) -> bool {
        let found = self.find(path).ok().and_then(|found| rustix::fs::fstat(found).ok());
        found.is_some_and(|found| FileType::from_raw_mode(found.st_mode).is_dir())
    }

    /// The file name at the end of all links.
    pub fn real_name(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let found = fs::read_link(proc_path(&self.find(path)?))?;
        let name = found.file_name().and_then(|name| name.to_str());
        name.map(str::to_owned).ok_or_else(|| io::Error::from(ErrorKind::InvalidFilename))
    }

    /// The path at the end of all links, from the root, without a leading `/`.
    pub fn real_path(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let found = fs::read_link(proc_path(&self.find(path)?))?;
        let root = fs::canonicalize(self.root)?;
        let below = found.strip_prefix(&root).map(Path::to_owned);
        below.map_err(|_| io::Error::from(ErrorKind::InvalidFilename))
    }

    /// The root.
    pub fn root(&self) -> &'a Path {
        self.root
    }

    /// The path with the root before it.
    pub fn outside(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The target of a link; `None` if the path is not a link.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        let link = self.resolve(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        rustix::fs::readlinkat(link, "", Vec::new()).ok()?.into_string().ok()
    }

    /// The sorted names in a directory; empty if there is no such directory.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let read = |path: PathBuf| -> io::Result<Vec<String>> {
            let names =
                fs::read_dir(path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            Ok(names.collect())
        };
        let directory = self.find(path).and_then(|directory| read(proc_path(&directory)));
        let mut names = directory.unwrap_or_default();
        names.sort();
        names
    }

    /// `RESOLVE_IN_ROOT` treats the root as `/` for absolute links and for `..` (openat2(2), since
    /// Linux 5.6).
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        if self.root == Path::new("/") {
            return Ok(rustix::fs::open(self.root.join(path), flags, Mode::empty())?);
        }
        let root = rustix::fs::open(self.root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }
}

/// A path to an open file, for `read_dir`.
fn proc_path(file: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn absolute_links_stay_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("boot")).unwrap();
        fs::write(root.path().join("boot/vmlinuz-6.12"), "kernel").unwrap();
        symlink("/boot/vmlinuz-6.12", root.path().join("vmlinuz")).unwrap();
        symlink("/etc/passwd", root.path().join("outside")).unwrap();
        let files = Files::new(root.path());
        assert_eq!(files.read("/vmlinuz", 6).unwrap(), b"kernel");
        assert_eq!(files.read("/vmlinuz", 5).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(files.text("outside"), None);
        assert!(!files.exists("../../etc/passwd"));
        assert_eq!(files.names("/boot"), ["vmlinuz-6.12"]);
        assert_eq!(
            [files.link("vmlinuz").as_deref(), files.link("boot").as_deref()],
            [Some("/boot/vmlinuz-6.12"), None]
        );
    }

    #[test]
    fn fifo_is_rejected_without_blocking() {
        let root = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        assert_eq!(
            Files::new(root.path()).open("pipe").unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}

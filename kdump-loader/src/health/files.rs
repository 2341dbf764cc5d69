//! Files of the machine below a root: the live one, or the image of one. No link leads out of it, and only regular files are read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// More text than any file of settings has.
const MOST_TEXT: u64 = 1 << 20;

/// The files below a root. Paths may begin with `/`, which is the root then.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    root: &'a Path,
}

impl<'a> Files<'a> {
    /// Those below `root`.
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Opens a regular file. A FIFO or a device is an error, not a wait.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let file = File::from(self.resolve(path.as_ref(), OFlags::RDONLY | OFlags::NONBLOCK)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    /// The bytes of a file that has `most` at most.
    pub fn read(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One more than allowed shows that there is more. Files in /proc have a length of 0, so metadata cannot.
        self.open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 <= most {
            true => Ok(bytes),
            false => Err(io::Error::new(ErrorKind::FileTooLarge, format!("more than {most} bytes"))),
        }
    }

    /// The text of a file of settings, if it is there. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = self.read(path, MOST_TEXT).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a file in /proc or /sys, if it is there.
    pub fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        Some(self.text(path)?.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Something at this path, without opening it; links are followed.
    pub fn find(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.resolve(path.as_ref(), OFlags::PATH)
    }

    /// Whether something is at this path.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.find(path).is_ok()
    }

    /// The name of what is at this path, after all links.
    pub fn real_name(&self, path: impl AsRef<Path>) -> io::Result<String> {
        let found = fs::read_link(proc_path(&self.find(path)?))?;
        let name = found.file_name().and_then(|name| name.to_str());
        name.map(str::to_owned).ok_or_else(|| io::Error::from(ErrorKind::InvalidFilename))
    }

    /// What a link says; nothing if there is no link at this path.
    pub fn link(&self, path: impl AsRef<Path>) -> Option<String> {
        let link = self.resolve(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        rustix::fs::readlinkat(link, "", Vec::new()).ok()?.into_string().ok()
    }

    /// The names in a directory, in order; none if there is no such directory.
    pub fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let read = |path: PathBuf| -> io::Result<Vec<String>> {
            let names = fs::read_dir(path)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            Ok(names.collect())
        };
        let directory = self.find(path).and_then(|directory| read(proc_path(&directory)));
        let mut names = directory.unwrap_or_default();
        names.sort();
        names
    }

    /// `RESOLVE_IN_ROOT` treats the root as `/` for absolute links and for `..` (openat2(2), since Linux 5.6).
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        if self.root == Path::new("/") {
            return Ok(rustix::fs::open(self.root.join(path), flags, Mode::empty())?);
        }
        let root = rustix::fs::open(self.root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }
}

/// A path to what is open, which `read_dir` takes.
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
        assert_eq!([files.link("vmlinuz").as_deref(), files.link("boot").as_deref()], [Some("/boot/vmlinuz-6.12"), None]);
    }

    #[test]
    fn pipe_is_refused_at_once() {
        let root = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.path().join("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(Files::new(root.path()).open("pipe").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

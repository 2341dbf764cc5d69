//! `[1a]` Opens the files of a machine. Those of a live machine come from the kernel; those of a
//! snapshot are not trusted.
//!
//! *On entry* a root and a name below it. *On exit* an open file. In a snapshot it is a regular
//! file inside of the snapshot, even if links lead there, and [`whole`] limits its length.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// The live machine's root.
const LIVE: &str = "/";
/// Longest file that is read, in bytes. /proc/cpuinfo of 8192 CPUs has about 13 MB.
const LARGEST: u64 = 64 << 20;

/// Why a file of a snapshot is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A link leads out of the snapshot.
    #[error(
        "is a link that leads out of the snapshot: take the snapshot again, or replace the link \
         with a copy of the file"
    )]
    LeadsOut,
    /// It is not a regular file.
    #[error("is {0}, but a snapshot holds only regular files: take the snapshot again")]
    Kind(&'static str),
    /// It is longer than any file of a kernel.
    #[error(
        "is longer than the {} MiB that such a file can have: take the snapshot again",
        LARGEST >> 20
    )]
    TooLong,
}

/// Opens the file `name` below `root`.
pub(in crate::machine) fn below(root: &Path, name: &str) -> io::Result<File> {
    if root == Path::new(LIVE) {
        // Otherwise, reading /dev/kmsg would wait for the next message.
        return OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(root.join(name));
    }
    let file = inside(root, name)?;
    let kind = file.metadata()?.file_type();
    let kind = match () {
        // Reading a directory fails later, with a better message.
        () if kind.is_file() || kind.is_dir() => return Ok(file),
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::other(Refusal::Kind(kind)))
}

/// Whether the file exists. A device of the live machine is not opened for that.
pub(in crate::machine) fn presence(root: &Path, name: &str) -> io::Result<()> {
    if root == Path::new(LIVE) {
        fs::symlink_metadata(root.join(name)).map(drop)
    } else {
        below(root, name).map(drop)
    }
}

/// Opens a snapshot's file without following a link out of the snapshot.
fn inside(root: &Path, name: &str) -> io::Result<File> {
    // A FIFO must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(File::open(root)?, name, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(file.into()),
        // A link that leads out, a loop of links, or a magic link of /proc.
        Err(Errno::XDEV | Errno::LOOP) => Err(io::Error::other(Refusal::LeadsOut)),
        // A socket cannot be opened at all.
        Err(Errno::NXIO) => Err(io::Error::other(Refusal::Kind("a socket"))),
        // Linux before 5.6, or a sandbox that does not allow the call.
        Err(Errno::NOSYS | Errno::PERM) => inside_by_path(root, name),
        Err(error) => Err(error.into()),
    }
}

/// The same without openat2(2). A link that is replaced between check and open would go unnoticed.
fn inside_by_path(root: &Path, name: &str) -> io::Result<File> {
    let path = fs::canonicalize(root.join(name))?;
    if !path.starts_with(fs::canonicalize(root)?) {
        return Err(io::Error::other(Refusal::LeadsOut));
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads all of it.
pub(in crate::machine) fn whole(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(io::Error::other(Refusal::TooLong)) } else { Ok(bytes) }
}

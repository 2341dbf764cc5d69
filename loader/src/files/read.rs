//! `[0a]` Reads a file as it was at one moment.
//!
//! *On entry* a path. *On exit*
//! * bytes that the file held during the whole reading;
//! * the identity of exactly that file.
//!
//! It fails if the path is not a file's, if the file exceeds a limit, or if the
//! file keeps changing.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::files::identity::FileIdentity;
use crate::files::writers;
use crate::request::InputFile;

/// How often a file that changes is read, and the pause before the next attempt: half a second in
/// all. If another program writes the file for longer, the user should wait for that program.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refuses to open or read it.
    #[error("cannot read the {what} {}", path.display())]
    Io {
        /// Its purpose, such as `initrd`.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is neither a regular file nor a block device.
    #[error("the {what} {} is {kind}: name a regular file", path.display())]
    Kind {
        /// Its purpose, such as `initrd`.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// What it is instead.
        kind: &'static str,
    },
    /// It has more bytes than can be used.
    #[error(
        "the {what} {} is too large: it has {len} bytes ({} MiB), and the limit is {limit} bytes \
         ({} MiB); use a smaller file",
        path.display(), len >> 20, limit >> 20
    )]
    TooLarge {
        /// Its purpose, such as `initrd`.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// The most bytes that are read.
        limit: u64,
    },
    /// It changed during every attempt to read it.
    #[error(
        "the {what} {} changed during each of {TRIES} attempts to read it: wait until it is \
         written, then try again",
        path.display()
    )]
    Changing {
        /// Its purpose, such as `initrd`.
        what: &'static str,
        /// Its path.
        path: PathBuf,
    },
    /// Another process has it open for writing.
    #[error(
        "the {what} {} is open for writing: wait until its writer (see fuser -v) is done, then try \
         again",
        path.display()
    )]
    BeingWritten {
        /// Its purpose, such as `initrd`.
        what: &'static str,
        /// Its path.
        path: PathBuf,
    },
}

impl Error {
    /// Whether the file became shorter after it was measured.
    fn is_end_of_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::UnexpectedEof)
    }
}

/// How many bytes to read from a file's start; `None` for all of them.
pub type Wanted = fn(&Opened) -> Result<Option<u64>, Error>;

/// The [`Wanted`] of a file that is read whole.
pub fn all(_: &Opened) -> Result<Option<u64>, Error> {
    Ok(None)
}

/// A file that was read.
#[derive(Debug)]
pub struct Content {
    /// Its path and bytes.
    pub input: InputFile,
    /// Which file it was.
    pub identity: FileIdentity,
    /// The open file that they were read from.
    pub file: File,
}

/// An open file whose length is known.
#[derive(Debug)]
pub struct Opened {
    what: &'static str,
    path: PathBuf,
    file: File,
    len: u64,
    regular: bool,
}

impl Opened {
    /// Opens a regular file or a block device. `what` is its purpose in messages, such as `initrd`.
    pub fn new(what: &'static str, path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { what, path: path.to_owned(), source };
        // Before it is opened: opening a device may have an effect, and opening a FIFO waits for a
        // writer.
        let refused = |metadata: &Metadata| match kind(metadata) {
            Some(kind) => Err(Error::Kind { what, path: path.to_owned(), kind }),
            None => Ok(()),
        };
        refused(&fs::metadata(path).map_err(failed)?)?;
        // Another file may have taken its place since then, so the open file is checked again.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut file =
            OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        refused(&metadata)?;
        let regular = metadata.is_file();
        // The file system does not know the size of a block device.
        let len =
            if regular { metadata.len() } else { file.seek(SeekFrom::End(0)).map_err(failed)? };
        Ok(Self { what, path: path.to_owned(), file, len, regular })
    }

    /// Its length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it is a regular file. kexec_file_load(2) reads nothing else.
    pub fn is_regular(&self) -> bool {
        self.regular
    }

    /// Its first `len` bytes, or all of a shorter file.
    pub fn head(&self, len: u64) -> Result<Vec<u8>, Error> {
        self.bytes(len.min(self.len)).map_err(|source| self.failed(source))
    }

    /// Reads the `wanted` bytes, at most `limit` of them. Each attempt calls `wanted` again,
    /// because the file may have changed since the last one.
    pub fn read(self, wanted: Wanted, limit: u64) -> Result<Content, Error> {
        self.read_while(wanted, limit, |_| {})
    }

    /// The same. Tests change the file in `meanwhile`, which is called after each reading.
    fn read_while(
        self,
        wanted: Wanted,
        limit: u64,
        mut meanwhile: impl FnMut(&Path),
    ) -> Result<Content, Error> {
        let mut opened = self;
        for tries in 1.. {
            let before = opened.identity()?;
            opened.measure()?;
            let Self { what, ref path, .. } = opened;
            let bytes = opened.wanted(wanted, limit);
            meanwhile(&opened.path);
            let written = opened.regular && writers::any(&opened.file) == Some(true);
            let same = opened.identity()? == before;
            match bytes {
                Ok(bytes) if same && !written => {
                    let input = InputFile { path: opened.path, bytes };
                    return Ok(Content { input, identity: before, file: opened.file });
                }
                // The file changed or became shorter: try again.
                Err(error) if !error.is_end_of_file() => return Err(error),
                _ if tries == TRIES && written => {
                    return Err(Error::BeingWritten { what, path: path.clone() });
                }
                _ if tries == TRIES => return Err(Error::Changing { what, path: path.clone() }),
                _ => {}
            }
            thread::sleep(PAUSE);
            // Opened by its path again, because another file may have taken its place.
            opened = Self::new(what, &opened.path)?;
        }
        unreachable!("the last try returns")
    }

    /// A regular file may have grown since it was opened.
    fn measure(&mut self) -> Result<(), Error> {
        if self.regular {
            self.len = self.file.metadata().map_err(|source| self.failed(source))?.len();
        }
        Ok(())
    }

    fn wanted(&self, wanted: Wanted, limit: u64) -> Result<Vec<u8>, Error> {
        let len = wanted(self)?.unwrap_or(self.len).min(self.len);
        if len > limit {
            return Err(Error::TooLarge { what: self.what, path: self.path.clone(), len, limit });
        }
        self.bytes(len).map_err(|source| self.failed(source))
    }

    fn bytes(&self, len: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| ErrorKind::OutOfMemory)?;
        bytes.resize(len, 0);
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn identity(&self) -> Result<FileIdentity, Error> {
        self.file
            .metadata()
            .map(|metadata| FileIdentity::new(&self.path, &metadata))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { what: self.what, path: self.path.clone(), source }
    }
}

/// What it is, if it cannot be read as a file.
fn kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() || kind.is_block_device() => None,
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_fifo() => Some("a FIFO or a pipe"),
        () if kind.is_socket() => Some("a socket"),
        () if kind.is_char_device() => Some("a character device"),
        () => Some("a file of an unknown kind"),
    }
}

#[cfg(test)]
mod tests;

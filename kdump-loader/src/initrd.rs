//! Lists an initrd: a sequence of cpio archives in the format "newc", of which the last is usually
//! compressed (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Nothing is written, and memory is bounded: only names and the content of the files that the
//! caller selects are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};

pub mod compression;

/// Limit of the unpacked size. Debian's initrd for a capture kernel has 35 MB.
const MOST_UNPACKED: u64 = 1 << 30;
/// Limit of a file whose content is kept.
const MOST_KEPT: u64 = 4 << 20;

/// The magic numbers of the format, without and with checksums.
const MAGICS: [&[u8]; 2] = [b"070701", b"070702"];

/// Every archive begins at a multiple of this (`unpack_to_rootfs`, init/initramfs.c). Compressed
/// data does not have to.
const ALIGNMENT: u64 = 4;

/// The contents of an initrd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initrd {
    /// Unpacked bytes of all archives.
    pub unpacked: u64,
    /// All paths, without a leading `/` or `./`.
    pub names: BTreeSet<String>,
    /// The content of the selected files.
    pub kept: BTreeMap<String, Vec<u8>>,
}

/// Why an initrd cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown data where an archive should start.
    #[error("the data at byte {at} is neither a cpio archive nor a supported compression")]
    Format {
        /// The offset.
        at: u64,
    },
    /// A compression that this program does not read.
    #[error("the data at byte {at} is compressed with {name}, which this program does not read")]
    Compression {
        /// The offset.
        at: u64,
        /// The compression.
        name: &'static str,
    },
    /// An archive where the kernel does not look for one.
    #[error(
        "the archive at byte {at} is not at a multiple of {ALIGNMENT}, so the kernel does not \
         unpack it"
    )]
    Alignment {
        /// The offset.
        at: u64,
    },
    /// It is too large.
    #[error("it has more than {} MiB unpacked", MOST_UNPACKED >> 20)]
    TooLarge,
    /// It is damaged, or cannot be read.
    #[error("it is damaged or cannot be read")]
    Read(#[from] io::Error),
}

impl Initrd {
    /// Reads an initrd to its end. `keep` selects the files whose content is kept.
    pub fn read(from: impl Read, keep: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let mut initrd = Self::default();
        let mut input = Input::new(from);
        // The kernel also unpacks archives after a compressed one.
        while let Some(unpack) = initrd.read_archives(&mut input, &keep)? {
            let mut unpacked = Input::new(unpack(Box::new(&mut input))?);
            if initrd.read_archives(&mut unpacked, &keep)?.is_some() {
                return Err(Error::Format { at: unpacked.at });
            }
        }
        Ok(initrd)
    }

    /// Reads archives until the end of the input, or until a compressed one, and then returns its
    /// decompressor.
    fn read_archives<'a, R: Read>(
        &mut self,
        from: &mut Input<R>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Option<compression::Unpack<'a>>, Error> {
        loop {
            // Zeroes of any length may follow an archive.
            from.skip_zeroes()?;
            let start = from.peek()?;
            if start.is_empty() {
                return Ok(None);
            }
            if let Some(unpack) = compression::of(start) {
                return Ok(Some(unpack));
            }
            if let Some(name) = compression::unread(start) {
                return Err(Error::Compression { at: from.at, name });
            }
            if !MAGICS.iter().any(|magic| start.starts_with(magic)) {
                return Err(Error::Format { at: from.at });
            }
            if !from.at.is_multiple_of(ALIGNMENT) {
                return Err(Error::Alignment { at: from.at });
            }
            self.read_archive(from, keep)?;
        }
    }

    /// Reads one archive, from its first magic number to its trailer.
    fn read_archive(
        &mut self,
        from: &mut Input<impl Read>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<(), Error> {
        loop {
            let mut file = cpio::newc::Reader::new(&mut *from)?;
            let (name, len) = (file.entry().name().to_owned(), u64::from(file.entry().file_size()));
            if file.entry().is_trailer() {
                file.finish()?;
                return Ok(());
            }
            self.unpacked += len;
            if self.unpacked + self.names.len() as u64 > MOST_UNPACKED {
                return Err(Error::TooLarge);
            }
            let name = name.trim_start_matches("./").trim_start_matches('/').to_owned();
            if len <= MOST_KEPT && keep(&name) {
                let mut content = Vec::new();
                file.read_to_end(&mut content)?;
                self.kept.insert(name.clone(), content);
            }
            file.finish()?;
            self.names.insert(name);
        }
    }

    /// The kernel releases of its modules, from `lib/modules/RELEASE/…/NAME.ko*`.
    pub fn releases(&self) -> BTreeSet<&str> {
        let modules = self.names.iter().map(String::as_str).filter(|name| name.contains(".ko"));
        let below = modules.filter_map(|name| {
            name.strip_prefix("usr/").unwrap_or(name).strip_prefix("lib/modules/")
        });
        below.filter_map(|name| Some(name.split_once('/')?.0)).collect()
    }
}

/// A reader with a look-ahead.
struct Input<R> {
    from: BufReader<R>,
    /// The look-ahead: bytes that are not yet consumed.
    ahead: Vec<u8>,
    /// Offset: bytes that are consumed.
    at: u64,
}

impl<R: Read> Input<R> {
    fn new(from: R) -> Self {
        Self { from: BufReader::with_capacity(1 << 16, from), ahead: Vec::new(), at: 0 }
    }

    /// The next bytes: enough for every magic number, or all that are left.
    fn peek(&mut self) -> io::Result<&[u8]> {
        let missing = compression::LONGEST_MAGIC - self.ahead.len();
        self.from.by_ref().take(missing as u64).read_to_end(&mut self.ahead)?;
        Ok(&self.ahead)
    }

    fn skip_zeroes(&mut self) -> io::Result<()> {
        while self.peek()?.first() == Some(&0) {
            let zeroes = self.ahead.iter().take_while(|&&byte| byte == 0).count();
            self.ahead.drain(..zeroes);
            self.at += zeroes as u64;
        }
        Ok(())
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = if self.ahead.is_empty() {
            self.from.read(into)?
        } else {
            let len = into.len().min(self.ahead.len());
            into[..len].copy_from_slice(&self.ahead[..len]);
            self.ahead.drain(..len);
            len
        };
        self.at += len as u64;
        Ok(len)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() { self.from.fill_buf() } else { Ok(&self.ahead) }
    }

    fn consume(&mut self, len: usize) {
        if self.ahead.is_empty() {
            self.from.consume(len);
        } else {
            self.ahead.drain(..len);
        }
        self.at += len as u64;
    }
}

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;

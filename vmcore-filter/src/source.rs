//! `[0]` Bytes of a vmcore, through a window that moves.
//!
//! *On entry* an open file, or bytes in memory. *On exit* a [`Cursor`] returns any short range as a
//! slice. Its memory is one window, whatever the size of the vmcore.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

use crate::map::Mapping;

/// The longest range that [`Cursor::bytes`] returns.
pub(crate) const LONGEST: usize = 64 << 10;
/// Bytes mapped at once. Larger windows gain nothing: mapping costs as much per page as touching.
const MAPPED: usize = 4 << 20;
/// Bytes read at once.
const READ: usize = 1 << 20;
/// Offsets of mappings are multiples of it.
const PAGE: u64 = 4096;

/// Where the bytes are.
#[derive(Debug)]
pub(crate) enum Source {
    /// /proc/vmcore of a capture kernel.
    Vmcore { file: File, len: u64 },
    /// A file, which is read: a mapping would end this process if the file became shorter.
    File { file: File, len: u64 },
    /// Bytes in memory.
    Memory(Vec<u8>),
}

impl Source {
    /// Chooses how the file is read.
    pub fn of(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let is_proc = fstatfs(&file)?.f_type == PROC_SUPER_MAGIC;
        Ok(if is_proc { Self::Vmcore { file, len } } else { Self::File { file, len } })
    }

    /// Bytes in it.
    pub fn len(&self) -> u64 {
        match self {
            Self::Vmcore { len, .. } | Self::File { len, .. } => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Copies a range, which may be longer than a window.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Vmcore { file, .. } | Self::File { file, .. } => file.read_exact_at(bytes, at),
            Self::Memory(memory) => {
                bytes.copy_from_slice(within(memory, at, bytes.len())?);
                Ok(())
            }
        }
    }
}

/// A window into a source.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    source: &'a Source,
    /// Offset of the window.
    start: u64,
    window: Window,
}

#[derive(Debug)]
enum Window {
    None,
    Mapped(Mapping),
    Read(Vec<u8>),
}

impl<'a> Cursor<'a> {
    /// A cursor without a window yet.
    pub fn new(source: &'a Source) -> Self {
        Self { source, start: 0, window: Window::None }
    }

    /// `len` bytes at `at`; at most [`LONGEST`].
    pub fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        if let Source::Memory(memory) = self.source {
            return within(memory, at, len);
        }
        if !self.holds(at, len) {
            self.move_to(at)?;
        }
        let from = at.wrapping_sub(self.start);
        within(self.window.bytes(), from, len)
    }

    fn holds(&self, at: u64, len: usize) -> bool {
        let from = at.checked_sub(self.start);
        from.is_some_and(|from| within(self.window.bytes(), from, len).is_ok())
    }

    fn move_to(&mut self, at: u64) -> io::Result<()> {
        let start = at / PAGE * PAGE;
        let rest = self.source.len().saturating_sub(start);
        let up_to = |most: usize| most.min(usize::try_from(rest).unwrap_or(most));
        // The old window is given back before the new one is made.
        let buffer = match std::mem::replace(&mut self.window, Window::None) {
            Window::Read(buffer) => buffer,
            Window::None | Window::Mapped(_) => Vec::new(),
        };
        if rest == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.start = start;
        self.window = match self.source {
            Source::Vmcore { file, .. } => match Mapping::new(file, start, up_to(MAPPED)) {
                Ok(mapping) => Window::Mapped(mapping),
                // Slower, but a dump.
                Err(_) => Window::Read(read(file, start, up_to(READ), buffer)?),
            },
            Source::File { file, .. } => Window::Read(read(file, start, up_to(READ), buffer)?),
            Source::Memory(_) => Window::None,
        };
        Ok(())
    }
}

impl Window {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Mapped(mapping) => mapping.bytes(),
            Self::Read(buffer) => buffer,
        }
    }
}

fn read(file: &File, at: u64, len: usize, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    buffer.resize(len, 0);
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer)
}

fn within(bytes: &[u8], at: u64, len: usize) -> io::Result<&[u8]> {
    let from = usize::try_from(at).ok();
    from.and_then(|from| bytes.get(from..from.checked_add(len)?))
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

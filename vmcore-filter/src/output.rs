//! `[8]` Where a dump is written to: a file, a raw partition, memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Zeroes written at once.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// A place for a dump. Offsets count from the dump's first byte.
pub trait Output {
    /// Writes all bytes.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads what was written.
    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Waits until everything written is on the medium.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes a range read as zeroes.
    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        write_zeroes(offset, len, |at, zeroes| self.write_at(at, zeroes))
    }
}

/// A regular file, or a block device.
impl Output for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    /// A range after the end of a regular file becomes a hole.
    fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let metadata = self.metadata()?;
        let old = if metadata.is_file() { metadata.len() } else { u64::MAX };
        if old < offset + len {
            self.set_len(offset + len)?;
        }
        let written = old.saturating_sub(offset).min(len);
        write_zeroes(offset, written, |at, zeroes| self.write_all_at(zeroes, at))
    }
}

/// Bytes in memory.
impl Output for Vec<u8> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::StorageFull)?;
        let end = from + bytes.len();
        if self.len() < end {
            self.resize(end, 0);
        }
        self[from..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok();
        let read = from.and_then(|from| self.get(from..from.checked_add(bytes.len())?));
        bytes.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_zeroes(
    offset: u64,
    len: u64,
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut at, end) = (offset, offset + len);
    while at < end {
        let part = (ZEROES.len() as u64).min(end - at);
        write(at, &ZEROES[..part as usize])?;
        at += part;
    }
    Ok(())
}

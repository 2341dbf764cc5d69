//! The guest's physical memory, read and written from outside through the file that QEMU maps.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Where 64-bit addresses continue above the hole for PCI.
const ABOVE_4G: u64 = 1 << 32;
/// From this much memory on, q35 ... (`pc_q35_init`, hw/i386/pc_q35.c).
const Q35_SPLIT_FROM: u64 = 0xb000_0000;
/// ... keeps only this much of it below the hole, so that 1 GiB pages stay aligned.
const Q35_LOW_MEMORY: u64 = 0x8000_0000;

/// How much of the memory is searched at a time.
const CHUNK: usize = 16 << 20;

/// How physical addresses are mapped onto the memory file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    low: u64,
    high: u64,
}

impl Layout {
    pub fn q35(memory: u64) -> Self {
        let low = if memory >= Q35_SPLIT_FROM { Q35_LOW_MEMORY } else { memory };
        Self { low, high: memory - low }
    }

    /// The offset of a physical address in the file, or `None` when no boot memory is there.
    pub fn offset(self, physical: u64) -> Option<u64> {
        match physical {
            _ if physical < self.low => Some(physical),
            _ if physical >= ABOVE_4G && physical - ABOVE_4G < self.high => {
                Some(physical - ABOVE_4G + self.low)
            }
            _ => None,
        }
    }
}

#[derive(Debug)]
pub struct Ram {
    file: File,
    path: PathBuf,
    layout: Layout,
}

impl Ram {
    pub fn open(path: &Path, layout: Layout) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(Error::file("open", path))?;
        Ok(Self { file, path: path.to_owned(), layout })
    }

    /// The physical addresses below the hole for PCI.
    pub fn low_memory(&self) -> Range<u64> {
        0..self.layout.low
    }

    pub fn read(&self, physical: u64, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, self.offset(physical)?)
            .map_err(Error::file("read", &self.path))?;
        Ok(bytes)
    }

    pub fn write(&self, physical: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all_at(bytes, self.offset(physical)?)
            .map_err(Error::file("write", &self.path))
    }

    pub fn flip_bit(&self, physical: u64, bit: u8) -> Result<(), Error> {
        let byte = self.read(physical, 1)?[0];
        self.write(physical, &[byte ^ 1 << bit])
    }

    /// Every physical address in `range` at which `needle` is, ascending.
    pub fn find(&self, range: &Range<u64>, needle: &[u8]) -> Result<Vec<u64>, Error> {
        let mut found = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let bytes = self.read(start, CHUNK.min((range.end - start) as usize))?;
            found.extend(memchr::memmem::find_iter(&bytes, needle).map(|at| start + at as u64));
            if start + bytes.len() as u64 == range.end {
                break;
            }
            // Chunks overlap, so that what is across a boundary is found, once.
            start += (bytes.len() - (needle.len() - 1)) as u64;
        }
        Ok(found)
    }

    /// The only physical address in `range` at which `needle` is.
    pub fn only(&self, what: &str, range: &Range<u64>, needle: &[u8]) -> Result<u64, Error> {
        match self.find(range, needle)?[..] {
            [place] => Ok(place),
            ref all => {
                Err(Error::Failed(format!("{what} in {range:x?}: one place expected, at {all:x?}")))
            }
        }
    }

    fn offset(&self, physical: u64) -> Result<u64, Error> {
        self.layout.offset(physical).ok_or_else(|| {
            Error::Failed(format!("{physical:#x}: the machine had no memory there at boot"))
        })
    }
}

//! `[a]` Physical memory of the boot before, through /proc/kcore.
//!
//! The kernel shows RAM that it has not given out, and also RAM that it has. So whatever is read
//! here may belong to this boot.

use std::io;
use std::path::Path;

use loader::machine::read_memory;
use loader::phys::PhysRange;

/// Most bytes in one read.
const MOST: u64 = 128 << 20;

/// The memory.
#[derive(Clone, Copy, Debug)]
pub struct OldMemory<'a> {
    root: &'a Path,
}

impl<'a> OldMemory<'a> {
    /// Checks that the kernel shows its memory.
    pub fn open(root: &'a Path) -> io::Result<Self> {
        std::fs::File::open(root.join("proc/kcore"))?;
        Ok(Self { root })
    }

    /// Reads `len` bytes at a physical address.
    pub fn read(&self, start: u64, len: u64) -> io::Result<Vec<u8>> {
        let range = PhysRange::with_len(start, len).filter(|range| range.len() <= MOST);
        read_memory(self.root, range.ok_or(io::ErrorKind::InvalidInput)?)
    }
}

//! `[3]` Physical memory of the crashed kernel.
//!
//! *On entry* a vmcore. *On exit* pages and short ranges by physical address.

use std::io;

use crate::memory::Memory;
use crate::source::{Cursor, LONGEST, Source};
use crate::vmcore::Vmcore;
use crate::{PAGE_LEN, Page};

/// Reads physical memory through one window. It is fast if addresses ascend.
#[derive(Debug)]
pub struct Physical<'a> {
    memory: &'a Memory,
    source: &'a Source,
    cursor: Cursor<'a>,
    /// A page of which the vmcore has only a part.
    partial: Page,
}

impl<'a> Physical<'a> {
    pub(crate) fn new(core: &'a Vmcore) -> Self {
        let cursor = Cursor::new(&core.source);
        let partial = [0; PAGE_LEN as usize];
        Self { memory: &core.memory, source: &core.source, cursor, partial }
    }

    /// One unsigned long, without moving the window: page tables and the kernel's lists are far
    /// from each other. `Ok(None)` if the vmcore does not have all of it.
    pub(crate) fn word(&self, address: u64) -> io::Result<Option<u64>> {
        let mut word = [0; 8];
        match self.memory.find(address) {
            Some((offset, follow)) if follow >= word.len() as u64 => {
                self.source.read(offset, &mut word)?;
                Ok(Some(u64::from_le_bytes(word)))
            }
            _ => Ok(None),
        }
    }

    /// Copies memory. `Ok(false)` if the vmcore does not have all of it.
    pub fn read(&mut self, address: u64, bytes: &mut [u8]) -> io::Result<bool> {
        let mut address = address;
        for part in bytes.chunks_mut(LONGEST) {
            let mut part = part;
            while !part.is_empty() {
                let Some((offset, follow)) = self.memory.find(address) else { return Ok(false) };
                let len = part.len().min(usize::try_from(follow).unwrap_or(usize::MAX));
                let (now, later) = part.split_at_mut(len);
                now.copy_from_slice(self.cursor.bytes(offset, len)?);
                address += len as u64;
                part = later;
            }
        }
        Ok(true)
    }

    /// The page with this number. If the vmcore has only a part of it, the other bytes are zero.
    pub fn page(&mut self, pfn: u64) -> io::Result<&[u8]> {
        let (start, end) = (pfn * PAGE_LEN, (pfn + 1) * PAGE_LEN);
        if let Some((offset, follow)) = self.memory.find(start)
            && follow >= PAGE_LEN
        {
            return self.cursor.bytes(offset, PAGE_LEN as usize);
        }
        self.partial.fill(0);
        for range in self.memory.touching(pfn, pfn + 1) {
            let (from, to) = (range.start.max(start), range.end.min(end));
            let offset = range.offset + (from - range.start);
            let bytes = self.cursor.bytes(offset, (to - from) as usize)?;
            let at = (from - start) as usize;
            self.partial[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Ok(&self.partial)
    }
}

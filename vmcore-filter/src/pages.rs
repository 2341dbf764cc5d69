//! `[10]` Data of pages, and their descriptors.
//!
//! *On entry* the second bitmap is in the dump, and a descriptor of zeroes for each of its pages.
//! *On exit* every page that could be read has its data. Descriptors are written after the data
//! that they point to.

use crate::PAGE_LEN;
use crate::bitmap::Bitmap;
use crate::compress::{Compressor, is_zero};
use crate::dump::{Error, OnProgress, Progress};
use crate::format::{DESCRIPTOR, Descriptor, Places};
use crate::level::Level;
use crate::output::Output;
use crate::physical::Physical;
use crate::vmcore::Vmcore;

/// Data is written in pieces of about this size.
const DATA: usize = 512 << 10;
/// So are descriptors: 4096 of them.
const DESCRIPTORS: usize = 4096 * DESCRIPTOR as usize;
/// After this much data, everything is brought onto the medium before more descriptors are written.
const SYNC_EVERY: u64 = 64 << 20;
/// Pages between two reports of progress.
const REPORT_EVERY: u64 = 4096;

/// Writes the pages of a dump.
pub(crate) struct PageWriter<'a> {
    output: &'a mut dyn Output,
    places: Places,
    level: Level,
    physical: Physical<'a>,
    compressor: Compressor,
    zero: Descriptor,
    data: Buffer,
    descriptors: Buffer,
    synced: u64,
    of: u64,
    zeroes: u64,
    saved: u64,
    unreadable: u64,
}

/// What was written.
pub(crate) struct Written {
    pub zeroes: u64,
    pub saved: u64,
    pub unreadable: u64,
    /// Bytes of the dump.
    pub end: u64,
}

impl<'a> PageWriter<'a> {
    /// Begins with the page of zeroes that others share.
    pub fn new(
        core: &'a Vmcore,
        places: &Places,
        of: u64,
        level: Level,
        output: &'a mut dyn Output,
    ) -> Result<Self, Error> {
        let at = places.descriptors + of * DESCRIPTOR;
        let mut data = Buffer::new(at, DATA + PAGE_LEN as usize);
        if level.shares_zeroes() {
            data.bytes.resize(PAGE_LEN as usize, 0);
        }
        Ok(Self {
            output,
            places: *places,
            level,
            physical: core.physical(),
            compressor: Compressor::new().ok_or(Error::NoMemory)?,
            zero: Descriptor { offset: at, len: PAGE_LEN as u32, flags: 0 },
            data,
            descriptors: Buffer::new(places.descriptors, DESCRIPTORS),
            synced: at,
            of,
            zeroes: 0,
            saved: 0,
            unreadable: 0,
        })
    }

    /// Writes the pages of the section that begins at page `first`.
    pub fn write_section(
        &mut self,
        first: u64,
        page_bits: u32,
        progress: &mut OnProgress<'_>,
    ) -> Result<(), Error> {
        let bitmap = self.read_bitmap(first, page_bits)?;
        for pfn in bitmap.pages() {
            self.write_page(pfn)?;
            if self.pages().is_multiple_of(REPORT_EVERY) && progress(self.progress()).is_break() {
                self.flush()?;
                return Err(Error::Stopped { pages: self.pages(), of: self.of });
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<Written, Error> {
        self.flush()?;
        let Self { zeroes, saved, unreadable, data, .. } = self;
        Ok(Written { zeroes, saved, unreadable, end: data.at })
    }

    fn read_bitmap(&mut self, first: u64, page_bits: u32) -> Result<Bitmap, Error> {
        let mut bitmap = Bitmap::new(page_bits);
        bitmap.move_to(first);
        let (offset, len) = self.places.part(&bitmap);
        let at = self.places.bitmap_2 + offset;
        self.output.read_at(at, &mut bitmap.bytes_mut()[..len]).map_err(Error::read_back(at))?;
        Ok(bitmap)
    }

    fn write_page(&mut self, pfn: u64) -> Result<(), Error> {
        let Ok(page) = self.physical.page(pfn) else {
            self.unreadable += 1;
            return self.write_descriptor([0; DESCRIPTOR as usize]);
        };
        if self.level.shares_zeroes() && is_zero(page) {
            self.zeroes += 1;
            return self.write_descriptor(self.zero.bytes());
        }
        let (data, flags) = self.compressor.data(page);
        let descriptor = Descriptor { offset: self.data.end(), len: data.len() as u32, flags };
        self.data.bytes.extend_from_slice(data);
        self.saved += 1;
        self.write_descriptor(descriptor.bytes())
    }

    fn write_descriptor(&mut self, bytes: [u8; DESCRIPTOR as usize]) -> Result<(), Error> {
        self.descriptors.bytes.extend(bytes);
        match self.data.bytes.len() >= DATA || self.descriptors.bytes.len() >= DESCRIPTORS {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes data first.
    fn flush(&mut self) -> Result<(), Error> {
        self.data.write(self.output)?;
        if self.data.at - self.synced >= SYNC_EVERY {
            self.output.sync().map_err(Error::write(self.data.at))?;
            self.synced = self.data.at;
        }
        self.descriptors.write(self.output)
    }

    fn pages(&self) -> u64 {
        self.zeroes + self.saved + self.unreadable
    }

    fn progress(&self) -> Progress {
        Progress { pages: self.pages(), of: self.of, bytes: self.data.end() }
    }
}

/// Bytes that are written later, where those before them end.
struct Buffer {
    at: u64,
    bytes: Vec<u8>,
}

impl Buffer {
    fn new(at: u64, capacity: usize) -> Self {
        Self { at, bytes: Vec::with_capacity(capacity) }
    }

    fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn write(&mut self, output: &mut dyn Output) -> Result<(), Error> {
        output.write_at(self.at, &self.bytes).map_err(Error::write(self.at))?;
        self.at = self.end();
        self.bytes.clear();
        Ok(())
    }
}

//! `[9]` Writes a dump.
//!
//! *On entry* a vmcore, and a place for the dump. *On exit* the dump is on the medium.
//!
//! A dump that is interrupted can be read as far as it got:
//!
//! 1. The old header is cleared, so that a mixture of two dumps is never taken for one.
//! 2. Notes and bitmaps are written, and descriptors of zeroes.
//! 3. The header is written. It says that the dump is incomplete.
//! 4. Data of pages is written, and descriptors after the data that they point to.
//! 5. The header is written again. It says that the dump is complete.

use std::io;
use std::ops::ControlFlow;

use crate::bitmap::Bitmap;
use crate::classes::{Classes, LeftOut};
use crate::facts;
use crate::format::{BLOCK, DESCRIPTOR, INCOMPLETE, Places, ZSTD};
use crate::level::Level;
use crate::output::Output;
use crate::pages::PageWriter;
use crate::vmcore::Vmcore;
use crate::{PAGE_LEN, Unfiltered};

/// A bitmap of 2^15 pages fills a block.
const BLOCK_PAGE_BITS: u32 = 15;

/// Both bitmaps of memory below 1 TiB, in bytes. Longer ones must not be longer than the memory.
const SHORT_BITMAPS: u64 = 64 << 20;

/// Why there is no dump, or an incomplete one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The dump cannot be written, for example because the medium is full.
    #[error("cannot write the dump at offset {offset}: {source}")]
    Write {
        /// Offset in the dump.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The bitmap that was written cannot be read back.
    #[error("cannot read the dump's bitmap back at offset {offset}: {source}")]
    ReadBack {
        /// Offset in the dump.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// A little memory at a high address would need bitmaps that are longer than the memory.
    /// Nothing was written.
    #[error(
        "memory up to {end:#x} needs bitmaps of {len} bytes, more than {most}, although the vmcore \
         has only {memory} bytes of memory; its program headers are damaged"
    )]
    LongBitmaps {
        /// The address after the last page.
        end: u64,
        /// Bytes of both bitmaps.
        len: u64,
        /// The limit.
        most: u64,
        /// Bytes of memory in the vmcore.
        memory: u64,
    },
    /// There is no memory for the compressor.
    #[error("out of memory for compressing pages")]
    NoMemory,
    /// The caller ended it.
    #[error("the dump was stopped after {pages} of {of} pages")]
    Stopped {
        /// Pages that are in it.
        pages: u64,
        /// Pages that it should have.
        of: u64,
    },
}

impl Error {
    pub(crate) fn write(offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { offset, source }
    }

    pub(crate) fn read_back(offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::ReadBack { offset, source }
    }
}

/// How far a dump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Pages that are in the dump, zeroes included.
    pub pages: u64,
    /// Pages that it will have.
    pub of: u64,
    /// Bytes of the dump that were written.
    pub bytes: u64,
}

/// What a dump contains.
#[derive(Debug)]
pub struct Summary {
    /// Pages of the vmcore.
    pub pages: u64,
    /// Pages that the dump does not have.
    pub left_out: LeftOut,
    /// Pages of zeroes, which share their data.
    pub zeroes: u64,
    /// Pages with data of their own.
    pub saved: u64,
    /// Pages that could not be read from the vmcore. If there are any, the dump says that it is
    /// incomplete.
    pub unreadable: u64,
    /// Bytes of the dump. A file that was longer, or a partition, has other bytes after them.
    pub bytes: u64,
    /// Why free pages were kept although the level leaves them out.
    pub unfiltered: Option<Unfiltered>,
}

/// Called about every 16 MiB of memory. `Break` ends the dump.
pub type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Writes a dump of `core` to `output`, from offset 0.
///
/// If free pages cannot be found, they are kept, and the summary says why.
///
/// A regular file that was longer keeps its old bytes after the dump. The caller cuts them off with
/// `set_len(summary.bytes)`.
///
/// # Errors
///
/// After [`Error::LongBitmaps`] the output is unchanged. After any other error there is no dump, or
/// an incomplete one, which can be read as far as it got.
pub fn dump(
    core: &Vmcore,
    level: Level,
    output: &mut dyn Output,
    progress: &mut OnProgress<'_>,
) -> Result<Summary, Error> {
    let (mut classes, unfiltered) = match level {
        Level::Everything | Level::NoZeroes => (None, None),
        Level::NoFreeOrZeroes => match Classes::find(core) {
            Ok(classes) => (Some(classes), None),
            Err(reason) => (None, Some(reason)),
        },
    };
    let done = if unfiltered.is_some() { Level::NoZeroes } else { level };
    let headers = facts::headers(core, done.number());
    let places = headers.places();
    check_bitmaps(core, 2 * places.bitmap_len)?;

    output.zero(0, BLOCK).map_err(Error::write(0))?;
    output.write_at(BLOCK, &headers.sub_header()).map_err(Error::write(BLOCK))?;
    let notes = core.notes().bytes();
    output.write_at(places.notes, notes).map_err(Error::write(places.notes))?;
    let bitmaps = write_bitmaps(core, classes.as_mut(), &places, output)?;
    let descriptors_len = bitmaps.kept * DESCRIPTOR;
    output.zero(places.descriptors, descriptors_len).map_err(Error::write(places.descriptors))?;

    let write_header = |status, output: &mut dyn Output| {
        output.sync()?;
        output.write_at(0, &headers.header(status))?;
        output.sync()
    };
    write_header(ZSTD | INCOMPLETE, output).map_err(Error::write(0))?;

    let mut pages = PageWriter::new(core, &places, bitmaps.kept, done, output)?;
    for first in core.memory.sections(bitmaps.page_bits) {
        pages.write_section(first, bitmaps.page_bits, progress)?;
    }
    let written = pages.finish()?;

    let status = if written.unreadable == 0 { ZSTD } else { ZSTD | INCOMPLETE };
    write_header(status, output).map_err(Error::write(0))?;
    Ok(Summary {
        pages: bitmaps.pages,
        left_out: bitmaps.left_out,
        zeroes: written.zeroes,
        saved: written.saved,
        unreadable: written.unreadable,
        bytes: written.end,
        unfiltered,
    })
}

/// Bitmaps reach from address 0 to the last page. A damaged address near 2^52 would make them 256
/// GiB long.
fn check_bitmaps(core: &Vmcore, len: u64) -> Result<(), Error> {
    let memory = core.memory.len();
    let most = SHORT_BITMAPS.max(memory);
    match len <= most {
        true => Ok(()),
        false => {
            Err(Error::LongBitmaps { end: core.memory.end_pfn() * PAGE_LEN, len, most, memory })
        }
    }
}

/// What the bitmaps say.
struct Bitmaps {
    page_bits: u32,
    pages: u64,
    left_out: LeftOut,
    /// Pages in the second bitmap.
    kept: u64,
}

/// Writes both bitmaps, section by section. The second is read back later: so memory that a device
/// still changes cannot make bitmap and descriptors disagree.
fn write_bitmaps(
    core: &Vmcore,
    mut classes: Option<&mut Classes<'_>>,
    places: &Places,
    output: &mut dyn Output,
) -> Result<Bitmaps, Error> {
    let zeroes = output.zero(places.bitmap_1, 2 * places.bitmap_len);
    zeroes.map_err(Error::write(places.bitmap_1))?;
    let page_bits = classes.as_ref().map_or(BLOCK_PAGE_BITS, |classes| classes.page_bits());
    let mut bitmap = Bitmap::new(page_bits);
    let mut found = Bitmaps { page_bits, pages: 0, left_out: LeftOut::default(), kept: 0 };
    for first in core.memory.sections(page_bits) {
        bitmap.load(first, &core.memory);
        let before = bitmap.count();
        let mut write = |bitmap: &Bitmap, to: u64| {
            let (offset, len) = places.part(bitmap);
            output.write_at(to + offset, &bitmap.bytes()[..len]).map_err(Error::write(to + offset))
        };
        write(&bitmap, places.bitmap_1)?;
        if let Some(classes) = &mut classes {
            found.left_out += classes.remove_free(&mut bitmap);
        }
        write(&bitmap, places.bitmap_2)?;
        found.pages += before;
        found.kept += bitmap.count();
    }
    Ok(found)
}

//! The memory that a dump of `load --capture` describes.
//!
//! *On entry*: /init has said that the dump is saved. *On exit*: the memory that the elfcorehdr
//! listed, without what the filter left out because the kernel had no such memory; or why the dump
//! is not whole.

use std::ops::Range;

use capture_init::State;
use vmcore_filter::{PAGE_LEN, PageState, ReadError};

use super::draw::BLOCK;
use crate::error::{Error, check, check_eq};
use crate::evidence::elfcore::ElfCore;
use crate::evidence::iomem::{Iomem, without_any};
use crate::stage::saved::Saved;

/// The part of the elfcorehdr's list that the dump describes. `iomem` is of the crashed kernel.
///
/// A block may consist of free pages, of which the dump has none. So a block without a page counts
/// as left out if it was not there. If the filter says that it left out more, blocks in `moving`,
/// which come or go, count first, and then all.
pub(super) fn described(
    saved: &Saved,
    elfcorehdr: &ElfCore,
    iomem: &Iomem,
    moving: Option<Range<u64>>,
) -> Result<Vec<Range<u64>>, Error> {
    let Saved { record, dump, .. } = saved;
    check_eq!(record.state, State::Complete, "state in the record")?;
    check_eq!(record.troubles, [""; 0], "troubles in the record")?;
    check!(dump.is_complete(), "the dump: expected to be complete")?;
    let checked = saved.check()?;
    check_eq!(checked.saved, dump.pages(), "pages of the dump that can be read")?;
    let pages = record.dump.and_then(|dump| dump.pages);
    let pages = pages.ok_or_else(|| Error::Failed("the record does not count pages".into()))?;
    let pages_listed = elfcorehdr.memory().iter().map(pages_of).sum::<u64>();
    check_eq!(pages.all, pages_listed, "pages of /proc/vmcore, by the elfcorehdr in memory")?;
    let listed = iomem.dumpable(&elfcorehdr.memory());
    let gone = without_any(&listed, &iomem.dumped());
    let mut left_out = without_pages(saved, &gone)?;
    let present = without_any(&listed, &gone);
    let others = without_any(&present, moving.as_slice());
    for suspects in [without_any(&present, &others), others] {
        if pages.absent * PAGE_LEN > bytes(&left_out) {
            left_out.extend(without_pages(saved, &suspects)?);
        }
    }
    Ok(without_any(&listed, &left_out))
}

/// The memory blocks in these ranges of which the dump has no page.
fn without_pages(saved: &Saved, ranges: &[Range<u64>]) -> Result<Vec<Range<u64>>, Error> {
    let mut blocks: Vec<_> = ranges.iter().flat_map(blocks).collect();
    let mut failed = None;
    blocks.retain(|block| {
        let has = has_any(saved, block);
        matches!(has.map_err(|error| failed = Some(error)), Ok(false))
    });
    match failed {
        Some(error) => Err(Error::Failed(error.to_string())),
        None => Ok(blocks),
    }
}

/// The range in parts that each belong to one memory block.
fn blocks(range: &Range<u64>) -> Vec<Range<u64>> {
    let starts = (range.start / BLOCK * BLOCK..range.end).step_by(BLOCK as usize);
    starts.map(|start| start.max(range.start)..(start + BLOCK).min(range.end)).collect()
}

fn has_any(saved: &Saved, range: &Range<u64>) -> Result<bool, ReadError> {
    let (mut reader, mut page) = (saved.dump.reader()?, [0; PAGE_LEN as usize]);
    for pfn in range.start / PAGE_LEN..range.end.div_ceil(PAGE_LEN) {
        if reader.page(pfn, &mut page)? != PageState::LeftOut {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pages_of(range: &Range<u64>) -> u64 {
    range.end.div_ceil(PAGE_LEN) - range.start / PAGE_LEN
}

fn bytes(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_where_memory_blocks_end() {
        let range = BLOCK / 2..2 * BLOCK + 4096;
        let parts = [BLOCK / 2..BLOCK, BLOCK..2 * BLOCK, 2 * BLOCK..2 * BLOCK + 4096];
        assert_eq!(blocks(&range), parts);
        assert_eq!(blocks(&(BLOCK..2 * BLOCK)).len(), 1);
    }
}

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

/// The part of the elfcorehdr's list that the dump describes. `iomem` is of the crashed kernel, and
/// memory in `moving` came or went when it panicked.
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
    let absent = pages.absent * PAGE_LEN;
    let has_page =
        |block: &_| has_page(saved, block).map_err(|error| Error::Failed(error.to_string()));
    let left_out = left_out(&listed, &iomem.dumped(), moving.as_slice(), absent, has_page)?;
    Ok(without_any(&listed, &left_out))
}

/// The memory blocks of the list that the filter left out because the kernel had no such memory:
/// `absent` bytes, by its own count.
///
/// Such a block has no page in the dump. Nor has a block of free pages. So of the memory that was
/// `there`, blocks are suspected only if the count says that more was left out: first those of
/// `moving`, then all.
fn left_out(
    listed: &[Range<u64>],
    there: &[Range<u64>],
    moving: &[Range<u64>],
    absent: u64,
    has_page: impl Fn(&Range<u64>) -> Result<bool, Error>,
) -> Result<Vec<Range<u64>>, Error> {
    let gone = without_any(listed, there);
    let present = without_any(listed, &gone);
    let others = without_any(&present, moving);
    let mut left_out = Vec::new();
    for suspects in [gone, without_any(&present, &others), others] {
        for block in suspects.iter().flat_map(blocks) {
            if !has_page(&block)? {
                left_out.push(block);
            }
        }
        if absent <= left_out.iter().map(|block| block.end - block.start).sum() {
            break;
        }
    }
    Ok(left_out)
}

/// The range in parts that each belong to one memory block.
fn blocks(range: &Range<u64>) -> Vec<Range<u64>> {
    let starts = (range.start / BLOCK * BLOCK..range.end).step_by(BLOCK as usize);
    starts.map(|start| start.max(range.start)..(start + BLOCK).min(range.end)).collect()
}

fn has_page(saved: &Saved, range: &Range<u64>) -> Result<bool, ReadError> {
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

    const FIRST: Range<u64> = 0..BLOCK;
    const SECOND: Range<u64> = BLOCK..2 * BLOCK;
    const THIRD: Range<u64> = 2 * BLOCK..3 * BLOCK;

    /// Of three blocks in the list, those that are left out if the dump has pages of `with_pages`.
    fn left_out_of(
        there: &[Range<u64>],
        moving: &[Range<u64>],
        absent: u64,
        with_pages: &[Range<u64>],
    ) -> Vec<Range<u64>> {
        let has_page = |block: &_| Ok(with_pages.contains(block));
        left_out(&[FIRST, SECOND, THIRD], there, moving, absent, has_page).unwrap()
    }

    #[test]
    fn a_block_that_was_gone_is_left_out_unless_the_dump_has_a_page_of_it() {
        let gone = |with_pages: &[_]| left_out_of(&[FIRST, SECOND], &[], BLOCK, with_pages);
        assert_eq!(gone(&[FIRST, SECOND]), [THIRD]);
        assert_eq!(gone(&[FIRST, SECOND, THIRD]), [] as [Range<u64>; 0]);
    }

    #[test]
    fn a_block_of_free_pages_is_not_left_out_and_one_that_moves_is_suspected_first() {
        let all = [FIRST, SECOND, THIRD];
        assert_eq!(left_out_of(&all, &[], 0, &[FIRST, THIRD]), [] as [Range<u64>; 0]);
        assert_eq!(left_out_of(&all, &[THIRD], BLOCK, &[FIRST]), [THIRD]);
        assert_eq!(left_out_of(&all, &[], BLOCK, &[FIRST, THIRD]), [SECOND]);
        assert_eq!(left_out_of(&[FIRST, SECOND], &[SECOND], BLOCK, &[FIRST]), [THIRD]);
    }
}

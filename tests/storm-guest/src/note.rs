//! The note that the trigger leaves in memory just before the panic: the kernel's memory map,
//! counts of its probes, and whether an image was armed. The runner finds it in the guest's memory,
//! with or without a dump.
//!
//! The note's pages are anywhere in physical memory. Each begins with the magic number, the seed of
//! its run and its index:
//!
//! ```text
//! 0x00  MAGIC      16 bytes
//! 0x10  seed       u64, little-endian
//! 0x18  index      u32: which page of the note
//! 0x1c  len        u32: bytes of text in this page
//! 0x20  text
//! ```

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// How a page of a note begins. The constant is reversed, so that the programs' own text does not
/// look like a note.
const CIGAM: [u8; 16] = *b"reggirt eht nees";
/// Where the text begins.
const TEXT_AT: usize = 0x20;
/// Text in one page.
pub const TEXT_LEN: usize = PAGE - TEXT_AT;

/// The first bytes of every page of the note of this seed.
pub fn mark(seed: u64) -> [u8; 24] {
    let mut mark = [0; 24];
    for (to, from) in mark.iter_mut().zip(CIGAM.iter().rev()) {
        *to = *from;
    }
    mark[16..].copy_from_slice(&seed.to_le_bytes());
    mark
}

/// Makes `page` the page `index` of the note, with as much of `text` as fits; returns how much.
///
/// # Panics
/// If `page` does not have [`PAGE`] bytes.
pub fn write(page: &mut [u8], seed: u64, index: u32, text: &[u8]) -> usize {
    assert_eq!(page.len(), PAGE);
    let len = text.len().min(TEXT_LEN);
    page[TEXT_AT..TEXT_AT + len].copy_from_slice(&text[..len]);
    page[0x18..0x1c].copy_from_slice(&index.to_le_bytes());
    page[0x1c..0x20].copy_from_slice(&(len as u32).to_le_bytes());
    // Last: a page with the mark is complete.
    page[..24].copy_from_slice(&mark(seed));
    len
}

/// The text of a note from its pages, in any order; `None` if one is missing.
pub fn read<'a>(pages: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    let mut parts: Vec<(u32, &[u8])> = Vec::new();
    for page in pages {
        let number = |at: usize| Some(u32::from_le_bytes(page.get(at..at + 4)?.try_into().ok()?));
        let (index, len) = (number(0x18)?, number(0x1c)? as usize);
        parts.push((index, page.get(TEXT_AT..TEXT_AT + len)?));
    }
    parts.sort_by_key(|(index, _)| *index);
    parts.dedup_by_key(|(index, _)| *index);
    let complete = parts.iter().enumerate().all(|(place, (index, _))| place as u32 == *index);
    // Only the last page is not full.
    let ended = parts.last().is_some_and(|(_, text)| text.len() < TEXT_LEN);
    if !complete || !ended {
        return None;
    }
    let bytes: Vec<u8> = parts.into_iter().flat_map(|(_, text)| text.iter().copied()).collect();
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &[u8]) -> Vec<[u8; PAGE]> {
        let mut rest = text;
        let mut pages = Vec::new();
        loop {
            let mut page = [0; PAGE];
            let taken = write(&mut page, 7, pages.len() as u32, rest);
            pages.push(page);
            rest = &rest[taken..];
            if taken < TEXT_LEN {
                return pages;
            }
        }
    }

    fn read_back(pages: &[[u8; PAGE]]) -> Option<String> {
        read(pages.iter().map(|page| &page[..]))
    }

    #[test]
    fn a_note_of_several_pages_is_read_in_any_order_and_only_if_it_is_complete() {
        let text = "iomem ".repeat(1500);
        let mut written = pages(text.as_bytes());
        assert_eq!(written.len(), 3);
        assert!(written[0].starts_with(b"seen the trigger\x07\0"));
        assert_eq!(read_back(&written[1..]), None);
        assert_eq!(read_back(&written[..2]), None);
        assert_eq!(read_back(&[]), None);
        written.reverse();
        assert_eq!(read_back(&written), Some(text));
    }

    #[test]
    fn text_that_fills_a_page_is_followed_by_an_empty_one() {
        let written = pages(&[b'x'; TEXT_LEN]);
        assert_eq!(written.len(), 2);
        assert_eq!(read_back(&written).unwrap().len(), TEXT_LEN);
    }
}

//! A dump, read back: the pages that it has are those whose bits are set, a page without
//! compression has the bytes that its descriptor names, and a count of all pages agrees with
//! reading each.
//!
//! An input is a kdump-compressed dump.

use std::ops::ControlFlow;

use vmcore_filter::{Checked, DumpFile, Level, PageState, Vmcore, dump};

use crate::bytes::word;
use crate::vmcore::{KERNEL, seed};
use crate::{Answer, Seed};

const BLOCK: u128 = 4096;
/// Pages that are read one by one.
const MOST_PAGES: u64 = 1 << 12;

/// Checks one dump.
pub fn check(data: &[u8]) -> Answer {
    let Ok(dump) = DumpFile::from_bytes(data.to_vec()) else { return Answer::Refused };
    let field = |at, len| word(data, at, len).expect("the headers are in the file");
    let bitmap_blocks = field(436, 4) / 2;
    let bitmap_1 = BLOCK * (1 + field(432, 4));
    let bitmap_2 = bitmap_1 + BLOCK * bitmap_blocks;
    let descriptors = bitmap_1 + BLOCK * field(436, 4);
    let max_mapnr = field(BLOCK + 96, 8);
    assert_eq!((dump.max_mapnr().into(), dump.is_complete()), (max_mapnr, field(424, 4) & 8 == 0));
    let byte = |at| word(data, at, 1).expect("the bitmap is in the file");
    let ones: u32 = (0..bitmap_blocks * BLOCK).map(|at| byte(bitmap_2 + at).count_ones()).sum();
    assert_eq!(dump.pages(), u64::from(ones));

    let mut reader = dump.reader().expect("memory");
    let (mut found, mut rank, mut all_read) = (Checked::default(), 0u128, true);
    for pfn in 0..dump.max_mapnr().saturating_add(1).min(MOST_PAGES) {
        let mut page = [0; BLOCK as usize];
        let is_set = u128::from(pfn) < max_mapnr
            && byte(bitmap_2 + u128::from(pfn / 8)) >> (pfn % 8) & 1 == 1;
        let state = reader.page(pfn, &mut page);
        if !is_set {
            assert_eq!(state.expect("nothing is read"), PageState::LeftOut, "page {pfn:#x}");
            continue;
        }
        let at = descriptors + rank * 24;
        rank += 1;
        let descriptor =
            [(0, 8), (8, 4), (12, 4), (16, 8)].map(|(from, len)| word(data, at + from, len));
        let [Some(offset), Some(len), Some(flags), Some(_)] = descriptor else {
            assert!(state.is_err(), "page {pfn:#x} has no descriptor");
            all_read = false;
            continue;
        };
        match state.expect("its descriptor is in the file") {
            PageState::LeftOut => panic!("page {pfn:#x} has a bit"),
            PageState::Missing => {
                assert_eq!((offset, len, flags), (0, 0, 0));
                found.missing += 1;
            }
            PageState::Saved => {
                assert!(len <= BLOCK && (flags == 0x20 || (flags, len) == (0, BLOCK)));
                if flags == 0 {
                    assert!(data[offset as usize..].starts_with(&page), "page {pfn:#x}");
                }
                found.saved += 1;
            }
            PageState::Damaged => found.damaged += 1,
        }
    }
    let is_whole = rank == u128::from(ones) && all_read;
    match dump.check() {
        Ok(checked) if is_whole => assert_eq!(checked, found),
        Ok(_) => {}
        Err(_) => assert!(!is_whole),
    }
    if found.saved > 0 { Answer::Taken } else { Answer::Refused }
}

/// Dumps of a small kernel at each level, one that was interrupted, and one of another version.
pub fn seeds() -> Vec<Seed> {
    let core = Vmcore::from_bytes(seed(KERNEL)).expect("a core");
    let dumped = |level| {
        let mut output = Vec::new();
        let written = dump(&core, level, &mut output, &mut |_| ControlFlow::Continue(()));
        written.expect("memory has room");
        output
    };
    let whole = dumped(Level::NoFreeOrZeroes);
    let mut interrupted = whole.clone();
    interrupted[424] |= 8;
    // The descriptor of its first page.
    interrupted[4 * BLOCK as usize..][..24].fill(0);
    let mut older = whole.clone();
    older[8] = 5;
    vec![
        Seed::taken("everything", dumped(Level::Everything)),
        Seed::taken("no-zeroes", dumped(Level::NoZeroes)),
        Seed::taken("no-free-or-zeroes", whole),
        Seed::taken("interrupted", interrupted),
        Seed::refused("version-5", older),
    ]
}

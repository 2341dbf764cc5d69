//! Free, broken, offline and absent pages are left out, and no others.

use std::ops::ControlFlow;

use proptest::prelude::*;
use vmcore_filter::{DumpFile, LeftOut, Level, Vmcore, dump};

use crate::kernel::{COMPOUND, KINDS, Kernel, PAGES};
use crate::{cases, left_out, save};

#[test]
fn free_broken_and_offline_pages_are_left_out_and_all_others_come_back() {
    for kind in KINDS {
        let mut kernel = Kernel::new(kind);
        kernel.free(512, 3);
        kernel.free(701, 0);
        kernel.poison(800);
        // A balloon holds its pages, so they have a user.
        kernel.mark(900, 0, kind.offline, 1);
        kernel.mark(901, 0, kind.offline, 0);
        let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
        assert!(summary.unfiltered.is_none(), "{kind:?}: {:?}", summary.unfiltered);
        let expected: Vec<usize> = (512..520).chain([701, 800, 900, 901]).collect();
        assert_eq!(left_out(&kernel, &dump), expected, "{kind:?}");
        let LeftOut { free, poisoned, offline, absent } = summary.left_out;
        assert_eq!((free, poisoned, offline, absent), (9, 1, 2, 0));
        assert!(dump.is_complete() && dump.level() == 17);
        assert_eq!(dump.vmcoreinfo().unwrap().value("OSRELEASE"), Some("6.12.0"));
    }
}

#[test]
fn block_that_the_guest_has_not_accepted_is_left_out_whole() {
    const UNACCEPTED: i32 = -150_994_944;
    let mut kernel = Kernel::new(KINDS[2]);
    // Only the first page of such a block is marked, and blocks have the largest order.
    kernel.vmcoreinfo = kernel.vmcoreinfo.replace("(zone.free_area)=11", "(zone.free_area)=9");
    kernel.vmcoreinfo += &format!("NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)={UNACCEPTED}\n");
    kernel.mark(512, 0, UNACCEPTED, 0);
    kernel.mark(769, 0, UNACCEPTED, 0); // not aligned
    let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
    assert_eq!(left_out(&kernel, &dump), (512..768).collect::<Vec<_>>());
    assert_eq!(summary.left_out, LeftOut { offline: 256, ..LeftOut::default() });
}

#[test]
fn a_page_that_is_not_surely_free_is_kept() {
    let mut kernel = Kernel::new(KINDS[2]);
    let buddy = KINDS[2].buddy;
    kernel.mark(512, 3, buddy, 1); // it has a user
    kernel.free(514, 3); // not aligned to its size
    kernel.free(600, 11); // more than the largest order
    kernel.mark(602, 1 << 32, buddy, 0); // a private pointer
    kernel.mark(604, 0, buddy + 1, 0); // another type
    kernel.mark(605, 0, KINDS[2].offline + 1, 1);
    let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
    assert_eq!(left_out(&kernel, &dump), []);
    assert_eq!(summary.left_out, LeftOut::default());
}

/// hugetlb marks the head, whichever page is broken.
#[test]
fn every_page_of_a_huge_page_with_a_broken_one_is_left_out() {
    let head = Kernel::struct_at(512);
    // A mask of the address's low bits, as from Linux 7.3 on: 256 structs of 64 bytes.
    let mask = !(256 * 64 - 1);
    for (key, info) in [("compound_head", head | 1), ("compound_info", mask | 1)] {
        let mut kernel = Kernel::new(KINDS[2]);
        kernel.vmcoreinfo += &format!("OFFSET(page.{key})={COMPOUND}\n");
        kernel.poison(512);
        (513..768).for_each(|pfn| kernel.name_head(pfn, info));
        // The memory of these structs is mapped twice: one of them looks like the head.
        kernel.poison(576);
        kernel.name_head(576, 0);
        // Another huge page, and a broken page of 4 KiB.
        (769..800).for_each(|pfn| kernel.name_head(pfn, Kernel::struct_at(768) | 1));
        kernel.poison(900);
        let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
        let expected: Vec<usize> = (512..768).chain([900]).collect();
        assert_eq!(left_out(&kernel, &dump), expected, "{key}");
        assert_eq!(summary.left_out, LeftOut { poisoned: 257, ..LeftOut::default() });
    }
}

/// The headers list the kernel's memory twice: where it is, and where memory was removed.
#[test]
fn memory_that_was_removed_is_left_out() {
    const SECOND: usize = 1 << 15; // the first page of section 1
    let kernel = Kernel::new(KINDS[2]);
    let core = Vmcore::from_bytes(kernel.core_with_removed(SECOND)).unwrap();
    for (level, pages) in [(Level::NoFreeOrZeroes, PAGES), (Level::NoZeroes, 2 * PAGES)] {
        let mut output = Vec::new();
        let summary = dump(&core, level, &mut output, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(summary.unfiltered.is_none(), "{:?}", summary.unfiltered);
        let absent = summary.left_out.absent as usize;
        assert_eq!((absent, summary.pages as usize), (2 * PAGES - pages, 2 * PAGES));
        let dump = DumpFile::from_bytes(output).unwrap();
        assert_eq!(dump.pages() as usize, pages);
        assert_eq!(left_out(&kernel, &dump), []);
    }
}

#[test]
fn other_levels_keep_free_pages() {
    let mut kernel = Kernel::new(KINDS[0]);
    kernel.free(512, 3);
    for level in [Level::Everything, Level::NoZeroes] {
        let (summary, dump) = save(&kernel, level);
        assert_eq!(left_out(&kernel, &dump), [], "{level:?}");
        assert!(summary.unfiltered.is_none());
        assert_eq!(summary.zeroes > 0, level == Level::NoZeroes);
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_free_blocks_are_left_out_exactly(
        blocks in prop::collection::btree_map(70_usize..256, 0_u64..3, 0..40)
    ) {
        let mut kernel = Kernel::new(KINDS[3]);
        let mut expected = Vec::new();
        // Each place has four pages, so blocks do not overlap.
        for (place, order) in blocks {
            kernel.free(place * 4, order);
            expected.extend(place * 4..place * 4 + (1 << order));
        }
        let (_, dump) = save(&kernel, Level::NoFreeOrZeroes);
        prop_assert_eq!(left_out(&kernel, &dump), expected);
    }
}

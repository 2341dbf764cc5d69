//! Dumps of a made-up kernel, read back page by page.

mod kernel;

use std::io;
use std::ops::ControlFlow;

use kernel::{KERNELS_OWN, KINDS, Kernel, PAGE, PAGES};
use proptest::prelude::*;
use vmcore_filter::{
    DumpFile, Error, LeftOut, Level, OpenError, Output, PageState, Summary, Vmcore, dump,
};

/// `p_paddr` of the only PT_LOAD.
const PHYSICAL: std::ops::Range<usize> = 64 + 56 + 24..64 + 56 + 32;

fn save(kernel: &Kernel, level: Level) -> (Summary, DumpFile) {
    let core = Vmcore::from_bytes(kernel.core()).unwrap();
    let mut output = Vec::new();
    let summary = dump(&core, level, &mut output, &mut |_| ControlFlow::Continue(())).unwrap();
    output.truncate(summary.bytes as usize);
    (summary, DumpFile::from_bytes(output).unwrap())
}

/// The pages that a dump left out; all others must be those of the kernel.
fn left_out(kernel: &Kernel, dump: &DumpFile) -> Vec<usize> {
    let (mut reader, mut left_out) = (dump.reader().unwrap(), Vec::new());
    for pfn in 0..PAGES {
        let mut page = [0; PAGE];
        match reader.page(pfn as u64, &mut page).unwrap() {
            PageState::Saved => assert!(page == kernel.page(pfn), "page {pfn} has other bytes"),
            PageState::LeftOut => left_out.push(pfn),
            state => panic!("page {pfn} is {state:?}"),
        }
    }
    left_out
}

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
fn list_of_sections_without_the_kernels_own_is_not_believed() {
    let mut kernel = Kernel::new(KINDS[2]);
    kernel.free(512, 3);
    kernel.forget_section(0);
    let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
    let reason = summary.unfiltered.unwrap().to_string();
    assert!(reason.contains("memory sections"), "{reason}");
    assert_eq!(left_out(&kernel, &dump), []);
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

/// Lines that not every kernel has.
const OPTIONAL: [&str; 2] = ["NUMBER(PG_hwpoison)", "NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)"];

#[test]
fn lines_that_not_every_kernel_has_may_be_missing_but_not_damaged() {
    for name in OPTIONAL {
        for damage in ["missing", "x", "-5000000000"] {
            let mut kernel = Kernel::new(KINDS[0]);
            kernel.free(512, 3);
            let at = kernel.vmcoreinfo.find(name).unwrap();
            let rest = kernel.vmcoreinfo.split_off(at);
            if damage != "missing" {
                kernel.vmcoreinfo += &format!("{name}={damage}\n");
            }
            kernel.vmcoreinfo += rest.split_once('\n').unwrap().1;
            let (summary, _) = save(&kernel, Level::NoFreeOrZeroes);
            assert_eq!(summary.unfiltered.is_some(), damage != "missing", "{name}: {damage}");
        }
    }
}

/// Every line that free pages depend on.
#[test]
fn vmcoreinfo_without_a_line_or_with_a_damaged_one_leaves_a_complete_dump() {
    let whole = Kernel::new(KINDS[0]).vmcoreinfo;
    let needed = whole
        .lines()
        .filter(|line| line.contains('(') && !OPTIONAL.iter().any(|name| line.starts_with(name)));
    let mut tried = 0;
    for line in needed {
        let (key, value) = line.split_once('=').unwrap();
        let damaged = [String::new(), format!("{key}=\n"), format!("{key}=-{value}x\n")];
        for other in damaged.into_iter().chain([format!("{key}=999999999999\n")]) {
            let mut kernel = Kernel::new(KINDS[0]);
            kernel.free(512, 3);
            kernel.vmcoreinfo = whole.replace(&format!("{line}\n"), &other);
            let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
            // A longer array of sections, or another field that reads 0, is believed.
            if other.contains("=9") && summary.unfiltered.is_none() {
                continue;
            }
            assert!(summary.unfiltered.is_some(), "{line:?} became {other:?}");
            assert_eq!(left_out(&kernel, &dump), [], "{other:?}");
            assert_eq!(dump.level(), 1, "the dump says what it has");
            tried += 1;
        }
    }
    assert!(tried >= 3 * 13, "{tried} damages were noticed");
}

#[test]
fn page_tables_that_lead_elsewhere_are_not_followed() {
    let mut kernel = Kernel::new(KINDS[0]);
    kernel.free(512, 3);
    kernel.vmcoreinfo = kernel.vmcoreinfo.replace("(phys_base)=0", "(phys_base)=4096");
    let (summary, dump) = save(&kernel, Level::NoFreeOrZeroes);
    let reason = summary.unfiltered.unwrap().to_string();
    assert!(reason.contains("page tables"), "{reason}");
    assert_eq!(left_out(&kernel, &dump), []);
}

/// A medium that is full after so many writes.
struct Full {
    bytes: Vec<u8>,
    writes: usize,
}

impl Output for Full {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let left = self.writes.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        self.writes = left;
        self.bytes.write_at(offset, bytes)
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_interrupted_dump_is_readable_as_far_as_it_got() {
    let mut kernel = Kernel::new(KINDS[0]);
    // Each page differs, so that there is more than one write of data.
    for pfn in KERNELS_OWN.end..PAGES {
        let mut numbers = proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        );
        let page = &mut kernel.memory[pfn * PAGE..(pfn + 1) * PAGE];
        numbers.fill_bytes(page);
        page[..8].copy_from_slice(&pfn.to_le_bytes());
    }
    let core = Vmcore::from_bytes(kernel.core()).unwrap();
    let (mut unreadable, mut partial, mut complete) = (0, 0, 0);
    for writes in 0.. {
        let mut full = Full { bytes: Vec::new(), writes };
        let level = Level::NoFreeOrZeroes;
        let ended = dump(&core, level, &mut full, &mut |_| ControlFlow::Continue(()));
        // The medium is as large as a whole dump.
        full.bytes.resize(full.bytes.len().max(8 << 20), 0);
        let Ok(dump) = DumpFile::from_bytes(full.bytes) else {
            unreadable += 1;
            continue;
        };
        let checked = dump.check().unwrap();
        assert_eq!(checked.damaged, 0, "after {writes} writes");
        assert_eq!(checked.saved + checked.missing, PAGES as u64, "after {writes} writes");
        let mut reader = dump.reader().unwrap();
        let mut page = [0; PAGE];
        for pfn in 0..PAGES {
            if reader.page(pfn as u64, &mut page).unwrap() == PageState::Saved {
                assert!(page == kernel.page(pfn), "page {pfn} after {writes} writes");
            }
        }
        if ended.is_ok() {
            assert!(dump.is_complete() && checked.missing == 0);
            complete += 1;
            break;
        }
        assert!(!dump.is_complete(), "after {writes} writes");
        partial += 1;
    }
    assert!(unreadable > 0 && partial > 2 && complete == 1, "{unreadable}, {partial} partial");
}

#[test]
fn a_core_that_was_cut_says_how_much_is_missing() {
    let kernel = Kernel::new(KINDS[0]);
    let mut core = kernel.core();
    core.truncate(core.len() - 100 * PAGE);
    let core = Vmcore::from_bytes(core).unwrap();
    assert_eq!(core.missing(), 100 * PAGE as u64);
}

/// The error of a dump to a medium that takes no byte.
fn refused(core: Vec<u8>) -> Error {
    let core = Vmcore::from_bytes(core).unwrap();
    let mut none = Full { bytes: Vec::new(), writes: 0 };
    dump(&core, Level::NoZeroes, &mut none, &mut |_| ControlFlow::Continue(())).unwrap_err()
}

#[test]
fn few_pages_at_a_high_address_are_refused_before_a_byte_is_written() {
    let core = Kernel::new(KINDS[0]).core();
    let len = (PAGES * PAGE) as u64;
    let at = |physical: u64| {
        let mut core = core.clone();
        core[PHYSICAL].copy_from_slice(&physical.to_le_bytes());
        refused(core)
    };
    let fits = at((1 << 40) - len);
    assert!(matches!(fits, Error::Write { offset: 0, .. }), "{fits}");
    for physical in [(1 << 40) - len + 1, 1 << 41, (1 << 52) - len] {
        let error = at(physical);
        assert!(matches!(error, Error::LongBitmaps { memory, .. } if memory == len), "{error}");
    }
}

#[test]
fn segments_of_different_memory_in_the_same_bytes_are_refused() {
    let mut core = Kernel::new(KINDS[0]).core();
    let second = core[64 + 56..64 + 2 * 56].to_vec();
    core[64 + 2 * 56..64 + 3 * 56].copy_from_slice(&second);
    core[56] = 3;
    // The kernel's text is in two segments, too.
    assert!(Vmcore::from_bytes(core.clone()).is_ok());
    core[64 + 2 * 56 + 24..][..8].copy_from_slice(&(1_u64 << 30).to_le_bytes());
    let error = Vmcore::from_bytes(core).unwrap_err();
    assert!(matches!(error, OpenError::SharedBytes { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

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

    #[test]
    fn no_byte_of_a_core_makes_it_panic(at in 0_usize..4096 + 900, byte: u8) {
        let mut core = Kernel::new(KINDS[0]).core();
        core[at] = byte;
        if let Ok(core) = Vmcore::from_bytes(core) {
            let go_on = &mut |_| ControlFlow::Continue(());
            let _ = dump(&core, Level::NoFreeOrZeroes, &mut Vec::new(), go_on);
        }
    }

    #[test]
    fn no_byte_of_a_dump_makes_its_reader_panic(at in 0_usize..20_000, byte: u8) {
        let core = Vmcore::from_bytes(Kernel::new(KINDS[0]).core()).unwrap();
        let mut output = Vec::new();
        let go_on = &mut |_| ControlFlow::Continue(());
        dump(&core, Level::NoFreeOrZeroes, &mut output, go_on).unwrap();
        let at = at % output.len();
        output[at] = byte;
        if let Ok(dump) = DumpFile::from_bytes(output) {
            let _ = dump.check();
        }
    }
}

//! A dump that ends early, a core that was cut, and headers that no core has.

use std::io;
use std::ops::{ControlFlow, Range};

use proptest::prelude::*;
use vmcore_filter::{DumpFile, Error, Level, OpenError, Output, PageState, Vmcore, dump};

use crate::cases;
use crate::kernel::{KERNELS_OWN, KINDS, Kernel, PAGE, PAGES};

/// `p_paddr` of the only PT_LOAD.
const PHYSICAL: Range<usize> = 64 + 56 + 24..64 + 56 + 32;

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
    #![proptest_config(cases())]

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

//! A vmcore, filtered into a dump: the dump has every page of the vmcore with its bytes, and lacks
//! exactly as many as the filter says are free or broken. It is refused only if its bitmaps would
//! be longer than both 64 MiB and the memory, or longer than what this target writes.
//!
//! An input is an ELF core.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;

use vmcore_filter::{DumpFile, Error, LeftOut, Level, Output, PageState, Vmcore, dump};

use crate::bytes::word;
use crate::{Answer, Seed};

mod kernel;

pub(crate) use kernel::{KERNEL, seed};

const PAGE: u128 = 4096;
const PT_LOAD: u128 = 1;
const SHORT_BITMAPS: u128 = 64 << 20;
/// Bytes of a dump, at most: bitmaps of 4 GiB of memory, and their data.
const MOST: u64 = 512 << 10;

/// Dumps at each level, and reads back.
pub fn check(data: &[u8]) -> Answer {
    let Ok(core) = Vmcore::from_bytes(data.to_vec()) else { return Answer::Refused };
    let loads = loads(data);
    let mut answer = Answer::Refused;
    for level in Level::ALL {
        let mut output = Bounded(Vec::new());
        let dumped = dump(&core, level, &mut output, &mut |_| ControlFlow::Continue(()));
        let summary = match dumped {
            Ok(summary) => summary,
            Err(Error::LongBitmaps { .. }) => {
                let last = loads.iter().map(|load| load.end.div_ceil(PAGE)).max();
                let bitmap = last.expect("a PT_LOAD").div_ceil(8 * PAGE) * PAGE;
                assert!(2 * bitmap > SHORT_BITMAPS.max(memory(&loads)), "short bitmaps");
                return Answer::Refused;
            }
            Err(Error::Write { source, .. }) => {
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                return Answer::Refused;
            }
            Err(error) => panic!("{error}"),
        };
        answer = Answer::Taken;
        assert_eq!((summary.unreadable, summary.bytes), (0, output.0.len() as u64));
        let dump = DumpFile::from_bytes(output.0).expect("our dump");
        assert!(dump.is_complete());
        let expected = if summary.unfiltered.is_some() { Level::NoZeroes } else { level };
        assert_eq!(dump.level(), expected.number());

        let pages: BTreeSet<u128> =
            loads.iter().flat_map(|load| load.start / PAGE..load.end.div_ceil(PAGE)).collect();
        assert_eq!(pages.len() as u64, summary.pages);
        let mut reader = dump.reader().expect("memory");
        let mut saved = 0;
        for &pfn in &pages {
            let mut page = [0; PAGE as usize];
            match reader.page(pfn as u64, &mut page).expect("our dump") {
                PageState::Saved => assert_eq!(page, bytes_of(pfn, &loads, data), "page {pfn:#x}"),
                PageState::LeftOut => continue,
                state => panic!("page {pfn:#x} is {state:?}"),
            }
            saved += 1;
        }
        let LeftOut { free, poisoned, offline, absent } = summary.left_out;
        let left_out = free + poisoned + offline + absent;
        assert_eq!(pages.len() as u64, saved + left_out);
        assert_eq!(dump.pages(), saved, "pages that the vmcore does not have");
        assert!(level == Level::NoFreeOrZeroes || left_out == 0);
    }
    answer
}

/// A part of memory, and where the file has it.
struct Load {
    start: u128,
    end: u128,
    offset: u128,
}

/// The PT_LOADs that have bytes in the file, those of lower addresses first.
fn loads(data: &[u8]) -> Vec<Load> {
    let field = |at, len| word(data, at, len).expect("the headers are in the file");
    let (table, count) = (field(32, 8), field(56, 2));
    let headers = (0..count).map(|index| table + index * 56);
    let mut loads: Vec<_> = headers
        .filter(|&at| field(at, 4) == PT_LOAD)
        .map(|at| {
            let (offset, start, len) = (field(at + 8, 8), field(at + 24, 8), field(at + 32, 8));
            let in_file = len.min((data.len() as u128).saturating_sub(offset));
            Load { start, end: start + in_file, offset }
        })
        .filter(|load| load.start < load.end)
        .collect();
    loads.sort_by_key(|load| (load.start, load.end));
    loads
}

/// Bytes of memory, each address counted once.
fn memory(loads: &[Load]) -> u128 {
    let mut after = 0;
    loads.iter().fold(0, |sum, load| {
        let from = load.start.max(after);
        after = load.end.max(after);
        sum + load.end.saturating_sub(from)
    })
}

/// The bytes of a page: of two PT_LOADs that have a byte, the first counts.
fn bytes_of(pfn: u128, loads: &[Load], data: &[u8]) -> [u8; PAGE as usize] {
    let mut page = [0; PAGE as usize];
    let (first, end) = (pfn * PAGE, (pfn + 1) * PAGE);
    for load in loads.iter().rev() {
        let (from, to) = (load.start.max(first), load.end.min(end));
        if from < to {
            let at = (load.offset + (from - load.start)) as usize;
            let bytes = &data[at..at + (to - from) as usize];
            page[(from - first) as usize..(to - first) as usize].copy_from_slice(bytes);
        }
    }
    page
}

/// A medium of [`MOST`] bytes.
struct Bounded(Vec<u8>);

impl Output for Bounded {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset.saturating_add(bytes.len() as u64) > MOST {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(offset, bytes)
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A kernel with free pages, without VMCOREINFO, with five levels, at a high address, and two
/// segments in the same bytes.
pub fn seeds() -> Vec<Seed> {
    let core = seed(KERNEL);
    let mut high = core.clone();
    // The first PT_LOAD is at 2^51.
    high[64 + 56 + 24 + 6] = 8;
    let mut shared = core.clone();
    let headers = u16::from_le_bytes([core[56], core[57]]) as usize;
    let (first, last) = (64 + 56, 64 + 56 * (headers - 1));
    // The last PT_LOAD has the bytes of the one before it, and all of the file.
    for header in [first, last] {
        shared[header + 8..header + 16].fill(0);
        shared[header + 32..header + 40].copy_from_slice(&(core.len() as u64).to_le_bytes());
    }
    vec![
        Seed::taken("kernel", core),
        Seed::taken("five-levels", seed(&KERNEL.replace("l5_enabled)=0", "l5_enabled)=1"))),
        Seed::taken("no-vmcoreinfo", seed("")),
        Seed::refused("high", high),
        Seed::refused("shared-bytes", shared),
    ]
}

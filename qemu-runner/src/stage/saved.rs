//! The judge of what the /init of `load --capture` has saved, on the host: held against what is
//! known of the crashed kernel.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use capture_init::{RAW_HEADER_LEN, RawHeader, Record, State};
use vmcore_filter::{DumpFile, PAGE_LEN, Page, PageState};

use super::capture::{Crashed, PANIC};
use super::first::{FREED, FREED_PAGES, Victim};
use super::load::json;
use crate::error::{Error, check, check_eq};
use crate::evidence::outcome::Outcome;
use crate::machine::disk::PARTITION_AT;
use crate::machine::vm::Arrival;

/// What it says when the dump is on the medium.
const IS_SAVED: &str = "kdump-capture: the dump is saved in ";

/// A capture.
pub struct Saved {
    pub record: Record,
    /// The crashed kernel's log.
    pub log: String,
    pub dump: DumpFile,
}

impl Saved {
    /// What is in the partition of a disk's image.
    pub fn in_partition(image: &Path) -> Result<Self, Error> {
        let unreadable =
            |error: &dyn std::fmt::Display| Error::Failed(format!("{}: {error}", image.display()));
        let file = File::open(image).map_err(Error::file("open", image))?;
        let read = |offset: u64, len: usize| {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, PARTITION_AT + offset)
                .map_err(Error::file("read", image))?;
            Ok::<_, Error>(bytes)
        };
        let header =
            RawHeader::parse(&read(0, RAW_HEADER_LEN)?).map_err(|error| unreadable(&error))?;
        let (Some(log), Some(dump)) = (header.log, header.dump) else {
            return Err(unreadable(&format!("no log or no dump: {header:?}")));
        };
        let log = read(log.offset, log.len as usize)?;
        let log = String::from_utf8_lossy(&log).into_owned();
        let dump =
            DumpFile::open(file, PARTITION_AT + dump.offset).map_err(|error| unreadable(&error))?;
        Ok(Self { record: header.record, log, dump })
    }

    /// A dump that the guest has copied to the partition of a disk, with its record and its log.
    pub fn copied(record: &str, log: String, image: &Path) -> Result<Self, Error> {
        let record = json(record)?;
        let file = File::open(image).map_err(Error::file("open", image))?;
        let dump = DumpFile::open(file, PARTITION_AT)
            .map_err(|error| Error::Failed(format!("{}: {error}", image.display())))?;
        Ok(Self { record, log, dump })
    }

    /// Everything that must be true of a complete capture.
    pub fn expect_complete(&self, victim: &Victim) -> Result<(), Error> {
        let Self { record, log, dump } = self;
        check_eq!(record.state, State::Complete, "state in the record")?;
        check_eq!(record.troubles, [""; 0], "troubles in the record")?;
        check_eq!(record.kernel.as_deref(), Some(&*victim.release), "kernel in the record")?;
        check!(log.contains(PANIC), "the log: expected {PANIC:?}, found {log}")?;
        check!(dump.is_complete(), "the dump: expected to be complete")?;
        let cpus = dump.notes().cpus() as usize;
        check_eq!(cpus, victim.online_cpus, "NT_PRSTATUS notes in the dump, one per CPU")?;
        let checked = dump.check().map_err(|error| Error::Failed(error.to_string()))?;
        check_eq!((checked.missing, checked.damaged), (0, 0), "missing and damaged pages")?;
        check_eq!(checked.saved, dump.pages(), "pages that can be read")?;
        for sentinel in &victim.sentinels {
            let found = self.page(sentinel.address)?;
            let expected = sentinel::pattern(sentinel.seed);
            check!(
                found.as_ref().is_some_and(|page| page[..] == expected[..]),
                "page of the dump at {:#x}: expected the pattern of seed {}, found {}",
                sentinel.address,
                sentinel.seed,
                if found.is_some() { "something else" } else { "no page" }
            )?;
        }
        Ok(())
    }

    /// The dump must have left free pages out, and with them those of `First::free_pages`, except
    /// the `listed` ones.
    pub fn expect_without_freed(&self, listed: usize) -> Result<(), Error> {
        let pages = self.record.dump.and_then(|dump| dump.pages);
        let free = pages.map_or(0, |pages| pages.free);
        check!(free > 0, "free pages that were left out: expected some, found {pages:?}")?;
        let failed = |error: vmcore_filter::ReadError| Error::Failed(error.to_string());
        let (mut reader, mut page) = (self.dump.reader().map_err(failed)?, [0; PAGE_LEN as usize]);
        let mut found = 0;
        for pfn in 0..self.dump.max_mapnr() {
            let state = reader.page(pfn, &mut page).map_err(failed)?;
            found += usize::from(state == PageState::Saved && page.starts_with(FREED));
        }
        let most = listed.min(FREED_PAGES / 4);
        check!(found <= most, "freed pages in the dump: expected at most {most}, found {found}")
    }

    /// Notes the figures of the capture.
    pub fn note(&self, outcome: &mut Outcome) {
        let Record { dump, times, memory, .. } = &self.record;
        if let Some(dump) = dump {
            outcome.fact("dump: size", format!("{} bytes", dump.bytes));
            let pages = dump.pages.unwrap_or_default();
            let (all, free, zeroes) = (pages.all, pages.free, pages.zeroes);
            outcome.fact("dump: pages", format!("{all}, of which {free} free, {zeroes} zeroes"));
        }
        let (init, saved) = (times.init_ms, times.saved_ms.unwrap_or_default());
        outcome.fact("capture kernel to /init", format!("{init} ms"));
        outcome.fact("capture kernel to dump saved", format!("{saved} ms"));
        let (lowest, total) = (memory.lowest_available_kib, memory.total_kib);
        outcome.fact("capture kernel: least free memory", format!("{lowest} of {total} KiB"));
        outcome.now("the dump on the disk is complete");
    }

    /// The page at a physical address, if the dump has it.
    pub fn page(&self, address: u64) -> Result<Option<Box<Page>>, Error> {
        let failed = |error: vmcore_filter::ReadError| Error::Failed(error.to_string());
        let mut page = Box::new([0; PAGE_LEN as usize]);
        let mut reader = self.dump.reader().map_err(failed)?;
        let state = reader.page(address / PAGE_LEN, &mut page).map_err(failed)?;
        Ok((state == PageState::Saved).then_some(page))
    }
}

impl Crashed<'_, '_> {
    /// Whether /init says that the dump is saved before the machine is reset, which ends it.
    pub fn saved_or_reset(&mut self) -> Result<bool, Error> {
        loop {
            match self.vm.next_or_end("the dump to be saved, or the reset")? {
                Arrival::Console(line) if line.text.contains(IS_SAVED) => return Ok(true),
                Arrival::End => return Ok(false),
                _ => {}
            }
        }
    }

    /// Waits until /init has said that the dump is saved, and for the reset after that.
    pub fn await_saved(&mut self) -> Result<(), Error> {
        let from = std::time::Instant::now();
        self.await_words("the dump is saved", IS_SAVED)?;
        let took = format!("{:.1} s", from.elapsed().as_secs_f64());
        self.stage.outcome.fact("panic to dump saved", took);
        Ok(())
    }
}

//! The judge of what the /init of `load --capture` has saved, on the host: held against what is
//! known of the crashed kernel.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use capture_init::{Format, RAW_HEADER_LEN, RawHeader, Record, State};
use vmcore_filter::{Checked, DumpFile, PAGE_LEN, Page, PageState, Vmcore};

use super::capture::{Crashed, PANIC};
use super::first::Victim;
use super::load::json;
use super::pages::{FREED, FREED_PAGES};
use crate::error::{Error, check, check_eq};
use crate::evidence::outcome::Outcome;
use crate::machine::disk::PARTITION_AT;
use crate::machine::vm::Arrival;

/// What it says when the dump is on the medium.
pub const IS_SAVED: &str = "kdump-capture: the dump is saved in ";

/// The level at which makedumpfile leaves out all that it can, which is its default here.
const MAKEDUMPFILE_LEVEL: u32 = 31;

/// What it, or its kernel (`out_of_memory`, mm/oom_kill.c), says if there will be none.
pub const NO_DUMP: [&str; 3] =
    ["there is no complete dump in ", "no dump without a target", "System is deadlocked on memory"];

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
        let (file, header) = header(image)?;
        let (Some(log), Some(dump)) = (header.log, header.dump) else {
            return Err(unreadable(image, format!("no log or no dump: {header:?}")));
        };
        let mut text = vec![0; log.len as usize];
        file.read_exact_at(&mut text, PARTITION_AT + log.offset)
            .map_err(Error::file("read", image))?;
        let log = String::from_utf8_lossy(&text).into_owned();
        let dump = DumpFile::open(file, PARTITION_AT + dump.offset)
            .map_err(|error| unreadable(image, error))?;
        Ok(Self { record: header.record, log, dump })
    }

    /// A dump that the guest has copied to the partition of a disk, with its record and its log.
    pub fn copied(record: &str, log: String, image: &Path) -> Result<Self, Error> {
        let record = json(record)?;
        let file = File::open(image).map_err(Error::file("open", image))?;
        let dump = DumpFile::open(file, PARTITION_AT).map_err(|error| unreadable(image, error))?;
        Ok(Self { record, log, dump })
    }

    /// The record in the partition of a disk's image.
    pub fn record_in_partition(image: &Path) -> Result<Record, Error> {
        Ok(header(image)?.1.record)
    }

    /// Copies the dump in the partition of a disk's image into a file.
    pub fn extract_from_partition(image: &Path, path: &Path) -> Result<(), Error> {
        let (file, header) = header(image)?;
        let dump = header.dump.ok_or_else(|| unreadable(image, "no dump"))?;
        let extract = || -> io::Result<()> {
            let mut from = &file;
            from.seek(SeekFrom::Start(PARTITION_AT + dump.offset))?;
            io::copy(&mut from.take(dump.len), &mut File::create(path)?).map(drop)
        };
        extract().map_err(Error::file("write", path))
    }

    /// The partition must have a whole copy of /proc/vmcore, with every sentinel.
    pub fn expect_copy_in_partition(image: &Path, victim: &Victim) -> Result<(), Error> {
        let path = image.with_extension("vmcore");
        Self::extract_from_partition(image, &path)?;
        let core = Vmcore::open(&path).map_err(|error| unreadable(&path, error))?;
        check_eq!(core.missing(), 0, "bytes of memory that the copy lacks")?;
        let mut memory = core.physical();
        for sentinel in &victim.sentinels {
            let mut page = [0; PAGE_LEN as usize];
            let has = memory.read(sentinel.address, &mut page);
            let has = has.map_err(|error| unreadable(&path, error))?;
            let is_there = has && page[..] == sentinel::pattern(sentinel.seed)[..];
            check!(is_there, "the copy: expected the sentinel at {:#x}", sentinel.address)?;
        }
        fs::remove_file(&path).map_err(Error::file("remove", &path))
    }

    /// How many pages of the dump can be read.
    pub fn check(&self) -> Result<Checked, Error> {
        self.dump.check().map_err(|error| Error::Failed(error.to_string()))
    }

    /// What must be true of a capture that ended early: the log is whole, and a part of the dump
    /// can be read.
    pub fn expect_incomplete(&self, state: State) -> Result<(), Error> {
        let Self { record, log, dump } = self;
        check_eq!(record.state, state, "state in the record")?;
        check!(log.contains(PANIC), "the log: expected {PANIC:?}, found {log}")?;
        check!(!dump.is_complete(), "the dump: expected to be incomplete")?;
        let checked = self.check()?;
        check!(checked.saved > 0, "pages that can be read: expected some, found {checked:?}")
    }

    /// Everything that must be true of a complete capture.
    pub fn expect_complete(&self, victim: &Victim) -> Result<(), Error> {
        self.expect_whole(victim)?;
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

    /// Everything that must be true if makedumpfile has saved it, at the level that leaves out the
    /// pages of programs, such as the sentinels.
    pub fn expect_by_makedumpfile(&self, victim: &Victim) -> Result<(), Error> {
        self.expect_whole(victim)?;
        let format = self.record.dump.map(|dump| dump.format);
        check_eq!(format, Some(Format::Makedumpfile), "format of the dump in the record")?;
        check_eq!(self.dump.level(), MAKEDUMPFILE_LEVEL, "level in the dump")?;
        for sentinel in &victim.sentinels {
            let is_left_out = self.page(sentinel.address)?.is_none();
            check!(is_left_out, "page of the dump at {:#x}: expected none", sentinel.address)?;
        }
        Ok(())
    }

    /// What must be true whatever was left out.
    fn expect_whole(&self, victim: &Victim) -> Result<(), Error> {
        let Self { record, log, dump } = self;
        check_eq!(record.state, State::Complete, "state in the record")?;
        check_eq!(record.troubles, [""; 0], "troubles in the record")?;
        check_eq!(record.kernel.as_deref(), Some(&*victim.release), "kernel in the record")?;
        check!(log.contains(PANIC), "the log: expected {PANIC:?}, found {log}")?;
        check!(dump.is_complete(), "the dump: expected to be complete")?;
        let cpus = dump.notes().cpus() as usize;
        check_eq!(cpus, victim.online_cpus, "NT_PRSTATUS notes in the dump, one per CPU")?;
        let checked = self.check()?;
        check_eq!((checked.missing, checked.damaged), (0, 0), "missing and damaged pages")?;
        check_eq!(checked.saved, dump.pages(), "pages that can be read")
    }

    /// The dump must have left free pages out, and with them those of `First::free_pages`, except
    /// the `listed` ones. makedumpfile does not say how many it has left out.
    pub fn expect_without_freed(&self, listed: usize) -> Result<(), Error> {
        if let Some(pages) = self.record.dump.and_then(|dump| dump.pages) {
            check!(
                pages.free > 0,
                "free pages that were left out: expected some, found {pages:?}"
            )?;
        }
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

    /// Notes the figures of the capture, which /init had saved so long after the panic.
    pub fn note(&self, outcome: &mut Outcome, saved_after: Duration) {
        outcome.fact("panic to dump saved", format!("{:.1} s", saved_after.as_secs_f64()));
        let Record { dump, times, memory, .. } = &self.record;
        if let Some(dump) = dump {
            outcome.fact("dump: size", format!("{} bytes", dump.bytes));
            let pages = dump.pages.map_or("unknown".to_owned(), |pages| {
                let (all, free, zeroes) = (pages.all, pages.free, pages.zeroes);
                format!("{all}, of which {free} free, {zeroes} zeroes")
            });
            outcome.fact("dump: pages", pages);
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

/// The header in the partition of a disk's image.
fn header(image: &Path) -> Result<(File, RawHeader), Error> {
    let file = File::open(image).map_err(Error::file("open", image))?;
    let mut start = [0; RAW_HEADER_LEN];
    file.read_exact_at(&mut start, PARTITION_AT).map_err(Error::file("read", image))?;
    let header = RawHeader::parse(&start).map_err(|error| unreadable(image, error))?;
    Ok((file, header))
}

fn unreadable(file: &Path, error: impl fmt::Display) -> Error {
    Error::Failed(format!("{}: {error}", file.display()))
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

    /// Waits until /init has said that the dump is saved. Returns how long after the panic.
    pub fn await_saved(&mut self) -> Result<Duration, Error> {
        loop {
            let Arrival::Console(line) = self.vm.next("the dump to be saved")? else { continue };
            if let Some(words) = NO_DUMP.into_iter().find(|words| line.text.contains(words)) {
                return Err(Error::Failed(format!("no dump: the capture kernel said {words:?}")));
            }
            if line.text.contains(IS_SAVED) {
                self.stage.outcome.at(line.at, "the dump is saved");
                return Ok(line.at.saturating_duration_since(self.panicked_at));
            }
        }
    }
}

//! `[5b]` The dump by our own filter.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use capture_init::{Dump, DumpLevel, Format, Pages};
use rustix::io::Errno;
use vmcore_filter::{Error, Level, Progress as Filtered, Vmcore, dump};

use crate::console::Console;
use crate::output::Target;
use crate::progress::Progress;
use crate::step::{Done, Place, Trouble};

/// Writes it.
pub fn save(
    vmcore: &Path,
    level: DumpLevel,
    place: &Place,
    console: &Console,
) -> Result<Done, Trouble> {
    let core = Vmcore::open(vmcore).map_err(Trouble::of_step)?;
    let mut target = Target::open(place).map_err(Trouble::target("cannot open the target"))?;
    let mut progress = Progress::new(console);
    let last = Cell::new(None);
    let written = dump(&core, filter_level(level), &mut target, &mut |now: Filtered| {
        progress.is_at(now.pages, now.of, now.bytes);
        last.set(Some(now));
        ControlFlow::Continue(())
    });
    let summary = written.map_err(|error| in_words(error, last.get(), place))?;
    target.finish(summary.bytes).map_err(Trouble::target("the dump does not reach the disk"))?;

    let mut troubles = Vec::new();
    if let Some(reason) = summary.unfiltered {
        troubles.push(format!("free pages are in the dump, because {reason}"));
    }
    if summary.unreadable > 0 {
        troubles.push(format!("{} pages could not be read", summary.unreadable));
    }
    let pages = Pages {
        all: summary.pages,
        free: summary.left_out.free,
        poisoned: summary.left_out.poisoned,
        offline: summary.left_out.offline,
        absent: summary.left_out.absent,
        zeroes: summary.zeroes,
        saved: summary.saved,
        unreadable: summary.unreadable,
    };
    let format = Format::KdumpCompressed;
    Ok(Done::Dump { dump: Dump { format, bytes: summary.bytes, pages: Some(pages) }, troubles })
}

fn filter_level(level: DumpLevel) -> Level {
    match level {
        DumpLevel::All => Level::Everything,
        DumpLevel::NoZeroes => Level::NoZeroes,
        DumpLevel::NoFreeOrZeroes => Level::NoFreeOrZeroes,
    }
}

fn in_words(error: Error, last: Option<Filtered>, place: &Place) -> Trouble {
    match &error {
        Error::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            Trouble::of_target(full(last, place))
        }
        // Most writes reach the disk later, so the offset is not where the error is.
        Error::Write { source, .. } if Errno::from_io_error(source) == Some(Errno::IO) => {
            Trouble::of_target(format_args!(
                "the disk cannot be written: {source}; the kernel's messages name the blocks"
            ))
        }
        Error::Write { .. } | Error::ReadBack { .. } => Trouble::of_target(error),
        Error::LongBitmaps { .. } | Error::NoMemory | Error::Stopped { .. } => {
            Trouble::of_step(error)
        }
    }
}

/// How much there was, and how much would have been needed.
fn full(last: Option<Filtered>, place: &Place) -> String {
    let room = place.room >> 20;
    let Some(Filtered { pages, of, bytes }) = last.filter(|last| last.pages > 0) else {
        return format!("the target is full before the first page: it had {room} MiB");
    };
    let needed = u128::from(bytes) * u128::from(of) / u128::from(pages);
    format!(
        "the target is full after {} MiB, which are {pages} of {of} pages: it had {room} MiB, and \
         the dump needs about {} MiB",
        bytes >> 20,
        needed >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::heard::Heard;
    use crate::made_up::{KERNELS_OWN, KINDS, Kernel, PAGES};
    use std::fs::{self, File};
    use vmcore_filter::DumpFile;

    /// Saves a vmcore, and reads the dump back.
    fn saved(core: &[u8]) -> (Dump, Vec<String>, vmcore_filter::Checked) {
        let heard = Heard::new();
        let (vmcore, path) = (heard.root().join("vmcore"), heard.root().join("dump"));
        fs::write(&vmcore, core).unwrap();
        let place = Place { path: path.clone(), offset: 0, room: 1 << 30, is_partition: false };
        let done = save(&vmcore, DumpLevel::NoFreeOrZeroes, &place, &heard.console()).unwrap();
        let Done::Dump { dump, troubles } = done else { panic!("{done:?}") };
        assert_eq!(fs::metadata(&path).unwrap().len(), dump.bytes);
        let checked = DumpFile::open(File::open(path).unwrap(), 0).unwrap().check().unwrap();
        (dump, troubles, checked)
    }

    #[test]
    fn dump_lacks_the_free_pages_and_nothing_else() {
        let mut kernel = Kernel::new(KINDS[2]);
        kernel.free(512, 8);
        let (dump, troubles, checked) = saved(&kernel.core());
        let pages = dump.pages.unwrap();
        assert_eq!((pages.all, pages.free, pages.unreadable), (PAGES as u64, 256, 0));
        assert_eq!(checked.saved, PAGES as u64 - 256);
        assert_eq!((checked.missing, checked.damaged), (0, 0));
        assert_eq!(troubles, [""; 0]);
        assert!(pages.zeroes < KERNELS_OWN.end as u64, "{pages:?}");
    }

    #[test]
    fn damaged_vmcoreinfo_makes_an_unfiltered_dump_and_is_said() {
        let mut kernel = Kernel::new(KINDS[2]);
        kernel.free(512, 8);
        kernel.vmcoreinfo =
            kernel.vmcoreinfo.replace("OFFSET(page.private)", "OFFSET(page.xrivate)");
        let (dump, troubles, checked) = saved(&kernel.core());
        assert_eq!(dump.pages.unwrap().free, 0);
        assert_eq!(checked.saved, PAGES as u64);
        assert!(troubles[0].contains("OFFSET(page.private)"), "{troubles:?}");
    }

    #[test]
    fn full_target_is_reported_with_the_numbers() {
        let place =
            Place { path: "/dev/vdb".into(), offset: 0, room: 100 << 20, is_partition: true };
        let error = || Error::Write { offset: 0, source: io::ErrorKind::StorageFull.into() };
        let last = Filtered { pages: 1000, of: 4000, bytes: 90 << 20 };
        let trouble = in_words(error(), Some(last), &place);
        assert!(trouble.is_target);
        assert_eq!(
            trouble.words,
            "the target is full after 90 MiB, which are 1000 of 4000 pages: it had 100 MiB, and \
             the dump needs about 360 MiB"
        );
        let trouble = in_words(error(), None, &place);
        assert!(trouble.words.contains("before the first page"), "{trouble:?}");
    }

    #[test]
    fn io_error_is_the_targets_and_lack_of_memory_is_not() {
        let place = Place { path: "/x".into(), offset: 0, room: 1, is_partition: false };
        let error = Error::Write { offset: 0, source: io::Error::from_raw_os_error(5) };
        let trouble = in_words(error, None, &place);
        assert!(trouble.is_target && trouble.words.contains("cannot be written"), "{trouble:?}");
        assert!(!in_words(Error::NoMemory, None, &place).is_target);
    }
}

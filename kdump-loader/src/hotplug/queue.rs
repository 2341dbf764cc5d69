//! The queue of hotplug events: the udev rule adds events, and one reload takes all of them.
//!
//! *On entry* an event, or a reload that takes all events.
//!
//! *On exit* files below /run, each created or moved in one step:
//! - `pending` exists while events wait; systemd starts a reload when it appears
//! - `taken/` holds the events of the running reload; if the reload is killed, the next one takes
//!   them

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::arm::record::{self, Error, failed, state};

/// Flag file, below the root. Its appearance starts a reload.
const PENDING: &str = "run/kdump-loader/pending";
/// Removed memory blocks, one file each.
const REMOVED: &str = "run/kdump-loader/removed";
/// Events that a reload has taken.
const TAKEN: &str = "run/kdump-loader/taken";
/// Name of the moved `pending` in it.
const TAKEN_FLAG: &str = "flag";

/// A memory block. Its name in the kernel is `memory` and the number, such as `memory42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `parse` accepts a sign, which no kernel name has.
        let digits = text.strip_prefix("memory").filter(|digits| !digits.starts_with('+'));
        let number = digits.and_then(|digits| digits.parse().ok());
        number
            .map(|number| Self { number })
            .ok_or_else(|| "not the name of a memory block, such as memory42".into())
    }
}

/// The events that a reload has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// There was at least one new event.
    pub fresh: bool,
    /// Numbers of the removed memory blocks, ascending, including those of earlier reloads that
    /// failed or were killed.
    pub removed: Vec<u64>,
}

/// The queue of the machine at a root.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'r> {
    root: &'r Path,
}

impl<'r> Queue<'r> {
    /// The queue below `root`.
    pub fn new(root: &'r Path) -> Self {
        Self { root }
    }

    /// Queues an event, with the memory block that was removed. The block comes before the flag, so
    /// a reload that sees the flag also sees the block.
    pub fn note(&self, removed: Option<Block>) -> Result<(), Error> {
        state::directory(&self.root.join(state::PATH))?;
        if let Some(Block { number }) = removed {
            state::create(&self.root.join(REMOVED).join(format!("memory{number}")))?;
        }
        state::create(&self.root.join(PENDING)).map(drop)
    }

    /// Whether an event waits for a reload.
    pub fn pending(&self) -> bool {
        self.root.join(PENDING).exists()
    }

    /// Whether a reload has taken events and has not finished: it runs, has failed, or was killed.
    pub fn taken(&self) -> bool {
        !state::entries(&self.root.join(TAKEN)).is_empty()
    }

    /// Numbers of the removed memory blocks of all unfinished events, ascending.
    pub fn waiting(&self) -> Vec<u64> {
        let places = [REMOVED, TAKEN].into_iter().flat_map(|place| blocks(&self.root.join(place)));
        let mut numbers: Vec<u64> = places.map(|(_, block)| block.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Takes all events. The flag comes first, so that a later event sets it again.
    pub fn take(&self) -> Result<Taken, Error> {
        let taken = self.root.join(TAKEN);
        let pending = self.root.join(PENDING);
        // A moved event survives a kill. If the directory cannot be created, the event is removed
        // instead.
        let into =
            state::directory(&self.root.join(state::PATH)).and_then(|()| state::directory(&taken));
        let take = |from: &Path, name: &str| match into
            .is_ok()
            .then(|| fs::rename(from, taken.join(name)))
        {
            Some(Ok(())) => Ok(true),
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
            _ => match fs::remove_file(from) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                Err(error) => Err(failed("remove", from)(error)),
            },
        };
        let mut fresh = take(&pending, TAKEN_FLAG)?;
        let mut removed: Vec<u64> = Vec::new();
        for (path, block) in blocks(&self.root.join(REMOVED)) {
            fresh |= take(&path, &format!("memory{}", block.number))?;
            removed.push(block.number);
        }
        removed.extend(blocks(&taken).into_iter().map(|(_, block)| block.number));
        removed.sort_unstable();
        removed.dedup();
        Ok(Taken { fresh, removed })
    }

    /// Removes the taken events, because the reload has succeeded.
    pub fn done(&self) -> Result<(), Error> {
        let taken = self.root.join(TAKEN);
        for path in state::entries(&taken) {
            record::absent_is_fine(
                fs::remove_file(&path).map_err(|error| (error, "remove", path)),
            )?;
        }
        Ok(())
    }
}

/// The memory blocks in a queue directory; none if it does not exist.
fn blocks(directory: &Path) -> Vec<(PathBuf, Block)> {
    let block = |path: PathBuf| Some((path.clone(), path.file_name()?.to_str()?.parse().ok()?));
    state::entries(directory).into_iter().filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn noted(root: &Path, blocks: &[u64]) {
        let queue = Queue::new(root);
        queue.note(None).unwrap();
        blocks.iter().for_each(|&number| queue.note(Some(Block { number })).unwrap());
    }

    #[test]
    fn empty_queue_has_nothing_to_take() {
        let root = tempfile::tempdir().unwrap();
        let queue = Queue::new(root.path());
        assert_eq!(queue.take().unwrap(), Taken::default());
        queue.done().unwrap();
        assert!(!queue.pending() && !queue.taken());
    }

    #[test]
    fn many_events_are_taken_at_once() {
        let root = tempfile::tempdir().unwrap();
        let queue = Queue::new(root.path());
        noted(root.path(), &[42, 7, 42]);
        assert!(queue.pending());
        assert_eq!(queue.take().unwrap(), Taken { fresh: true, removed: vec![7, 42] });
        assert!(!queue.pending() && queue.taken());
        queue.done().unwrap();
        assert!(!queue.taken());
        assert_eq!(queue.take().unwrap(), Taken::default());
    }

    #[test]
    fn killed_reload_leaves_its_events_to_the_next() {
        let root = tempfile::tempdir().unwrap();
        let queue = Queue::new(root.path());
        noted(root.path(), &[42]);
        queue.take().unwrap();
        // Killed here.
        assert!(queue.taken());
        assert_eq!(queue.take().unwrap(), Taken { fresh: false, removed: vec![42] });
        noted(root.path(), &[43]);
        assert_eq!(queue.take().unwrap(), Taken { fresh: true, removed: vec![42, 43] });
        queue.done().unwrap();
    }

    #[test]
    fn event_during_a_reload_is_not_lost() {
        let root = tempfile::tempdir().unwrap();
        let queue = Queue::new(root.path());
        noted(root.path(), &[42]);
        queue.take().unwrap();
        noted(root.path(), &[42]);
        queue.done().unwrap();
        assert!(queue.pending());
        assert_eq!(queue.take().unwrap(), Taken { fresh: true, removed: vec![42] });
    }

    #[test]
    fn events_are_taken_even_if_they_cannot_be_kept() {
        let root = tempfile::tempdir().unwrap();
        noted(root.path(), &[42]);
        // A file prevents the directory, as a full file system would.
        fs::write(root.path().join(TAKEN), "").unwrap();
        let queue = Queue::new(root.path());
        assert_eq!(queue.take().unwrap(), Taken { fresh: true, removed: vec![42] });
        assert_eq!(queue.take().unwrap(), Taken::default());
    }

    #[test]
    fn no_event_is_lost_between_many_writers_and_one_reader() {
        const WRITERS: u64 = 4;
        const EVENTS: u64 = 200;
        let root = tempfile::tempdir().unwrap();
        let queue = Queue::new(root.path());
        let mut seen = std::collections::BTreeSet::new();
        thread::scope(|scope| {
            let note = |writer| {
                (0..EVENTS).for_each(|event| {
                    queue.note(Some(Block { number: writer * EVENTS + event })).unwrap()
                })
            };
            let writers: Vec<_> =
                (0..WRITERS).map(|writer| scope.spawn(move || note(writer))).collect();
            loop {
                let over = writers.iter().all(|writer| writer.is_finished());
                // As systemd does: while the flag exists, start a reload.
                while queue.pending() {
                    let taken = queue.take().unwrap();
                    assert!(taken.fresh);
                    seen.extend(taken.removed);
                    queue.done().unwrap();
                }
                if over {
                    break;
                }
            }
        });
        assert_eq!(seen.len() as u64, WRITERS * EVENTS);
    }

    #[test]
    fn no_event_is_written_or_cleared_through_a_link() {
        use std::os::unix::fs::symlink;
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("memory1"), "precious").unwrap();
        let queue = Queue::new(root.path());
        noted(root.path(), &[7]);
        for (planted, real) in [(TAKEN, "taken"), (REMOVED, "removed")] {
            let _ = fs::rename(root.path().join(planted), root.path().join(real));
            symlink(elsewhere.path(), root.path().join(planted)).unwrap();
        }
        assert!(queue.note(Some(Block { number: 8 })).is_err());
        assert_eq!(queue.take().unwrap(), Taken { fresh: true, removed: Vec::new() });
        queue.done().unwrap();
        let kept: Vec<_> = fs::read_dir(elsewhere.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(kept, ["memory1"]);
    }

    #[test]
    fn other_names_than_memory_blocks_are_rejected() {
        assert_eq!("memory42".parse(), Ok(Block { number: 42 }));
        for wrong in [
            "",
            "memory",
            "memory+1",
            "memory-1",
            "cpu3",
            "42",
            "memory42/../x",
            "memory99999999999999999999",
        ] {
            assert!(wrong.parse::<Block>().is_err(), "{wrong}");
        }
    }
}

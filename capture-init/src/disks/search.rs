//! Asks disks what they are, each in a thread of its own: one that does not answer must not stop
//! the search for another.
//!
//! *On entry* names of whole disks. *On exit* of each look the answers so far. A disk that has not
//! answered is asked no second time; its answer may come at a later look.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::partition_table::{Table, TableError};
use super::{Disk, describe, is_whole, names, number};

/// How long a disk may take to answer before the search goes on without it.
pub const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// Disks that are asked at once. A thread takes some 40 KiB of a small capture kernel's memory.
const AT_ONCE: usize = 16;
/// Logical block length of a disk that does not say.
const DEFAULT_BLOCK: u64 = 512;
/// Bytes before the serial number in a SCSI VPD page 0x80 (SPC-5, §7.8.18).
const VPD_HEADER: usize = 4;
/// Where a disk has its serial number, from the directory in /sys/class/block.
const SERIALS: [&str; 2] = ["serial", "device/serial"];
const VPD_SERIAL: &str = "device/vpd_pg80";

/// A search for a disk.
#[derive(Debug)]
pub struct Search {
    root: PathBuf,
    reads_tables: bool,
    /// Disks that have not answered yet.
    asked: BTreeMap<String, Receiver<Answer>>,
}

/// What a disk says of itself.
#[derive(Debug)]
pub(super) struct Answer {
    pub serial: Option<String>,
    pub table: Result<Table, TableError>,
}

impl Search {
    /// Nothing is asked yet. Without `reads_tables`, partitions have no ids.
    pub fn new(root: &Path, reads_tables: bool) -> Self {
        Self { root: root.to_owned(), reads_tables, asked: BTreeMap::new() }
    }

    /// All disks with their partitions, sorted by name. Each may take so long to answer.
    pub fn look(&mut self, longest: Duration) -> Vec<Disk> {
        let names = names(&self.root);
        let disks: Vec<_> = names.iter().filter(|name| is_whole(&self.root, name)).collect();
        self.asked.retain(|name, _| disks.contains(&name));
        let mut found = Vec::new();
        for some in disks.chunks(AT_ONCE) {
            let until = Instant::now() + longest;
            let asked: Vec<_> = some.iter().map(|name| self.ask(name, until)).collect();
            for (name, (answers, until)) in some.iter().zip(asked) {
                let left = until.saturating_duration_since(Instant::now());
                let answer = answers.recv_timeout(left).unwrap_or_else(|error| {
                    if error == RecvTimeoutError::Timeout {
                        self.asked.insert((*name).clone(), answers);
                    }
                    Answer { serial: None, table: Err(TableError::Silent) }
                });
                found.push(describe(&self.root, name, &names, answer));
            }
        }
        found
    }

    /// Asks a disk, or returns what it was asked before; and until when it may answer.
    fn ask(&mut self, name: &str, until: Instant) -> (Receiver<Answer>, Instant) {
        if let Some(answers) = self.asked.remove(name) {
            return (answers, Instant::now());
        }
        let (root, name, reads_table) = (self.root.clone(), name.to_owned(), self.reads_tables);
        (begin(move || answer(&root, &name, reads_table)), until)
    }
}

/// The result of `ask`; `None` if that takes longer. Its thread goes on.
pub fn in_time<T: Send + 'static>(
    longest: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    begin(ask).recv_timeout(longest).ok()
}

/// Begins in a thread. If there is none, the receiver says so.
fn begin<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, answers) = mpsc::channel();
    // The receiver is gone if it no longer waits.
    let _ = thread::Builder::new().spawn(move || sender.send(ask()));
    answers
}

/// Asks the disk, however long it takes.
fn answer(root: &Path, name: &str, reads_table: bool) -> Answer {
    let sys = root.join("sys/class/block").join(name);
    // Some drivers ask the device for it.
    let serial = serial(&sys);
    let table = match reads_table {
        true => table(&super::device(root, name).path, &sys),
        false => Ok(Table::None),
    };
    Answer { serial, table }
}

fn table(path: &Path, sys: &Path) -> Result<Table, TableError> {
    let block_len = number(&sys.join("queue/logical_block_size")).unwrap_or(DEFAULT_BLOCK);
    Table::read(&File::open(path)?, block_len)
}

fn serial(sys: &Path) -> Option<String> {
    let text = SERIALS.iter().find_map(|file| fs::read_to_string(sys.join(file)).ok());
    let text = text.or_else(|| {
        let page = fs::read(sys.join(VPD_SERIAL)).ok()?;
        String::from_utf8(page.get(VPD_HEADER..)?.to_vec()).ok()
    })?;
    let trimmed = text.trim_matches(|char: char| char.is_whitespace() || char == '\0');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

//! `[3]` The place where a capture ends up: a folder of a filesystem, or a raw partition.

use std::io;

use capture_init::{Dump, Keep, Record};

use crate::step::{Place, Step};

/// What the sequence of steps needs of a target. Its methods wait until everything is on the
/// medium.
pub trait Target {
    /// Where it is, for people.
    fn name(&self) -> String;

    /// Where the crashed kernel's log goes.
    fn log_place(&self) -> Place;

    /// The log is complete.
    fn log_saved(&mut self, bytes: u64) -> io::Result<()>;

    /// Where the dump of this step goes.
    fn dump_place(&mut self, step: &Step) -> Place;

    /// The dump is complete.
    fn dump_saved(&mut self, step: &Step, dump: &Dump) -> io::Result<()>;

    /// Writes what is known of the capture.
    fn note(&mut self, record: &Record) -> io::Result<()>;

    /// Removes earlier dumps that are not to be kept. Returns what happened, in words.
    fn remove_earlier(&mut self, keep: Keep) -> Vec<String>;
}

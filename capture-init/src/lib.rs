//! What the loader and the capture kernel's /init agree on.
//!
//! ```text
//! loader ─ Task, modules → initrd → /init ─ dump, Record → disk → loader, after the reset
//! ```
//!
//! `kdump-loader load --capture` writes a [`Task`] into the initrd that it makes; /init reads it
//! after the panic. The initrd is in the purgatory's digest, so /init gets what was written, or it
//! does not run. /init leaves a [`Record`]: as a file beside the dump, or in the [`RawHeader`] of a
//! partition.
//!
//! Both find disks by the functions of [`disks`], and both ask [`signatures::content`] before a
//! partition is overwritten.

#![forbid(unsafe_code)]

pub mod disks; // which disk has which id
mod raw; // the header of a raw partition
mod record; // what is known of one capture
mod room; // how much of a filesystem a dump may fill
pub mod signatures; // what a partition holds already
mod task;
pub mod utc; // dates, and names of folders

pub use raw::{DUMP_ALIGN, Extent, InvalidHeader, LOG_OFFSET, RAW_HEADER_LEN, RawHeader};
pub use record::{
    DUMP_FILE, Dump, Format, INCOMPLETE_DUMP_FILE, LOG_FILE, Memory, Pages, RECORD_FILE,
    RECORD_VERSION, Record, State, Times, UNFILTERED_DUMP_FILE,
};
pub use room::room;
pub use task::{
    DiskId, DumpLevel, Filesystem, INVALID_TASK_HELP, InvalidTask, Keep, LIBRARIES_PATH,
    MAKEDUMPFILE_PATH, TASK_PATH, TASK_VERSION, Target, Task,
};

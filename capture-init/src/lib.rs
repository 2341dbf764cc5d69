//! What the loader and the capture kernel's /init agree on.
//!
//! `kdump-loader load --capture` writes a [`Task`] into the initrd that it makes; /init reads it
//! after the panic. The initrd is in the purgatory's digest, so /init gets what was written, or it
//! does not run.

#![forbid(unsafe_code)]

mod task;

pub use task::{
    DiskId, DumpLevel, Filesystem, INVALID_TASK_HELP, InvalidTask, Keep, TASK_PATH, TASK_VERSION,
    Target, Task,
};

//! `[4b]` What is left for the boot after a reset, and who outside is told.
//!
//! *On entry*: the seal holds, so the black box's addresses are the loader's.
//!
//! *On exit*: record, copies of the kernel log and signals say how far the run came. None of them
//! is needed for a dump, so each is bounded, and no failure of one ends the run.

pub mod record;
pub mod log;
pub mod ipmi;

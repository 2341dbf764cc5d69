//! What the guest's programs and the QEMU runner share: the poller's record, and the note that
//! remains in memory after the panic.

#![forbid(unsafe_code)]

pub mod note;
pub mod readings;

//! What the guest's programs and the QEMU runner share: what the poller has seen, and the note that stays in memory when the kernel dies.

#![forbid(unsafe_code)]

pub mod note;
pub mod readings;

//! Decodes the kernel log of a Linux kernel that no longer runs, from a copy of its printk ring
//! buffer (Linux 5.10 and newer, 64 bits, little-endian).
//!
//! ```text
//! VMCOREINFO ─[1]→ Layout ─┐
//! printk_ringbuffer ──────[2]→ Heads ─┐
//! descriptors, infos, text ──────────[3]→ Log ─[5]→ lines of dmesg
//!                    text alone ─────[4]→ Log
//! ```
//!
//! The copy may have been overwritten in part. The decoder shows a record only if its descriptor,
//! its info and the words around its text confirm each other. It marks every other record as
//! damaged.
//!
//! No input makes it panic. Its work is proportional to the size of the copy.

#![forbid(unsafe_code)]

pub mod vmcoreinfo; // [1] sizes and offsets of the running kernel's structs
pub mod heads; // [2] where the log begins and ends
pub mod part; // a part of one of the ring's arrays
pub mod decode; // [3] descriptors, infos and text confirm each other
pub mod text_only; // [4] the text ring alone
pub mod dmesg; // [5] records as lines
#[cfg(any(test, feature = "testing"))]
pub mod writer; // writes rings as the kernel does

pub use decode::{Damage, Entry, Log, Record, Ring, decode};
pub use heads::Heads;
pub use part::Part;
pub use vmcoreinfo::{Layout, Vmcoreinfo};

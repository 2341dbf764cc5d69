//! Keeps the armed image up to date when CPUs or memory are added or removed.
//!
//! *On entry* an armed image and the kernel's events. *On exit* one decision: reload now, later, or
//! not at all.

pub mod uevent; // the kernel's messages
pub mod queue; // events that wait for a reload
pub mod burst; // one reload at once, and one after the burst
pub mod removal; // memory that is about to be removed
pub mod outdated; // every reason why the armed image is out of date

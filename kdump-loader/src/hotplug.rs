//! CPUs and memory that come and go, and the image that must follow.
//!
//! *On entry* an armed image and the kernel's events. *On exit* one decision: reload now, later, or not at all.

pub mod uevent; // the kernel's own messages
pub mod queue; // events that wait
pub mod burst; // one reload at once, and one when it is quiet
pub mod removal; // memory that is about to go
pub mod outdated; // every reason why the armed image is out of date

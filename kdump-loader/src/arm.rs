//! Arming, and the record of what was armed.
//!
//! *On entry* an image. *On exit* the kernel has it, and a file below /run says which image that is.

pub mod write; // files that the program writes as root
pub mod record; // what was armed, and what it was made from

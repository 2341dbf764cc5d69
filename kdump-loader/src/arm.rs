//! Arming, and the record of the armed image.
//!
//! *On entry* an image. *On exit* the kernel has loaded it, and a file below /run describes it.

pub mod write; // writes files as root
pub mod record; // the armed image, and what it was made from

//! The black box: what the boot after a panic can tell, although no dump came out.
//!
//! *On entry* memory of the boot before, of which a reset keeps most. *On exit* a folder below
//! /var/lib for each panic, and a story for the operator.

pub mod armed; // [0] where the records of the armed image will be
pub mod harvest; // [1] before the first load after a boot, which overwrites them
pub mod panic; // [2] what is known about it
pub mod saved; // [3] below /var/lib
pub mod story; // [4] one screen of plain English
pub mod page; // [5] the same as a page

pub use harvest::before_load;

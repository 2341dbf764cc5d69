//! What is read out of a machine, as types, and the outcome that a run leaves.

pub mod iomem; // /proc/iomem: which memory is there
pub mod elfcore; // the elfcorehdr, and /proc/vmcore
pub mod armed; // the image as it is in memory
pub mod purgatory; // where a function of the purgatory is
pub mod console; // the purgatory's lines
pub mod report; // the purgatory's report
pub mod outcome; // when what happened, and what was found

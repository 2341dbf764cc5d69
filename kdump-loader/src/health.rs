//! "If it panics now, do I get a dump?"
//!
//! *On entry* a machine in any state. *On exit* findings, each with a level and a remedy, and one answer.

pub mod findings; // the table of findings, and the answer
pub mod advice; // allowed, but probably a mistake
pub mod survey; // every look at the machine

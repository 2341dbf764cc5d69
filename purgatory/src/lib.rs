//! The parts of the purgatory that are pure: bytes in, facts out. `main.rs` tells the story and owns everything that touches
//! the machine; what is here also runs on the host, under test. Modules in order of execution.

#![no_std]
#![forbid(unsafe_code)]

pub mod console;
pub mod span;
pub mod received;
pub mod reading;
pub mod verify;
pub mod elfcorehdr;
pub mod policy;
pub mod regions;
pub mod jump_back;

//! Scenario → machine → outcome.
//!
//! A [`Scenario`] is a story about one crash: a real kernel is booted in QEMU, armed, sometimes damaged from outside, panicked,
//! and what comes out is judged: by the purgatory's verdict, by what stands in /proc/vmcore, and by when and how the machine ends.
//! Messages count where they are what people get: `console.rs` takes the purgatory's lines apart, and a refusal of the loader's
//! must have the words in it that name the cause.
//!
//! ```text
//! bare.rs          the fault matrix: a kernel of our own crashes, and has a map of its own
//! scenarios/*.rs   what happens, and what must be true afterwards
//! first.rs         what can be done to the kernel that is going to crash        ┐ stages of
//! capture.rs       what must be true in the kernel that takes the dump          ┘ one run
//! vm.rs            one running QEMU: console, agent, monitor, one deadline
//! machine.rs       one struct = one command line of QEMU
//! checkpoint.rs    a machine that has booted, from which others go on
//! initramfs.rs     the two user spaces, as archives
//! installed.rs     a Debian with its services, on a disk
//! page.rs          what came out, as a page for people
//! storm.rs         memory that comes block after block, and who keeps the image true
//! panics.rs        the same, and a panic at a drawn moment
//! peers.rs         the purgatories of kexec-tools and of Linux, taken out of what carries them
//! ```

#![forbid(unsafe_code)]

pub mod assets;
pub mod bare;
pub mod context;
pub mod error;
pub mod outcome;
pub mod page;
pub mod scenario;
mod scenarios;

pub mod initramfs;
pub mod machine;
pub mod deadline;
pub mod emulator;
pub mod vm;
pub mod agent;
pub mod monitor;
pub mod ram;
pub mod shared;
pub mod checkpoint;

pub mod uki;
pub mod setup;
pub mod stage;
pub mod first;
pub mod loaded;
pub mod armed;
pub mod purgatory;
pub mod console;
pub mod report;
pub mod iomem;
pub mod elfcore;
pub mod capture;
pub mod installed;
pub mod storm;
pub mod panics;
pub mod fixture;
pub mod peers;

pub use context::Context;
pub use error::Error;
pub use outcome::Outcome;
pub use scenario::{Scenario, scenarios};

//! Scenario → machine → outcome.
//!
//! A [`Scenario`] is a story about one crash. A real kernel boots in QEMU, is armed, is sometimes
//! damaged from outside, and panics. The judge looks at the purgatory's verdict, at /proc/vmcore,
//! and at when and how the machine ends. Where a message is what users get, its words count as
//! well.
//!
//! The modules are in order of use; each uses only those above it.
//!
//! ```text
//! error.rs       why a run failed
//! host.rs        files and programs of the host
//! assets/        what setup has brought: programs, firmware, kernels; a developer's own kernel
//! machine/       one QEMU: command line, console, agent, monitor, memory, checkpoint
//! context.rs     assets, build results, and how the caller wants scenarios run
//! evidence/      what is read out of a machine: iomem, ELF cores, console, report, armed image
//! guest/         the two user spaces, as archives
//! peers/         the purgatories of kexec-tools and Linux, taken out of what carries them
//! stage/         one run: boot, arm, plug, damage, panic, capture
//! scenarios/     what happens, and what must be true afterwards
//! bare/          the fault matrix: our own kernel crashes, so there is no user space
//! storm/         memory that comes block after block, and who keeps the image up to date
//! panics/        the same, with a panic at a drawn moment
//! survival.rs    whether the black box outlives a reset, with the kernel at a random place
//! savers.rs      two ways to save a dump on the same Debian
//! built_in.rs    a kernel that was built with our purgatory
//! long_life.rs   many reloads in a row, and many devices that come and go
//! readers.rs     a dump for crash and drgn, and what they must find in it
//! free_pages.rs  dumps in which free pages can be counted
//! page/          what came out, as a page for people
//! ```

#![forbid(unsafe_code)]

mod error;
mod host;
pub mod assets;
mod machine;
pub mod context;
mod evidence;
mod guest;
pub mod peers;
mod stage;
pub mod scenario;
mod scenarios;
pub mod fixture; // files of tests/fixtures that a real kernel wrote
pub mod bare;
pub mod storm;
pub mod panics;
pub mod survival;
pub mod savers;
pub mod built_in;
pub mod long_life;
pub mod readers;
pub mod free_pages;
pub mod page;

pub use context::Context;
pub use error::Error;
pub use evidence::outcome::{Outcome, SavedDump};
pub use scenario::{Lab, Scenario, scenarios};

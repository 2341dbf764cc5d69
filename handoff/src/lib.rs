//! The contract between the loader and the purgatory. The loader fills a [`Block`] while Linux is
//! healthy, and the purgatory reads it once, after Linux has panicked. Nothing else passes between
//! them.
//!
//! ```text
//! purgatory segment, as the loader binds it at a 4 KiB boundary of the crash region
//! ┌────────────────────┬─────────┬──────┬──────────────────┬─────────────────┐
//! │ text, read-only    │ Block   │ bss  │ leaf digests     │ elfcorehdr copy │
//! │ data (a region)    │ (seal)  │      │ 32 bytes a leaf  │ (a region)      │
//! └────────────────────┴─────────┴──────┴──────────────────┴─────────────────┘
//! ```
//!
//! ```
//! use handoff::{Block, Region, RegionKind};
//!
//! let mut block = Block::blank();
//! block.regions[0] = Region::new(RegionKind::Kernel, 0x100_0000, 0x80_0000, 0x120_0000);
//! block.region_count = 1.into();
//! let [before, after] = block.sealed_bytes();
//! assert_eq!(before.len() + 32 + after.len(), size_of::<Block>());
//! ```
//!
//! # Order of events
//!
//! The loader:
//! 1. places every segment, and cuts each region's file bytes into leaves of `leaf_size`;
//! 2. writes one SHA-256 per leaf into the leaf table, in region order;
//! 3. fills the block, and stores in `seal` the SHA-256 of (block before `seal` ‖ block after
//!    `seal` ‖ leaf table).
//!
//! The purgatory checks the block's shape, then the seal. From then on it records each stage in the
//! [black box](black_box). It copies the kernel log, then checks every leaf and every zero tail,
//! then the structure of the elfcorehdr. Then it fills in the report field of the command line and
//! jumps.
//!
//! # What is in no region
//!
//! * The elfcorehdr, because the kernel rewrites it on every CPU or memory hot(un)plug (Linux
//!   f7cc804a9fd4).
//! * The block and the leaf table, because the seal covers them.
//! * Bss, because it is written at crash time.
//!
//! # Versions
//!
//! `magic`, `version` and `size` are the first sixteen bytes of every version. A purgatory accepts
//! only the version and the size that it was built for.

#![no_std]
#![forbid(unsafe_code)]

pub mod block;
pub mod region;
pub mod policy;
pub mod verdict;
pub mod text;
pub mod report;
pub mod black_box;

pub use black_box::BlackBox;
pub use block::{Block, ConsoleSettings, EntryRegs, PhysSpan};
pub use policy::{ConsoleKind, EngineId, OnCorrupt, Permissions};
pub use region::{Region, RegionKind};
pub use verdict::Verdict;

/// Bytes in one SHA-256 digest (FIPS 180-4 §1).
pub const DIGEST_LEN: usize = 32;

/// The ELF section of the purgatory that the linker script reserves for the block and the loader
/// overwrites.
pub const HANDOFF_SECTION: &str = ".handoff";

/// The page size of every boundary in the contract: kexec_load(2) requires it of segments
/// (`sanity_check_segment_list`, kernel/kexec_core.c).
pub const PAGE_SIZE: u64 = 4096;

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! SHA-256 (FIPS 180-4) for both sides of a panic: the loader digests what it loads, the purgatory what it finds.
//!
//! A span of memory is cut into *leaves*, each with a digest of its own, because one digest is one chain of dependent rounds: a
//! core with SHA-NI finishes two interleaved chains in little more than the time of one. A leaf that fails also says where.
//!
//! No allocation, no state between calls, no CPU feature used that the chosen [`Engine`] does not stand for.

#![no_std]

mod constants;
pub mod engine;
pub mod leaves;
pub mod stream;
pub mod zero;

pub use engine::{Engine, ShaNi};
pub use leaves::digest_leaves;
pub use stream::Sha256;
pub use zero::first_nonzero;

/// One SHA-256 digest.
pub type Digest = [u8; handoff::DIGEST_LEN];

/// Bytes in one message block (FIPS 180-4 §1).
pub const BLOCK_LEN: usize = 64;

/// One message block.
pub type Block = [u8; BLOCK_LEN];

/// The eight working words H0…H7 between blocks (FIPS 180-4 §6.2).
pub type State = [u32; 8];

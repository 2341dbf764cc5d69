//! SHA-256 (FIPS 180-4) for both sides of a panic: the loader digests what it loads, the purgatory
//! what it finds.
//!
//! The caller cuts memory into *leaves*, and each leaf has its own digest. One digest is one chain
//! of dependent rounds, and a core with SHA-NI finishes two interleaved chains in little more than
//! the time of one. A leaf that fails also says where.
//!
//! No allocation, no state between calls. Only CPU features that the chosen [`Engine`] names are
//! used.
//!
//! ```
//! use digest::{Engine, Sha256, digest_leaves};
//!
//! let memory = [0x5a; 10_000];
//! let mut table = [[0; 32]; 3];
//! digest_leaves(Engine::fastest(), memory.chunks(4096), |at, digest| table[at] = digest);
//!
//! let mut last = Sha256::new(Engine::soft());
//! last.update(&memory[8192..]);
//! assert_eq!(table[2], last.finish());
//! ```

#![no_std]

mod constants;
pub mod engine;
pub mod leaves;
pub mod stream;
pub mod zero;

pub use engine::{Engine, EngineKind, ShaNi};
pub use leaves::digest_leaves;
pub use stream::Sha256;
pub use zero::first_nonzero;

/// Bytes in one SHA-256 digest (FIPS 180-4 §1).
pub const DIGEST_LEN: usize = 32;

/// One SHA-256 digest.
pub type Digest = [u8; DIGEST_LEN];

/// Bytes in one message block (FIPS 180-4 §1).
pub const BLOCK_LEN: usize = 64;

/// One message block.
pub type Block = [u8; BLOCK_LEN];

/// The eight working words H0…H7 between blocks (FIPS 180-4 §6.2).
pub type State = [u32; 8];

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

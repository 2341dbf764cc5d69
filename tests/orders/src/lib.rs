//! The contract between three programs: the runner on the host, the crash kernel, and the payload
//! that captures.
//!
//! ```text
//! runner ──orders (ramdisk or memory)──▶ crash kernel ──crash note (PT_NOTE)──▶ capture payload
//!    ◀──────facts (lines on COM2)────────────┘                                       │
//!    ◀──────checks (lines on COM2); ending (isa-debug-exit)──────────────────────────┘
//! ```
//!
//! COM1 is only the purgatory's console, so that a case can remove it. COM2 ([`HARNESS_PORT`]) is
//! the harness's.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod ending; // through isa-debug-exit
pub mod map; // fixed addresses of the crash kernel
pub mod note; // the facts that the payload compares with
#[cfg(feature = "alloc")]
pub mod orders; // what must happen
pub mod span;

pub use ending::Ending;
pub use note::{CrashNote, Nmi};
#[cfg(feature = "alloc")]
pub use orders::{Crash, Orders, Sealed, Segment, Step, Tables};
pub use span::{PhysSpan, SealedSpan};

/// First I/O port of the UART of crash kernel and payload: COM2.
pub const HARNESS_PORT: u16 = 0x2f8;

/// Seconds that a run may take, by the runner's clock.
pub const RUN_SECONDS: u64 = 120;
/// Seconds for which the crash kernel awaits an action of the runner: less, so that it can report
/// what was missing.
pub const AWAIT_SECONDS: u64 = 60;
const _: () = assert!(AWAIT_SECONDS < RUN_SECONDS);

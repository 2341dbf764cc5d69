//! Every engine: its name, what it needs of the CPU, and its compression function.
//!
//! To add one, write a file in `engine/` that exports `STREAMS`, `compress` and `compress_one`, and
//! add a variant here. The compiler then finds every user that must tell engines apart. It does not
//! find `fastest` and `MAX_STREAMS` below: without them, a new engine is never chosen. The tests in
//! `tests/` run every engine that the CPU has, with every number of streams.

use crate::{Block, State};

mod soft;
mod sha_ni;

pub use sha_ni::ShaNi;

/// Largest number of streams of any engine.
pub const MAX_STREAMS: usize =
    if sha_ni::STREAMS > soft::STREAMS { sha_ni::STREAMS } else { soft::STREAMS };

/// An implementation of SHA-256's compression function, whether or not this CPU can run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// The portable one; needs nothing of the CPU.
    Soft,
    /// Several interleaved streams of SHA-NI; needs SHA, SSSE3 and SSE4.1.
    ShaNi,
}

impl EngineKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Soft, Self::ShaNi];

    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::ShaNi => "sha-ni",
        }
    }
}

/// An implementation of SHA-256's compression function that this CPU can run.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    /// Any x86-64 CPU; four streams, or one.
    Soft,
    /// SHA-NI; holding one proves that the CPU has it.
    ShaNi(ShaNi),
}

impl Engine {
    /// The portable engine.
    pub const fn soft() -> Self {
        Self::Soft
    }

    /// The engine of this kind, if this CPU can run it. Executes CPUID for all but
    /// [`EngineKind::Soft`].
    pub fn detect(kind: EngineKind) -> Option<Self> {
        match kind {
            EngineKind::Soft => Some(Self::Soft),
            EngineKind::ShaNi => ShaNi::detect().map(Self::ShaNi),
        }
    }

    /// The fastest engine that this CPU can run. Executes CPUID.
    pub fn fastest() -> Self {
        Self::detect(EngineKind::ShaNi).unwrap_or(Self::Soft)
    }

    /// Its kind.
    pub const fn kind(self) -> EngineKind {
        match self {
            Self::Soft => EngineKind::Soft,
            Self::ShaNi(_) => EngineKind::ShaNi,
        }
    }

    /// Number of streams that it works on at once, at most [`MAX_STREAMS`].
    pub const fn streams(self) -> usize {
        match self {
            Self::Soft => soft::STREAMS,
            Self::ShaNi(_) => sha_ni::STREAMS,
        }
    }

    /// Runs the blocks of `runs[i]` through `states[i]`, for every `i` at once.
    ///
    /// # Panics
    /// If the runs differ in length, if there are more than [`Self::streams`], or if their number
    /// differs from that of the states.
    pub fn compress(self, states: &mut [State], runs: &[&[Block]]) {
        assert!(
            states.len() == runs.len() && runs.len() <= self.streams(),
            "one run for each stream"
        );
        assert!(runs.iter().all(|run| run.len() == runs[0].len()), "streams move in step");
        match self {
            Self::Soft => soft::compress(states, runs),
            Self::ShaNi(cpu) => sha_ni::compress(cpu, states, runs),
        }
    }

    /// Runs the blocks of `run` through `state`.
    pub fn compress_one(self, state: &mut State, run: &[Block]) {
        match self {
            Self::Soft => soft::compress_one(state, run),
            Self::ShaNi(cpu) => sha_ni::compress_one(cpu, state, run),
        }
    }
}

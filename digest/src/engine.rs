//! Every engine: its name, what it needs of the CPU, and its compression function.
//!
//! To add one: a number in `handoff::EngineId`, a file in `engine/` that exports a `compress`, a variant here; ARCHITECTURE.md has the
//! rest of the way. The tests in `tests/` run every engine that the CPU has and every number of streams.

use handoff::EngineId;

use crate::{Block, State};

mod soft;
mod sha_ni;

pub use sha_ni::ShaNi;

/// Most streams that any engine runs side by side.
pub const MAX_STREAMS: usize = if sha_ni::STREAMS > soft::STREAMS { sha_ni::STREAMS } else { soft::STREAMS };

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

    /// The engine with this number, if this CPU can run it. Executes CPUID for all but [`EngineId::Soft`].
    pub fn detect(id: EngineId) -> Option<Self> {
        match id {
            EngineId::Soft => Some(Self::Soft),
            EngineId::ShaNi => ShaNi::detect().map(Self::ShaNi),
        }
    }

    /// The fastest engine that this CPU can run. Executes CPUID.
    pub fn fastest() -> Self {
        Self::detect(EngineId::ShaNi).unwrap_or(Self::Soft)
    }

    /// Its number in the handoff block.
    pub const fn id(self) -> EngineId {
        match self {
            Self::Soft => EngineId::Soft,
            Self::ShaNi(_) => EngineId::ShaNi,
        }
    }

    /// How many streams it works on at once when it has that many, at most [`MAX_STREAMS`].
    pub const fn streams(self) -> usize {
        match self {
            Self::Soft => soft::STREAMS,
            Self::ShaNi(_) => sha_ni::STREAMS,
        }
    }

    /// Runs the blocks of `runs[i]` through `states[i]`, for every `i` at once.
    ///
    /// # Panics
    /// When the runs differ in length, or when there are more than [`Self::streams`] of them or not one for each state.
    pub fn compress(self, states: &mut [State], runs: &[&[Block]]) {
        assert!(states.len() == runs.len() && runs.len() <= self.streams(), "one run for each stream");
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

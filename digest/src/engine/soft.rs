//! The engine for CPUs without SHA-NI: four streams side by side in vector registers, or one in integer registers. SSE2 is part of
//! x86-64, so there is no CPU that lacks it.

use crate::{Block, State};

mod one_stream; // integer registers
mod four_streams; // SSE2

pub use four_streams::STREAMS;
pub use one_stream::compress as compress_one;

/// Runs `runs[i]` through `states[i]`, all at once. `Engine::compress` has checked the counts and lengths.
///
/// Two or three streams take as long as four: the other words of each register then work for nobody. That happens once an image, behind
/// the last leaf but three.
pub fn compress(states: &mut [State], runs: &[&[Block]]) {
    match (states, runs) {
        ([], []) => {}
        ([state], [run]) => one_stream::compress(state, run),
        (states, runs) => four_streams::compress(states, runs),
    }
}

//! The engine for CPUs without SHA-NI: four streams in vector registers, or one in integer
//! registers. SSE2 is part of x86-64, so every CPU has it.

use crate::{Block, State};

/// Eight rounds. The roles of the variables rotate by one with each round, which saves copies.
/// After eight rounds they are back in place.
macro_rules! eight_rounds {
    (
        $round:ident,
        $bc:ident $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident,
        $word:ident
    ) => {
        $round!($bc $a $b $c $d $e $f $g $h $word(0));
        $round!($bc $h $a $b $c $d $e $f $g $word(1));
        $round!($bc $g $h $a $b $c $d $e $f $word(2));
        $round!($bc $f $g $h $a $b $c $d $e $word(3));
        $round!($bc $e $f $g $h $a $b $c $d $word(4));
        $round!($bc $d $e $f $g $h $a $b $c $word(5));
        $round!($bc $c $d $e $f $g $h $a $b $word(6));
        $round!($bc $b $c $d $e $f $g $h $a $word(7));
    };
}

mod one_stream; // integer registers
mod four_streams; // SSE2

pub use four_streams::STREAMS;
pub use one_stream::compress as compress_one;

/// Runs `runs[i]` through `states[i]`, all at once. `Engine::compress` checks counts and lengths.
///
/// Two or three streams take as long as four, because the other words of each register go unused.
/// That happens once per image, for the last leaves.
pub fn compress(states: &mut [State], runs: &[&[Block]]) {
    match (states, runs) {
        ([], []) => {}
        ([state], [run]) => one_stream::compress(state, run),
        (states, runs) => four_streams::compress(states, runs),
    }
}

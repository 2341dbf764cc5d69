//! The engine for CPUs without SHA-NI: four streams side by side in vector registers, or one in integer registers. SSE2 is part of
//! x86-64, so there is no CPU that lacks it.

use crate::{Block, State};

/// Eight of what either calls a round. What the letters stand for moves on by one with each, so that nothing is copied, and after eight they
/// are where they were.
macro_rules! eight_rounds {
    ($round:ident, $bc:ident $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $word:ident) => {
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

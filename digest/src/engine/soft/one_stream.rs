//! One stream in integer registers: twice as fast as four streams of which three go unused. A seal
//! is one message, and so is everything that Linux and kexec-tools have a purgatory digest.

use crate::constants::K;
use crate::{Block, State};

/// One round (FIPS 180-4 §6.2.2 step 3), written as in `four_streams.rs`. Rotations share their
/// last steps: Σ1 rotates by 6, 11 and 25, Σ0 by 2, 13 and 22.
macro_rules! round {
    (
        $bc:ident $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident
        $w_and_k:expr
    ) => {
        let choice = (($f ^ $g) & $e) ^ $g;
        let big_sigma1 =
            (($e.rotate_right(25 - 11) ^ $e).rotate_right(11 - 6) ^ $e).rotate_right(6);
        let t1 = $h.wrapping_add($w_and_k).wrapping_add(choice).wrapping_add(big_sigma1);
        let ab = $a ^ $b;
        let majority = (ab & $bc) ^ $b;
        let big_sigma0 =
            (($a.rotate_right(22 - 13) ^ $a).rotate_right(13 - 2) ^ $a).rotate_right(2);
        $d = $d.wrapping_add(t1);
        $h = t1.wrapping_add(majority).wrapping_add(big_sigma0);
        $bc = ab;
    };
}

/// Runs `run` through `state`.
#[inline(never)]
#[allow(unused_assignments, reason = "no round follows the last, for which it leaves b^c")]
pub fn compress(state: &mut State, run: &[Block]) {
    for block in run {
        let words = block.as_chunks().0;
        // The halves swap every eight rounds, as in `four_streams.rs`.
        let [mut older, mut newer]: [[u32; 8]; 2] = [0, 8]
            .map(|first| core::array::from_fn(|word| u32::from_be_bytes(words[first + word])));
        let (mut older, mut newer) = (&mut older, &mut newer);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        let mut bc = b ^ c;
        for (eight, constants) in K.0.as_chunks::<8>().0.iter().enumerate() {
            if eight >= 2 {
                next_words(older, newer);
            }
            let word = |at: usize| older[at].wrapping_add(constants[at]);
            eight_rounds!(round, bc a b c d e f g h, word);
            core::mem::swap(&mut older, &mut newer);
        }
        for (word, after) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(after);
        }
    }
}

/// Replaces the older eight message words by the next eight (FIPS 180-4 §6.2.2 step 1).
fn next_words(older: &mut [u32; 8], newer: &[u32; 8]) {
    for at in 0..8 {
        // Fifteen, seven and two words back.
        let w15 = if at < 7 { older[at + 1] } else { newer[0] };
        let w7 = if at < 7 { newer[at + 1] } else { older[0] };
        let w2 = if at < 2 { newer[at + 6] } else { older[at - 2] };
        let small_sigma0 = w15.rotate_right(7) ^ w15.rotate_right(18) ^ w15 >> 3;
        let small_sigma1 = w2.rotate_right(17) ^ w2.rotate_right(19) ^ w2 >> 10;
        older[at] =
            older[at].wrapping_add(small_sigma0).wrapping_add(w7).wrapping_add(small_sigma1);
    }
}

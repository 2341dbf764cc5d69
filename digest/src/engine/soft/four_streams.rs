//! Four streams, one in each word of an SSE2 register.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_and_si128, _mm_slli_epi32, _mm_srli_epi32, _mm_xor_si128,
};

use zerocopy::transmute;

use crate::constants::K;
use crate::{Block, State};

/// Number of streams.
pub const STREAMS: usize = 4;

/// Runs `runs[i]` through `states[i]`, at least one and at most four. Missing streams repeat the
/// first.
pub fn compress(states: &mut [State], runs: &[&[Block]]) {
    let stream = |index: usize| runs.get(index).unwrap_or(&runs[0]);
    let runs = [0, 1, 2, 3].map(stream);
    let mut side_by_side: [[u32; STREAMS]; 8] = core::array::from_fn(|word| {
        core::array::from_fn(|index| states.get(index).map_or(0, |state| state[word]))
    });
    // SAFETY: SSE2 is part of x86-64, and SSE is on: operating systems keep it on for programs, and
    // the purgatory's entry.S switches it on before any Rust code runs.
    unsafe { four_streams(&mut side_by_side, runs) };
    for (index, state) in states.iter_mut().enumerate() {
        *state = side_by_side.map(|word| word[index]);
    }
}

/// Rotates every word to the right. SSE2 has no rotation, so this combines two shifts.
macro_rules! rotate_right {
    ($x:expr, $bits:literal) => {
        _mm_xor_si128(_mm_srli_epi32::<$bits>($x), _mm_slli_epi32::<{ 32 - $bits }>($x))
    };
}

/// One round (FIPS 180-4 §6.2.2 step 3). Majority is computed as (a^b & b^c) ^ b. This round's a^b
/// is the next round's b^c, which `$bc` carries over.
macro_rules! round {
    (
        $bc:ident $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident
        $w_and_k:expr
    ) => {
        let choice = _mm_xor_si128(_mm_and_si128(_mm_xor_si128($f, $g), $e), $g);
        let t1 = sum([$h, $w_and_k, choice, big_sigma1($e)]);
        let ab = _mm_xor_si128($a, $b);
        let majority = _mm_xor_si128(_mm_and_si128(ab, $bc), $b);
        $d = _mm_add_epi32($d, t1);
        $h = sum([t1, majority, big_sigma0($a)]);
        $bc = ab;
    };
}

#[target_feature(enable = "sse2")]
#[inline(never)]
#[allow(unused_assignments, reason = "no round follows the last, for which it leaves b^c")]
fn four_streams(states: &mut [[u32; STREAMS]; 8], runs: [&&[Block]; STREAMS]) {
    let mut state: [__m128i; 8] = states.map(|word| transmute!(word));
    for block in 0..runs[0].len() {
        let before = state;
        // The sixteen most recent message words in two halves. These swap every eight rounds, so
        // that all indices are constants.
        let [mut older, mut newer]: [[__m128i; 8]; 2] = [0, 8]
            .map(|first| core::array::from_fn(|word| message_word(&runs, block, first + word)));
        let (mut older, mut newer) = (&mut older, &mut newer);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        let mut bc = _mm_xor_si128(b, c);
        for (eight, constants) in K.0.as_chunks::<8>().0.iter().enumerate() {
            if eight >= 2 {
                next_words(older, newer);
            }
            let word = |at: usize| _mm_add_epi32(older[at], transmute!([constants[at]; STREAMS]));
            eight_rounds!(round, bc a b c d e f g h, word);
            core::mem::swap(&mut older, &mut newer);
        }
        state = [a, b, c, d, e, f, g, h];
        for (word, before) in state.iter_mut().zip(before) {
            *word = _mm_add_epi32(*word, before);
        }
    }
    *states = state.map(|word| transmute!(word));
}

/// Puts the eight message words that follow in the place of the older eight (FIPS 180-4 §6.2.2 step
/// 1).
#[target_feature(enable = "sse2")]
#[inline]
fn next_words(older: &mut [__m128i; 8], newer: &[__m128i; 8]) {
    for at in 0..8 {
        // Fifteen, seven and two words back.
        let w15 = if at < 7 { older[at + 1] } else { newer[0] };
        let w7 = if at < 7 { newer[at + 1] } else { older[0] };
        let w2 = if at < 2 { newer[at + 6] } else { older[at - 2] };
        older[at] = next_word(older[at], w15, w7, w2);
    }
}

/// One message word of each stream, which are big-endian in memory (FIPS 180-4 §5.2.1).
#[inline(never)] // sixteen copies would be a kilobyte
fn message_word(runs: &[&&[Block]; STREAMS], block: usize, word: usize) -> __m128i {
    transmute!(runs.map(|run| u32::from_be_bytes(run[block].as_chunks().0[word])))
}

/// The message word that follows (FIPS 180-4 §6.2.2 step 1), from those sixteen, fifteen, seven and
/// two before it.
#[target_feature(enable = "sse2")]
#[inline]
fn next_word(w16: __m128i, w15: __m128i, w7: __m128i, w2: __m128i) -> __m128i {
    let small_sigma0 = _mm_xor_si128(
        _mm_xor_si128(rotate_right!(w15, 7), rotate_right!(w15, 18)),
        _mm_srli_epi32::<3>(w15),
    );
    let small_sigma1 = _mm_xor_si128(
        _mm_xor_si128(rotate_right!(w2, 17), rotate_right!(w2, 19)),
        _mm_srli_epi32::<10>(w2),
    );
    sum([w16, small_sigma0, w7, small_sigma1])
}

/// Σ0 (FIPS 180-4 §4.1.2).
#[target_feature(enable = "sse2")]
#[inline]
fn big_sigma0(a: __m128i) -> __m128i {
    _mm_xor_si128(_mm_xor_si128(rotate_right!(a, 2), rotate_right!(a, 13)), rotate_right!(a, 22))
}

/// Σ1 (FIPS 180-4 §4.1.2).
#[target_feature(enable = "sse2")]
#[inline]
fn big_sigma1(e: __m128i) -> __m128i {
    _mm_xor_si128(_mm_xor_si128(rotate_right!(e, 6), rotate_right!(e, 11)), rotate_right!(e, 25))
}

/// The sum of all, word by word.
#[target_feature(enable = "sse2")]
#[inline]
fn sum<const N: usize>(words: [__m128i; N]) -> __m128i {
    let [first, rest @ ..] = words.as_slice() else { unreachable!("a sum of something") };
    rest.iter().fold(*first, |sum, &word| _mm_add_epi32(sum, word))
}

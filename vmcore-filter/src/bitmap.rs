//! A bit for each page of a section, as the dump has them: page 0 is bit 0 of byte 0.

use crate::PAGE_LEN;
use crate::memory::Memory;

/// The bits of one section.
#[derive(Clone, Debug)]
pub(crate) struct Bitmap {
    first: u64,
    bytes: Vec<u8>,
}

impl Bitmap {
    /// The first section; sections have `2^page_bits` pages, at least 8. No bit is set.
    pub fn new(page_bits: u32) -> Self {
        Self { first: 0, bytes: vec![0; 1 << (page_bits - 3)] }
    }

    /// Moves to the section that begins at page `first`.
    pub fn move_to(&mut self, first: u64) {
        self.first = first;
        self.bytes.fill(0);
    }

    /// Moves to a section, and sets the bits of pages that the vmcore has.
    pub fn load(&mut self, first: u64, memory: &Memory) {
        self.move_to(first);
        let end = self.end();
        for range in memory.touching(first, end) {
            let from = (range.start / PAGE_LEN).max(first);
            let to = range.end.div_ceil(PAGE_LEN).min(end);
            self.each_byte(from, to, |byte, mask| *byte |= mask);
        }
    }

    /// The first page.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The page after the last.
    pub fn end(&self) -> u64 {
        self.first + self.bytes.len() as u64 * 8
    }

    /// The bits.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bits, to be replaced.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// How many bits are set.
    pub fn count(&self) -> u64 {
        self.bytes.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Whether a bit from `from` to before `to` is set; both are multiples of 8.
    pub fn has_any(&self, from: u64, to: u64) -> bool {
        let [from, to] = [from, to].map(|pfn| (pfn - self.first) as usize / 8);
        self.bytes[from..to].iter().any(|&byte| byte != 0)
    }

    /// Clears the bits from `from` to before `to`, and returns how many were set.
    pub fn remove(&mut self, from: u64, to: u64) -> u64 {
        let mut removed = 0;
        self.each_byte(from, to, |byte, mask| {
            removed += u64::from((*byte & mask).count_ones());
            *byte &= !mask;
        });
        removed
    }

    /// The pages whose bits are set, ascending.
    pub fn pages(&self) -> impl Iterator<Item = u64> {
        (self.first..).step_by(8).zip(&self.bytes).flat_map(|(first, &byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 != 0).map(move |bit| first + bit)
        })
    }

    /// Calls `act` for each byte from `from` to before `to`, with a mask of the bits meant. Both
    /// must be in the section.
    fn each_byte(&mut self, from: u64, to: u64, mut act: impl FnMut(&mut u8, u8)) {
        let (mut at, to) = ((from - self.first) as usize, (to - self.first) as usize);
        while at < to {
            let end = (at / 8 * 8 + 8).min(to);
            let mask = (0xff_u8 << (at % 8)) & (0xff_u8 >> ((8 - end % 8) % 8));
            act(&mut self.bytes[at / 8], mask);
            at = end;
        }
    }
}

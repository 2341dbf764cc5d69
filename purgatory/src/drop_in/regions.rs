//! `[5]` What Linux and kexec-tools have verified: the bytes of sixteen regions, concatenated, with
//! one SHA-256.
//!
//! *On entry*: start and length of each region, as the host's loader wrote them into the purgatory.
//! No seal protects them.
//!
//! *On exit*: regions that can be read, and their digest. Whether those are the *right* regions
//! only the comparison tells. A damaged table has another digest, or names memory that does not
//! exist, which raises a page fault.

use digest::{Digest, Engine, Sha256};

use crate::received::Itself;

/// Entries in either host's table: one for each segment of an image (`KEXEC_SEGMENT_MAX`,
/// include/linux/kexec.h; `SHA256_REGIONS`, purgatory/include/purgatory.h of kexec-tools).
pub const REGIONS: usize = 16;

/// A table as the hosts lay it out: physical address, length in bytes. Unused entries have length
/// 0.
pub type Table = [[u64; 2]; REGIONS];

/// A region that can be read: it does not wrap, begins anywhere but at 0, and shares no byte with
/// the purgatory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    start: u64,
    len: u64,
}

impl Region {
    fn parse([start, len]: [u64; 2], itself: &Itself) -> Option<Self> {
        let end = start.checked_add(len).filter(|_| start != 0 && i64::try_from(len).is_ok())?;
        let apart = end <= itself.start || itself.start + itself.image_len <= start;
        apart.then_some(Self { start, len })
    }

    /// Physical address of the first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// Length in bytes, which is not 0.
    pub fn size(self) -> u64 {
        self.len
    }
}

/// The regions of a table.
#[derive(Clone, Debug)]
pub struct Regions([Option<Region>; REGIONS]);

/// An invalid entry. The hosts never write one, so it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Its place in the table.
    pub index: usize,
}

impl Regions {
    /// Checks every entry. The hosts omit the purgatory itself, and the first page of memory is
    /// never a segment.
    pub fn parse(table: &Table, itself: &Itself) -> Result<Self, Invalid> {
        let mut regions = [None; REGIONS];
        for (index, entry) in table.iter().enumerate().filter(|(_, [_, len])| *len != 0) {
            regions[index] = Some(Region::parse(*entry, itself).ok_or(Invalid { index })?);
        }
        Ok(Self(regions))
    }

    /// The regions with a length, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = Region> + '_ {
        self.0.iter().flatten().copied()
    }

    /// The digest of all regions, concatenated. Without regions it is the digest of the empty
    /// message.
    pub fn digest<'a>(&self, engine: Engine, read: impl Fn(Region) -> &'a [u8]) -> Digest {
        let mut hasher = Sha256::new(engine);
        self.iter().for_each(|region| hasher.update(read(region)));
        hasher.finish()
    }

    /// Compares all 32 bytes of the digest with the expected one. Returns the actual one if they
    /// differ.
    pub fn verify<'a>(
        &self,
        engine: Engine,
        expected: &Digest,
        read: impl Fn(Region) -> &'a [u8],
    ) -> Result<(), Digest> {
        let found = self.digest(engine, read);
        if found == *expected { Ok(()) } else { Err(found) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// A purgatory of 0x5000 bytes, of which the layout does not matter here.
    const ITSELF: Itself = Itself { start: 0x10_0000, written_offset: 0, image_len: 0x5000 };
    /// SHA-256 of nothing (NIST, SHA256ShortMsg.rsp, Len = 0).
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn table(entries: &[[u64; 2]]) -> Table {
        let mut table = [[0; 2]; REGIONS];
        table[..entries.len()].copy_from_slice(entries);
        table
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| ((at * 167) >> 3) as u8).collect()
    }

    /// The digest of memory that begins at 0x1000.
    fn digest_of(memory: &[u8], entries: &[[u64; 2]]) -> Digest {
        let regions = Regions::parse(&table(entries), &ITSELF).unwrap();
        regions.digest(Engine::soft(), |region| {
            &memory[(region.start() - 0x1000) as usize..][..region.size() as usize]
        })
    }

    fn whole(bytes: &[u8]) -> Digest {
        let mut hasher = Sha256::new(Engine::soft());
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn regions_are_one_message_in_the_tables_order() {
        let memory = pattern(300);
        let entries = [[0x1000 + 200, 100], [0x1000, 1], [0x1000 + 1, 99]];
        assert_eq!(digest_of(&memory, &entries), whole(&[&memory[200..], &memory[..100]].concat()));
        assert_ne!(digest_of(&memory, &entries), whole(&[&memory[..100], &memory[200..]].concat()));
    }

    #[test]
    fn regions_without_length_are_skipped_wherever_they_point() {
        let memory = pattern(100);
        let entries = [[u64::MAX, 0], [0x1000, 64], [0, 0], [ITSELF.start, 0], [0x1040, 36]];
        assert_eq!(digest_of(&memory, &entries), whole(&memory));
    }

    #[test]
    fn empty_table_has_the_digest_of_the_empty_message() {
        let hex: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&OF_NOTHING[2 * at..][..2], 16).unwrap()).collect();
        assert_eq!(digest_of(&[], &[]).as_slice(), hex);
    }

    #[test]
    fn every_entry_counts() {
        let memory = pattern(REGIONS * 10);
        let entries: Vec<[u64; 2]> = (0..REGIONS as u64).map(|at| [0x1000 + at * 10, 10]).collect();
        assert_eq!(digest_of(&memory, &entries), whole(&memory));
    }

    #[test]
    #[cfg_attr(miri, ignore = "hashes the regions 256 times")]
    fn every_bit_of_the_digest_counts() {
        let memory = pattern(100);
        let regions = Regions::parse(&table(&[[0x1000, 100]]), &ITSELF).unwrap();
        let verify = |expected: &Digest| regions.verify(Engine::soft(), expected, |_| &memory);
        let right = whole(&memory);
        assert_eq!(verify(&right), Ok(()));
        for bit in 0..8 * right.len() {
            let mut wrong = right;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&wrong), Err(right), "bit {bit}");
        }
    }

    #[test]
    fn invalid_entry_is_reported_with_its_index() {
        let end = ITSELF.start + ITSELF.image_len;
        for invalid in [
            [0, 1],
            [u64::MAX, 2],
            [0x1000, 1 << 63],
            [ITSELF.start, 1],
            [ITSELF.start - 1, 2],
            [end - 1, 1],
            [ITSELF.start - 1, ITSELF.image_len + 2],
        ] {
            let parsed = Regions::parse(&table(&[[0x1000, 1], invalid]), &ITSELF).map(|_| ());
            assert_eq!(parsed, Err(Invalid { index: 1 }), "{invalid:x?}");
        }
        for beside in [[ITSELF.start - 1, 1], [end, 1]] {
            assert!(Regions::parse(&table(&[beside]), &ITSELF).is_ok(), "{beside:x?}");
        }
    }
}

//! `[5]` Is everything as it was loaded? First the seal, then every leaf, then every zero tail.
//!
//! *On entry*: the spans are proven, so `read` may be called for them.
//!
//! *On exit*: every byte of every region was read once, and every difference was passed to `found`.

use core::ops::Range;

use digest::{Digest, Engine, Sha256, digest_leaves, first_nonzero};
use handoff::block::MAX_REGIONS;
use handoff::{Block, DIGEST_LEN, PAGE_SIZE, RegionKind, Verdict};

use crate::reading::{NO_LEAF, Reading};
use crate::received::{Handoff, Span};

/// Number of differences printed in full for each segment. The rest are counted, so that a slow
/// UART does not delay a reset.
pub const PRINTED_PER_SEGMENT: u32 = 4;

/// One difference between what was loaded and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A leaf's digest differs.
    Leaf {
        /// Digest made by the loader.
        expected: Digest,
        /// Digest of what is there.
        found: Digest,
    },
    /// A byte that must be zero is not.
    NotZero,
}

impl Difference {
    /// Its verdict.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Leaf { .. } => Verdict::SegmentCorrupt,
            Self::NotZero => Verdict::ZeroTail,
        }
    }
}

/// The place of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The region.
    pub kind: RegionKind,
    /// Physical address of the leaf, or of the byte that is not zero.
    pub start: u64,
    /// One past the leaf, or past the page that contains the byte.
    pub end: u64,
}

/// Whether the block and the leaf table are what the loader sealed.
pub fn seal_holds(engine: Engine, block: &Block, leaf_table: &[u8]) -> bool {
    let mut hasher = Sha256::new(engine);
    block.sealed_bytes().into_iter().for_each(|bytes| hasher.update(bytes));
    hasher.update(leaf_table);
    hasher.finish() == block.seal
}

/// Compares all regions with the leaf table. Passes every difference to `found`; leaves come in no
/// particular order.
pub fn regions<'a>(
    handoff: &Handoff,
    engine: Engine,
    leaf_table: &[u8],
    reading: &Reading,
    read: impl Fn(Span) -> &'a [u8] + Copy,
    mut found: impl FnMut(Place, Difference),
) {
    let leaf_size = handoff.leaf_size as usize;
    let leaves = handoff.regions().flat_map(|region| {
        let start = region.file().start();
        let chunks = read(region.file()).chunks(leaf_size).enumerate();
        chunks.map(move |(index, leaf)| (start + (index * leaf_size) as u64, leaf))
    });
    let leaves = leaves.enumerate().map(|(position, (start, leaf))| {
        reading.begin(position as u64, start..start + leaf.len() as u64);
        leaf
    });
    let (expected, _) = leaf_table.as_chunks::<DIGEST_LEN>();
    digest_leaves(engine, leaves, |position, digest| {
        let Range { start, end } = reading.end(position as u64);
        if digest != expected[position] {
            let difference = Difference::Leaf { expected: expected[position], found: digest };
            found(Place { kind: kind_at(handoff, start), start, end }, difference);
        }
    });
    for region in handoff.regions() {
        let tail = region.tail();
        reading.begin(NO_LEAF, tail.start()..tail.end());
        let nonzero = first_nonzero(read(tail));
        reading.end(NO_LEAF);
        if let Some(offset) = nonzero {
            let start = tail.start() + offset as u64;
            let end = (start / PAGE_SIZE + 1) * PAGE_SIZE;
            found(
                Place { kind: region.kind, start, end: end.min(tail.end()) },
                Difference::NotZero,
            );
        }
    }
}

/// The region that contains a physical address.
fn kind_at(handoff: &Handoff, address: u64) -> RegionKind {
    let holds = |span: Span| (span.start()..span.end()).contains(&address);
    handoff.regions().find(|region| holds(region.memory)).expect("leaves are parts of regions").kind
}

/// All differences, counted.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    counts: [(Option<RegionKind>, u32); MAX_REGIONS],
    first: Option<(RegionKind, Verdict)>,
}

impl Findings {
    /// Counts one difference and returns how many the region had before.
    pub fn count(&mut self, place: &Place, difference: &Difference) -> u32 {
        self.first.get_or_insert((place.kind, difference.verdict()));
        for (kind, count) in &mut self.counts {
            if kind.is_none() || *kind == Some(place.kind) {
                *kind = Some(place.kind);
                *count += 1;
                return *count - 1;
            }
        }
        unreachable!("no more kinds than regions")
    }

    /// The region and the verdict of the first difference found.
    pub fn first(&self) -> Option<(RegionKind, Verdict)> {
        self.first
    }

    /// Each region that differs, with the number of its differences.
    pub fn regions(&self) -> impl Iterator<Item = (RegionKind, u32)> + '_ {
        self.counts.iter().filter_map(|&(kind, count)| Some((kind?, count)))
    }

    /// Whether this region differs.
    pub fn names(&self, wanted: RegionKind) -> bool {
        self.regions().any(|(kind, _)| kind == wanted)
    }
}

#[cfg(test)]
mod tests;

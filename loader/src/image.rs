//! [9] The image: what is submitted, and what `plan` prints.
//!
//! It has no mutating method. The capture kernel and its initrd are borrowed from the files as they were read.

use std::borrow::Cow;

use digest::Digest;
use handoff::{Block, RegionKind};

use crate::cmdline;
use crate::phys::PhysRange;

mod summary;
mod verification;

pub use summary::{BlockSummary, GuestSummary, RegionSummary, SegmentSummary, SpanSummary, Summary, hex, mib, size};
pub use verification::{ByBlock, BySymbols, Verification};

/// What our purgatory is called where others' are called by whose they are.
pub const OURS: &str = "kdump-purgatory";

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// ELF headers that describe the crashed kernel's memory; the kernel keeps them current.
    Elfcorehdr,
    /// The capture kernel.
    Kernel,
    /// Its initial RAM disk.
    Initrd,
    /// boot_params and setup_data.
    BootParams,
    /// Its command line.
    CommandLine,
    /// The purgatory; with ours its block, the leaf table and the copy of the elfcorehdr.
    Purgatory,
}

impl SegmentKind {
    /// The name in tables and JSON; where a region has the same content, the region's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elfcorehdr => "elfcorehdr",
            Self::Kernel => RegionKind::Kernel.name(),
            Self::Initrd => RegionKind::Initrd.name(),
            Self::BootParams => RegionKind::BootParams.name(),
            Self::CommandLine => RegionKind::CommandLine.name(),
            Self::Purgatory => RegionKind::Purgatory.name(),
        }
    }
}

/// One segment: bytes, and the memory they are copied to; the kernel fills the rest with zeroes.
#[derive(Clone, Debug)]
pub struct Segment<'r> {
    kind: SegmentKind,
    range: PhysRange,
    bytes: Cow<'r, [u8]>,
}

impl<'r> Segment<'r> {
    /// `bytes` at the start of `range`.
    pub fn new(kind: SegmentKind, range: PhysRange, bytes: Cow<'r, [u8]>) -> Self {
        Self { kind, range, bytes }
    }

    /// What it holds.
    pub fn kind(&self) -> SegmentKind {
        self.kind
    }

    /// Its place.
    pub fn range(&self) -> PhysRange {
        self.range
    }

    /// What is copied there.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A complete image.
#[derive(Clone, Debug)]
pub struct Image<'r> {
    entry: u64,
    crash_region: PhysRange,
    segments: Vec<Segment<'r>>,
    verification: Verification,
    dropped: Vec<String>,
}

impl<'r> Image<'r> {
    /// Only [`crate::bind`] has the parts.
    pub(crate) fn new(
        entry: u64,
        crash_region: PhysRange,
        segments: Vec<Segment<'r>>,
        verification: Verification,
        dropped: Vec<String>,
    ) -> Self {
        Self { entry, crash_region, segments, verification, dropped }
    }

    /// Where the kernel jumps on panic.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The region that holds everything.
    pub fn crash_region(&self) -> PhysRange {
        self.crash_region
    }

    /// The segments, ascending.
    pub fn segments(&self) -> &[Segment<'r>] {
        &self.segments
    }

    /// How the purgatory verifies it.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// The block, filled in, if the purgatory is ours.
    pub fn block(&self) -> Option<&Block> {
        match &self.verification {
            Verification::ByBlock(told) => Some(&told.block),
            Verification::BySymbols(_) => None,
        }
    }

    /// The image's identity: the block's seal, or the one digest of what another's purgatory verifies.
    pub fn identity(&self) -> Digest {
        self.verification.identity()
    }

    /// The capture kernel's command line as text, without the blank report at its end.
    fn command_line(&self) -> String {
        let segment = self.segments.iter().find(|segment| segment.kind == SegmentKind::CommandLine);
        let bytes = segment.map_or(&[][..], |segment| segment.bytes());
        cmdline::text(bytes).trim_end_matches([' ', '\0']).to_owned()
    }

    /// Everything a person or a script may want to know, without the bytes.
    pub fn summary(&self) -> Summary {
        let (purgatory, regions, console_port, by_block) = match &self.verification {
            Verification::ByBlock(told) => {
                let regions = &told.block.regions[..told.block.region_count.get() as usize];
                let regions = RegionSummary::in_leaves(regions, told.settings.leaf_size);
                (OURS, regions, told.settings.console, Some(BlockSummary::from(&**told)))
            }
            Verification::BySymbols(told) => (told.contract.name, RegionSummary::whole(&told.regions), told.console, None),
        };
        let confidential = match &self.verification {
            Verification::ByBlock(told) => told.settings.confidential,
            Verification::BySymbols(told) => told.confidential,
        };
        Summary {
            identity: hex(&self.identity()),
            purgatory: purgatory.to_owned(),
            entry: self.entry,
            crash_region: self.crash_region.into(),
            segments: self.segments.iter().map(SegmentSummary::from).collect(),
            regions,
            command_line: self.command_line(),
            dropped: self.dropped.clone(),
            console_port,
            confidential: confidential.map(GuestSummary::from),
            by_block,
        }
    }
}

//! `[9]` The finished image, for [`crate::submit`] and for [`Summary`].
//!
//! It has no mutating method. It borrows the capture kernel and the initrd from the request.

use std::borrow::Cow;

use digest::Digest;
use handoff::{BlackBox, Block, RegionKind};

use crate::cmdline;
use crate::phys::PhysRange;

mod black_box;
mod summary;
mod verification;

pub use black_box::{BlackBoxSummary, LogArraySummary, LogSummary, SignalSummary};
pub use summary::{
    BlockSummary, GuestSummary, RegionSummary, SegmentSummary, SpanSummary, Summary, hex, mib, size,
};
pub use verification::{ByBlock, BySymbols, NoLog, Verification};

/// The name of our purgatory. [`crate::purgatory::foreign::Contract::name`] has those of foreign
/// ones.
pub const OURS: &str = "kdump-purgatory";

/// The content of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// ELF headers that describe the crashed kernel's memory. The kernel can keep them up to date.
    Elfcorehdr,
    /// The capture kernel.
    Kernel,
    /// The capture kernel's initrd.
    Initrd,
    /// boot_params and setup_data.
    BootParams,
    /// The capture kernel's command line.
    CommandLine,
    /// The purgatory. Ours includes its block, the leaf table and a copy of the elfcorehdr.
    Purgatory,
}

impl SegmentKind {
    /// The name in tables and JSON. If a region has the same content, it is the region's name.
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

/// One segment: bytes, and the physical memory that they are copied to. The kernel fills the rest
/// with zeroes.
#[derive(Clone, Debug)]
pub struct Segment<'r> {
    kind: SegmentKind,
    range: PhysRange,
    bytes: Cow<'r, [u8]>,
}

impl<'r> Segment<'r> {
    /// `bytes` at the start of `range`.
    pub(crate) fn new(kind: SegmentKind, range: PhysRange, bytes: Cow<'r, [u8]>) -> Self {
        Self { kind, range, bytes }
    }

    /// The kind of its content.
    pub fn kind(&self) -> SegmentKind {
        self.kind
    }

    /// Its physical memory.
    pub fn range(&self) -> PhysRange {
        self.range
    }

    /// The bytes to copy to the start of its range.
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

    /// Physical address to which the kernel jumps on panic.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The region that contains every segment.
    pub fn crash_region(&self) -> PhysRange {
        self.crash_region
    }

    /// The segments, in ascending order.
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
            Verification::ByBlock(ours) => Some(&ours.block),
            Verification::BySymbols(_) => None,
        }
    }

    /// The black box, if the purgatory leaves records or a copy of the kernel log.
    pub fn black_box(&self) -> Option<&BlackBox> {
        self.block().map(|block| &block.black_box).filter(|there| there.generation.get() != 0)
    }

    /// The image's identity: the block's seal, or the digest of everything that a foreign purgatory
    /// verifies.
    pub fn identity(&self) -> Digest {
        self.verification.identity()
    }

    /// The capture kernel's command line as text, without the blank report at its end.
    fn command_line(&self) -> String {
        let segment = self.segments.iter().find(|segment| segment.kind == SegmentKind::CommandLine);
        let bytes = segment.map_or(&[][..], |segment| segment.bytes());
        cmdline::text(bytes).trim_end_matches([' ', '\0']).to_owned()
    }

    /// Everything about the image except its bytes, for JSON and as a table.
    pub fn summary(&self) -> Summary {
        let (purgatory, regions, console_port, by_block) = match &self.verification {
            Verification::ByBlock(ours) => {
                let regions = &ours.block.regions[..ours.block.region_count.get() as usize];
                let regions = RegionSummary::in_leaves(regions, ours.settings.leaf_size);
                (OURS, regions, ours.settings.console, Some(BlockSummary::from(&**ours)))
            }
            Verification::BySymbols(foreign) => (
                foreign.contract.name,
                RegionSummary::whole(&foreign.regions),
                foreign.console,
                None,
            ),
        };
        let confidential = match &self.verification {
            Verification::ByBlock(ours) => ours.settings.confidential,
            Verification::BySymbols(foreign) => foreign.confidential,
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

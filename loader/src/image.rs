//! [9] The image: what is submitted, and what `plan` prints.
//!
//! It has no mutating method. The capture kernel and its initrd are borrowed from the files as they were read.

use std::borrow::Cow;

use handoff::{Block, RegionKind};

use crate::phys::PhysRange;
use crate::seal::Digest;
use crate::settings::Settings;

mod summary;

pub use summary::{RegionSummary, SegmentSummary, SpanSummary, Summary, hex, mib};

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
    /// The purgatory, its block, the leaf table and the copy of the elfcorehdr.
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
    block: Block,
    block_at: PhysRange,
    settings: Settings,
}

impl<'r> Image<'r> {
    /// Only [`crate::bind`] has the parts.
    pub(crate) fn new(
        entry: u64,
        crash_region: PhysRange,
        segments: Vec<Segment<'r>>,
        block: Block,
        block_at: PhysRange,
        settings: Settings,
    ) -> Self {
        Self { entry, crash_region, segments, block, block_at, settings }
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

    /// The block, filled in.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The image's identity: the block's seal.
    pub fn identity(&self) -> Digest {
        self.block.seal
    }

    /// The capture kernel's command line as text, without the blank report at its end.
    fn command_line(&self) -> String {
        let segment = self.segments.iter().find(|segment| segment.kind == SegmentKind::CommandLine);
        let bytes = segment.map_or(&[][..], |segment| segment.bytes());
        String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned()
    }

    /// Everything a person or a script may want to know, without the bytes.
    pub fn summary(&self) -> Summary {
        let regions = &self.block.regions[..self.block.region_count.get() as usize];
        Summary {
            identity: hex(&self.identity()),
            entry: self.entry,
            crash_region: self.crash_region.into(),
            segments: self.segments.iter().map(SegmentSummary::from).collect(),
            regions: RegionSummary::all(regions, self.settings.leaf_size),
            block: self.block_at.into(),
            leaf_table: self.block.leaf_table.into(),
            leaf_size: self.settings.leaf_size,
            command_line: self.command_line(),
            report: self.block.report.into(),
            engine: self.settings.engine.word().to_owned(),
            console_port: self.settings.console,
            on_corrupt: self.settings.on_corrupt.word().to_owned(),
            reset_delay_ms: self.settings.reset_delay_ms,
        }
    }
}

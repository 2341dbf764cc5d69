//! `[9a]` The summary of an image: JSON, and a table.

mod table;

use std::fmt;

use handoff::block::PhysSpan;
use handoff::region::leaves_in;
use handoff::{Region, RegionKind};
use serde::{Deserialize, Serialize};

use super::{BlackBoxSummary, ByBlock, OURS, Segment, SegmentKind, SignalSummary};
use crate::machine::ConfidentialGuest;
use crate::phys::PhysRange;

/// A span of physical memory in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanSummary {
    /// First physical address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A segment in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// [`SegmentKind::name`].
    pub name: String,
    /// First physical address.
    pub start: u64,
    /// Bytes in memory.
    pub len: u64,
    /// Bytes copied; the rest is zero.
    pub file_len: u64,
}

/// A verified region in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionSummary {
    /// [`handoff::RegionKind::name`].
    pub name: String,
    /// First physical address.
    pub start: u64,
    /// Bytes that are hashed or verified to be zero.
    pub len: u64,
    /// Bytes that are hashed.
    pub file_len: u64,
    /// Index of its first leaf in the leaf table.
    pub first_leaf: u64,
    /// How many leaves it has; 0 if one digest covers all regions.
    pub leaf_count: u64,
}

/// An image in JSON, and as a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The seal, or the one digest of all regions, in hexadecimal.
    pub identity: String,
    /// The kind of purgatory: `kdump-purgatory`, `linux` or `kexec-tools`.
    #[serde(default = "ours")]
    pub purgatory: String,
    /// Physical address to which the kernel jumps on panic.
    pub entry: u64,
    /// The region that contains every segment.
    pub crash_region: SpanSummary,
    /// The segments, in ascending order.
    pub segments: Vec<SegmentSummary>,
    /// The regions that the purgatory verifies.
    pub regions: Vec<RegionSummary>,
    /// The capture kernel's command line, in the form of [`crate::cmdline::text`].
    pub command_line: String,
    /// The parameters that were dropped from the reused command line, in the same form.
    #[serde(default)]
    pub dropped: Vec<String>,
    /// First I/O port of the UART that the purgatory prints on; null if it does not print.
    pub console_port: Option<u16>,
    /// The confidential guest that the image is for; null on an ordinary machine.
    #[serde(default)]
    pub confidential: Option<GuestSummary>,
    /// The configuration that only our purgatory has. Without it, one SHA-256 covers all regions.
    #[serde(flatten)]
    pub by_block: Option<BlockSummary>,
}

/// A confidential guest in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSummary {
    /// `sev_es`, `sev_snp` or `tdx_guest`; `confidential` if only the request says so.
    pub kind: String,
    /// The file or CPUID leaf that shows it, or `the request`.
    pub evidence: String,
}

/// Our purgatory's configuration in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockSummary {
    /// The block's memory.
    pub block: SpanSummary,
    /// The leaf table's memory.
    pub leaf_table: SpanSummary,
    /// Bytes per leaf.
    pub leaf_size: u32,
    /// Where the purgatory writes its report. Null if the command line has no room for it, so that
    /// nothing reads it.
    pub report: Option<SpanSummary>,
    /// The digest engine that the purgatory runs.
    pub engine: String,
    /// What the purgatory does about a corrupt segment.
    pub on_corrupt: String,
    /// How long the purgatory shows a failure before it resets, in milliseconds.
    pub reset_delay_ms: u32,
    /// What the purgatory leaves in crash memory for the boot after a reset; null if nothing.
    #[serde(default)]
    pub black_box: Option<BlackBoxSummary>,
    /// Signals out of the machine; null if there are none.
    #[serde(default)]
    pub signals: Option<SignalSummary>,
}

/// The default for records by older versions, which knew only our purgatory.
fn ours() -> String {
    OURS.to_owned()
}

impl Summary {
    /// Bytes of all segments together.
    pub fn used(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

/// `bytes` in MiB, with one decimal place and without the unit.
pub fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// `bytes` with a unit: the largest of which there is at least one, such as `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    match bytes {
        1 => return "1 byte".into(),
        0..1024 => return format!("{bytes} bytes"),
        _ => {}
    }
    let unit = (bytes.ilog2() / 10) as usize - 1;
    let whole = 1_u64 << (10 * (unit + 1));
    let number = if bytes.is_multiple_of(whole) {
        (bytes / whole).to_string()
    } else {
        format!("{:.1}", bytes as f64 / whole as f64)
    };
    format!("{number} {}", UNITS[unit])
}

/// `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As /proc/iomem writes it: the last address is included.
impl fmt::Display for SpanSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:#x}-{:#x}",
            self.start,
            self.start.saturating_add(self.len).saturating_sub(1)
        )
    }
}

impl From<PhysRange> for SpanSummary {
    fn from(range: PhysRange) -> Self {
        Self { start: range.start(), len: range.len() }
    }
}

impl From<PhysSpan> for SpanSummary {
    fn from(span: PhysSpan) -> Self {
        Self { start: span.start.get(), len: span.len.get() }
    }
}

impl From<&Segment<'_>> for SegmentSummary {
    fn from(segment: &Segment<'_>) -> Self {
        let range = segment.range();
        Self {
            name: segment.kind().name().into(),
            start: range.start(),
            len: range.len(),
            file_len: segment.bytes().len() as u64,
        }
    }
}

impl From<ConfidentialGuest> for GuestSummary {
    fn from(guest: ConfidentialGuest) -> Self {
        Self { kind: guest.kind.to_owned(), evidence: guest.evidence.to_owned() }
    }
}

impl From<&ByBlock> for BlockSummary {
    fn from(configuration: &ByBlock) -> Self {
        let ByBlock { block, block_at, settings, report_lacks, no_log } = configuration;
        Self {
            block: (*block_at).into(),
            leaf_table: block.leaf_table.into(),
            leaf_size: settings.leaf_size,
            report: (*report_lacks == 0).then(|| block.report.into()),
            engine: settings.engine.word().to_owned(),
            on_corrupt: settings.on_corrupt.word().to_owned(),
            reset_delay_ms: settings.reset_delay_ms,
            black_box: BlackBoxSummary::of(&block.black_box, no_log.as_ref()),
            signals: SignalSummary::of(&settings.signals),
        }
    }
}

impl RegionSummary {
    /// Regions that are hashed whole, including zeroes.
    pub(super) fn whole(regions: &[(SegmentKind, PhysRange)]) -> Vec<Self> {
        let region = |&(kind, range): &(SegmentKind, PhysRange)| Self {
            name: kind.name().to_owned(),
            start: range.start(),
            len: range.len(),
            file_len: range.len(),
            first_leaf: 0,
            leaf_count: 0,
        };
        regions.iter().map(region).collect()
    }

    /// The regions of a block, each with its part of the leaf table.
    pub(super) fn in_leaves(regions: &[Region], leaf_size: u32) -> Vec<Self> {
        let mut first_leaf = 0;
        let summaries = regions.iter().map(|region| {
            let file_len = region.file_len.get();
            let leaf_count = leaves_in(file_len, leaf_size);
            let kind = RegionKind::from_wire(region.kind.get());
            let name = kind.map_or("unknown", RegionKind::name).to_owned();
            let summary = Self {
                name,
                start: region.start.get(),
                len: region.mem_len.get(),
                file_len,
                first_leaf,
                leaf_count,
            };
            first_leaf += leaf_count;
            summary
        });
        summaries.collect()
    }
}

#[cfg(test)]
mod tests;

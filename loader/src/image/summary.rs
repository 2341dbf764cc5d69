//! [9a] What is told of an image: JSON, and the table of `plan`.

use std::fmt;

use handoff::block::PhysSpan;
use handoff::region::leaves_in;
use handoff::{Region, RegionKind};
use serde::{Deserialize, Serialize};

use super::Segment;
use crate::phys::PhysRange;

/// A span of physical memory in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanSummary {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// A segment in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// [`SegmentKind::name`].
    pub name: String,
    /// First address.
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
    /// First address.
    pub start: u64,
    /// Bytes proved zero or hashed.
    pub len: u64,
    /// Bytes hashed.
    pub file_len: u64,
    /// Index of its first leaf in the leaf table.
    pub first_leaf: u64,
    /// How many leaves it has.
    pub leaf_count: u64,
}

/// An image in JSON, and as a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The seal, in hexadecimal.
    pub identity: String,
    /// Where the kernel jumps on panic.
    pub entry: u64,
    /// The region that holds everything.
    pub crash_region: SpanSummary,
    /// What is handed to the kernel.
    pub segments: Vec<SegmentSummary>,
    /// What the purgatory verifies.
    pub regions: Vec<RegionSummary>,
    /// Where the block is.
    pub block: SpanSummary,
    /// Where the leaf table is.
    pub leaf_table: SpanSummary,
    /// Bytes per leaf.
    pub leaf_size: u32,
    /// What the capture kernel is told.
    pub command_line: String,
    /// Where the purgatory writes its report.
    pub report: SpanSummary,
    /// Which digest engine it runs.
    pub engine: String,
    /// First port of the UART it prints on.
    pub console_port: Option<u16>,
    /// What it does about a corrupt segment.
    pub on_corrupt: String,
    /// How long it shows a failure, in milliseconds.
    pub reset_delay_ms: u32,
}

impl Summary {
    /// Bytes of the crash region that segments take.
    pub fn used(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

/// The table that `plan` prints: one line per segment, then what else there is to know.
impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<14} {:>18} {:>18} {:>12} {:>12}", "segment", "first", "last", "memory", "file")?;
        for SegmentSummary { name, start, len, file_len } in &self.segments {
            writeln!(out, "{name:<14} {start:>#18x} {:>#18x} {len:>12} {file_len:>12}", start + len - 1)?;
        }
        let SpanSummary { start, len } = self.crash_region;
        writeln!(out, "\ncrash region   {start:#x}-{:#x}, {} of {} MiB used", start + len - 1, mib(self.used()), mib(len))?;
        writeln!(out, "entry          {:#x}", self.entry)?;
        let leaves: u64 = self.regions.iter().map(|region| region.leaf_count).sum();
        let digested: u64 = self.regions.iter().map(|region| region.file_len).sum();
        writeln!(out, "digest         {}, {leaves} leaves of {} KiB, {} MiB", self.engine, self.leaf_size >> 10, mib(digested))?;
        match self.console_port {
            Some(port) => writeln!(out, "console        8250 at {port:#x}")?,
            None => writeln!(out, "console        none")?,
        }
        writeln!(out, "if corrupt     {} after {} s", self.on_corrupt, f64::from(self.reset_delay_ms) / 1000.0)?;
        writeln!(out, "command line   {}", self.command_line)?;
        writeln!(out, "report         {:#x}", self.report.start)?;
        writeln!(out, "identity       {}", self.identity)
    }
}

/// Mebibytes with one decimal place.
pub fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

impl RegionSummary {
    /// Each of a block's regions with its share of the leaf table: their leaves follow one another.
    pub(super) fn all(regions: &[Region], leaf_size: u32) -> Vec<Self> {
        let mut first_leaf = 0;
        let summaries = regions.iter().map(|region| {
            let file_len = region.file_len.get();
            let leaf_count = leaves_in(file_len, leaf_size);
            let kind = RegionKind::from_wire(region.kind.get());
            let name = kind.map_or("unknown", RegionKind::name).to_owned();
            let summary = Self { name, start: region.start.get(), len: region.mem_len.get(), file_len, first_leaf, leaf_count };
            first_leaf += leaf_count;
            summary
        });
        summaries.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            identity: hex(&[0xab; 32]),
            entry: 0x3300_0000,
            crash_region: SpanSummary { start: 0x3000_0000, len: 256 << 20 },
            segments: vec![
                SegmentSummary { name: "elfcorehdr".into(), start: 0x3000_0000, len: 921_600, file_len: 400 },
                SegmentSummary { name: "purgatory".into(), start: 0x3300_0000, len: 0x10000, file_len: 0xfff0 },
            ],
            regions: vec![RegionSummary {
                name: "purgatory".into(),
                start: 0x3300_0000,
                len: 5 << 20,
                file_len: 5 << 20,
                first_leaf: 0,
                leaf_count: 20,
            }],
            block: SpanSummary { start: 0x3300_8000, len: 0x300 },
            leaf_table: SpanSummary { start: 0x3300_9000, len: 640 },
            leaf_size: 256 << 10,
            command_line: "nr_cpus=1 purgatory.report=".into(),
            report: SpanSummary { start: 0x32ff_f04d, len: 128 },
            engine: "sha-ni".into(),
            console_port: Some(0x3f8),
            on_corrupt: "reset".into(),
            reset_delay_ms: 2500,
        }
    }

    #[test]
    fn table_has_a_line_per_segment_and_the_facts_below() {
        let expected = "\
segment                     first               last       memory         file
elfcorehdr             0x30000000         0x300e0fff       921600          400
purgatory              0x33000000         0x3300ffff        65536        65520

crash region   0x30000000-0x3fffffff, 0.9 of 256.0 MiB used
entry          0x33000000
digest         sha-ni, 20 leaves of 256 KiB, 5.0 MiB
console        8250 at 0x3f8
if corrupt     reset after 2.5 s
command line   nr_cpus=1 purgatory.report=
report         0x32fff04d
identity       abababababababababababababababababababababababababababababababab
";
        assert_eq!(summary().to_string(), expected);
    }

    #[test]
    fn summary_survives_json() {
        let text = serde_json::to_string(&summary()).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary());
    }
}

//! The summary as a table.

use std::fmt;

use super::*;

/// A table: one line per segment, then one per other fact.
impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{:<14} {:>18} {:>18} {:>12} {:>12}",
            "segment", "first", "last", "memory", "file"
        )?;
        for SegmentSummary { name, start, len, file_len } in &self.segments {
            writeln!(
                out,
                "{name:<14} {start:>#18x} {:>#18x} {len:>12} {file_len:>12}",
                start + len - 1
            )?;
        }
        let SpanSummary { start, len } = self.crash_region;
        writeln!(
            out,
            "\ncrash region   {start:#x}-{:#x}, {} of {} MiB used",
            start + len - 1,
            mib(self.used()),
            mib(len)
        )?;
        writeln!(out, "entry          {:#x}", self.entry)?;
        writeln!(out, "purgatory      {}", self.purgatory)?;
        let digested: u64 = self.regions.iter().map(|region| region.file_len).sum();
        match &self.by_block {
            Some(BlockSummary { engine, leaf_size, .. }) => {
                let leaves: u64 = self.regions.iter().map(|region| region.leaf_count).sum();
                writeln!(
                    out,
                    "digest         {engine}, {leaves} leaves of {} KiB, {} MiB",
                    leaf_size >> 10,
                    mib(digested)
                )?;
            }
            None => {
                let names = self
                    .regions
                    .iter()
                    .map(|region| region.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                writeln!(
                    out,
                    "digest         one over {} MiB with zeroes: {names}",
                    mib(digested)
                )?;
            }
        }
        match self.console_port {
            Some(port) => writeln!(out, "console        8250 at {port:#x}")?,
            None => writeln!(out, "console        none")?,
        }
        match &self.confidential {
            Some(GuestSummary { kind, evidence }) => {
                writeln!(out, "confidential   {kind}, by {evidence}")?
            }
            None => writeln!(out, "confidential   no")?,
        }
        if let Some(BlockSummary { on_corrupt, reset_delay_ms, .. }) = &self.by_block {
            writeln!(
                out,
                "if corrupt     {on_corrupt} after {} s",
                f64::from(*reset_delay_ms) / 1000.0
            )?;
        } else {
            writeln!(out, "if corrupt     as the purgatory was built; foreign purgatories hang")?;
        }
        writeln!(out, "command line   {}", self.command_line)?;
        if !self.dropped.is_empty() {
            writeln!(out, "dropped        {}", self.dropped.join(" "))?;
        }
        if let Some(BlockSummary { report, .. }) = &self.by_block {
            match report {
                Some(report) => writeln!(out, "report         {:#x}", report.start)?,
                None => writeln!(out, "report         none: the command line has no room for it")?,
            }
        }
        if let Some(BlockSummary { black_box, signals, .. }) = &self.by_block {
            match black_box {
                Some(black_box) => write!(out, "{black_box}")?,
                None => writeln!(out, "black box      none")?,
            }
            match signals {
                Some(signals) => writeln!(out, "signals        {signals}")?,
                None => writeln!(out, "signals        none")?,
            }
        }
        writeln!(out, "identity       {}", self.identity)
    }
}

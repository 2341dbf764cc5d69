//! What became of the dump: where it is, and how the /init of `--capture` got on.

use capture_init::{Memory, Record};
use loader::image::mib;

use super::Story;
use crate::black_box::panic::Panic;
use crate::health::last_dump::LastDump;

impl Story {
    pub(super) fn dump(&mut self, panic: &Panic, dump: &LastDump) {
        self.row("dump", &words(dump));
        if let LastDump::Saved { path, offset: 1.., .. } = dump {
            self.line(&format!("head -c 4096 {path} prints the commands that copy it"));
        }
        if let Some(record) = dump.capture() {
            lines(panic, record).iter().for_each(|line| self.line(line));
        }
        if let LastDump::Saved { check: Some(check), .. } = dump {
            self.row("checked", &check.to_string());
        }
    }
}

fn words(dump: &LastDump) -> String {
    match dump {
        LastDump::Saved { path, len, .. } => format!("saved: {path}, {} MiB", mib(*len)),
        LastDump::Incomplete { path, .. } => format!("incomplete: {path}"),
        LastDump::NotFound { directory } => format!("none of that time in {directory}"),
        LastDump::Elsewhere { place } => {
            format!("unknown: dumps go to {place}, which was not accessed")
        }
    }
}

/// What /init has recorded.
fn lines(panic: &Panic, record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(pages) = record.dump.and_then(|dump| dump.pages) {
        lines.push(format!(
            "{} pages; left out: {} free, {} of zeroes",
            pages.saved, pages.free, pages.zeroes
        ));
    }
    if let Some(saved_ms) = record.times.saved_ms {
        let mut line = format!("saved {} after the capture kernel's start", seconds(saved_ms));
        let saved_at = record.began + saved_ms.saturating_sub(record.times.init_ms) / 1000;
        if let Some(whole) = panic.panicked_at.and_then(|at| saved_at.checked_sub(at)) {
            line += &format!(", about {whole} s after the panic by the machine's clock");
        }
        lines.push(line);
    }
    let Memory { total_kib, lowest_available_kib } = record.memory;
    if total_kib > 0 {
        lines.push(format!(
            "least memory left: {} of {} MiB",
            mib(lowest_available_kib << 10),
            mib(total_kib << 10)
        ));
    }
    lines.extend(record.troubles.iter().cloned());
    lines
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

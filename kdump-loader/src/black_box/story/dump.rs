//! What became of the dump: where it is, and how the /init of `--capture` got on.

use capture_init::{Memory, Pages, Record};
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
            lines(panic.panicked_at, record).iter().for_each(|line| self.line(line));
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

/// What /init has recorded, given the time of the panic in seconds since 1970.
fn lines(panicked_at: Option<u64>, record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(pages) = record.dump.and_then(|dump| dump.pages) {
        let Pages { saved, free, zeroes, .. } = pages;
        let mut line = format!("{saved} pages; left out: {free} free, {zeroes} of zeroes");
        // Rare, so said only if there are any.
        for (count, what) in [
            (pages.poisoned, "with broken memory"),
            (pages.offline, "of offline memory"),
            (pages.absent, "of removed memory"),
            (pages.unreadable, "that could not be read"),
        ] {
            if count > 0 {
                line += &format!(", {count} {what}");
            }
        }
        lines.push(line);
    }
    if let Some(saved_ms) = record.times.saved_ms {
        let mut line = format!("saved {} after the capture kernel's start", seconds(saved_ms));
        let saved_at = record.began + saved_ms.saturating_sub(record.times.init_ms) / 1000;
        if let Some(whole) = panicked_at.and_then(|at| saved_at.checked_sub(at)) {
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

#[cfg(test)]
mod tests {
    use capture_init::{Dump, Format, Times};

    use super::*;

    #[test]
    fn record_tells_pages_times_memory_and_troubles() {
        let mut record = Record::new(1005, 3400);
        record.times = Times { saved_ms: Some(6150), ..record.times };
        let (offline, absent) = (64, 32);
        let counts = Pages { free: 7000, zeroes: 1500, saved: 500, ..Pages::default() };
        let pages = Pages { offline, absent, ..counts };
        record.dump = Some(Dump { format: Format::KdumpCompressed, bytes: 1, pages: Some(pages) });
        record.memory = Memory { total_kib: 30 << 10, lowest_available_kib: 6 << 10 };
        record.troubles = vec!["module xfs: no such file".into()];
        let expected = [
            "500 pages; left out: 7000 free, 1500 of zeroes, 64 of offline memory, 32 of removed \
             memory",
            "saved 6.1 s after the capture kernel's start, about 7 s after the panic by the \
             machine's clock",
            "least memory left: 6.0 of 30.0 MiB",
            "module xfs: no such file",
        ];
        assert_eq!(lines(Some(1000), &record), expected);
        // A clock that was set back says nothing about the time in between.
        assert!(lines(Some(2000), &record)[1].ends_with("the capture kernel's start"));
    }

    #[test]
    fn interrupted_capture_has_no_time_of_its_end() {
        let record = Record::new(1005, 3400);
        assert_eq!(lines(Some(1000), &record), [""; 0]);
    }
}

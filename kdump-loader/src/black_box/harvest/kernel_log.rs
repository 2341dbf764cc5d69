//! `[c]` The crashed kernel's log, of which the purgatory made copies.

use std::time::Duration;

use handoff::black_box::{LogArray, LogHeader, MAX_LOG_COPY_LEN};
use loader::image::SpanSummary;
use printk_ring::{Layout, Log, Part, Ring, Vmcoreinfo, decode};

use super::memory::OldMemory;
use crate::black_box::armed::ArmedBox;
use crate::messages::in_full;

const HEADER_LEN: u64 = size_of::<LogHeader>() as u64;
/// Words that begin the message of a crash. `---[ end Kernel panic` repeats one.
const CRASHES: [&str; 3] = ["Kernel panic", "BUG:", "Oops"];
const REPEATED: &str = "---[ end";

/// The copy with the most intact records.
pub fn find(memory: &OldMemory<'_>, armed: &ArmedBox, notes: &mut Vec<String>) -> Option<Log> {
    if armed.log_copies.is_empty() {
        return None;
    }
    let layout = match Layout::of(&Vmcoreinfo::new(armed.vmcoreinfo.as_bytes())) {
        Ok(layout) => layout,
        Err(error) => {
            notes.push(format!("the kernel log cannot be decoded: {}", in_full(&error)));
            return None;
        }
    };
    let logs = armed.log_copies.iter().filter_map(|&span| read(memory, armed, &layout, span));
    logs.max_by_key(|log| (log.records().count(), log.entries.len()))
}

/// One copy; `None` if it is lost, incomplete, or of another image.
fn read(
    memory: &OldMemory<'_>,
    armed: &ArmedBox,
    layout: &Layout,
    span: SpanSummary,
) -> Option<Log> {
    let header = LogHeader::read(&memory.read(span.start, HEADER_LEN).ok()?)?;
    let len = header.log.copy_len()?;
    if header.generation.get() != armed.generation || len > span.len.min(MAX_LOG_COPY_LEN) {
        return None;
    }
    let bytes = memory.read(span.start, len).ok()?;
    let mut rest = &bytes[HEADER_LEN as usize..];
    let mut take = |len: u64| -> Option<&[u8]> {
        let (taken, left) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        rest = left;
        Some(taken)
    };
    let kept = |array: &LogArray| u64::from(array.element_len.get()) * u64::from(array.kept.get());
    let log = &header.log;
    let ringbuffer = take(log.ringbuffer.len.get())?;
    let descriptors = take(kept(&log.descriptors))?;
    let infos = take(kept(&log.infos))?;
    let text = take(kept(&log.text))?;
    let first = u64::from(header.first_descriptor.get());
    let ring = Ring {
        ringbuffer,
        descriptors: Part { bytes: descriptors, first },
        infos: Part { bytes: infos, first },
        text: Part { bytes: text, first: header.first_text.get().into() },
    };
    Some(decode(layout, &ring)).filter(|log| !log.entries.is_empty())
}

/// The last line that announces a crash.
pub fn panic_line(log: &Log) -> Option<String> {
    log.texts().rev().find_map(|text| {
        let text = printk_ring::dmesg::printable(text);
        last_crash(text.lines().rev()).map(str::to_owned)
    })
}

/// The same, from the log that the /init of `--capture` has saved: `[   12.345678] text`.
pub fn panic_line_of_text(log: &str) -> Option<String> {
    let texts = log.lines().rev().map(|line| match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").map_or(line, |(_, text)| text),
        None => line,
    });
    last_crash(texts).map(str::to_owned)
}

fn last_crash<'a>(mut lines_from_the_last: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    lines_from_the_last
        .find(|line| !line.starts_with(REPEATED) && CRASHES.iter().any(|word| line.contains(word)))
}

/// When the last record was written, in seconds since 1970.
pub fn last_time(log: &Log, armed: &ArmedBox) -> Option<u64> {
    let uptime = Duration::from_nanos(log.records().next_back()?.time);
    armed.boot.booted_at?.checked_add(uptime.as_secs())
}

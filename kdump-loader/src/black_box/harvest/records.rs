//! `[b]` The purgatory's records: each copy of one run, of which memory may have lost any.
//!
//! *On exit* the copy with the latest stage. The purgatory updates one copy after the other, so
//! copies of one run can differ.

use handoff::black_box::{Record, Stage};
use loader::image::SpanSummary;

use super::memory::OldMemory;
use crate::black_box::armed::ArmedBox;
use crate::black_box::panic::Copies;

/// A record page.
const PAGE: u64 = 4096;

/// The record of the image that was armed, and how many copies of it there are.
pub fn find(memory: &OldMemory<'_>, armed: &ArmedBox) -> (Option<Record>, Copies) {
    let mut copies = Copies { reserved: armed.records.len(), ..Copies::default() };
    let mut latest: Option<Record> = None;
    for &address in &armed.records {
        let Ok(page) = memory.read(address, PAGE) else {
            copies.unreadable += 1;
            continue;
        };
        let Some(record) = Record::read(&page) else {
            copies.lost += 1;
            continue;
        };
        let known_stage = Stage::from_wire(record.stage.get()).is_some();
        if known_stage && record.generation.get() > armed.generation {
            copies.later += 1;
            continue;
        }
        if !known_stage || !is_of(&record, armed) {
            copies.foreign += 1;
            continue;
        }
        copies.intact += 1;
        if latest.as_ref().is_none_or(|latest| latest.stage.get() < record.stage.get()) {
            latest = Some(record);
        }
    }
    (latest, copies)
}

/// Whether a record is of this image, and not of one that was loaded before it.
fn is_of(record: &Record, armed: &ArmedBox) -> bool {
    let image: String = record.image.iter().map(|byte| format!("{byte:02x}")).collect();
    record.generation.get() == armed.generation && image == armed.image
}

/// Whether all of `len` bytes at `start` are inside a span.
pub fn is_inside(span: SpanSummary, start: u64, len: u64) -> bool {
    start >= span.start && len <= span.len && start - span.start <= span.len - len
}

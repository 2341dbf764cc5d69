//! (6) What the purgatory leaves in memory for the next boot: the black box, and nothing else.
//!
//! *On entry*: the crash region before the image was loaded, and the machine's memory after the
//! run.
//! *On exit*: every record and every copy of the log is as the case expects. Every other byte of
//! the crash region is as it was, except where the purgatory and the payload work.

use std::ops::Range;

use handoff::black_box::{LogArray, LogHeader, LogState, Record, Stage};
use handoff::{PAGE_SIZE, PhysSpan, RegionKind, Verdict};

use super::case::Case;
use super::memory::{Memory, Write};
use super::oracle;
use crate::error::{Error, check, check_eq};
use crate::evidence::armed::range;
use crate::machine::ram::Ram;

/// Pages between segments that the crash kernel's page tables may take, lowest first.
pub const TABLES: u64 = 64;

/// What must be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: no address was trusted.
    Nothing,
    /// A record of this stage, and of this state of the log.
    Record(Stage, LogState),
}

/// All bytes of the crash region.
pub fn crash_region(memory: &Memory, ram: &Ram) -> Result<Vec<u8>, Error> {
    let region = memory.block().crash_region;
    ram.read(region.start.get(), region.len.get() as usize)
}

/// Compares. `before` is the crash region before the image was loaded. Returns a line for the
/// timeline.
pub fn check_left(
    case: &Case,
    left: Left,
    memory: &Memory,
    before: &[u8],
    ram: &Ram,
) -> Result<String, Error> {
    let after = crash_region(memory, ram)?;
    let block = memory.block();
    let crash_start = block.crash_region.start.get();
    let bytes = |range: &Range<u64>| {
        &after[(range.start - crash_start) as usize..(range.end - crash_start) as usize]
    };
    let mut written = Vec::new();
    let mut line = "nothing is left in the black box".to_owned();
    if let Left::Record(stage, log) = left {
        for start in block.black_box.records.map(|page| page.get()).into_iter().filter(is_used) {
            let page = start..start + PAGE_SIZE;
            let record = Record::read(bytes(&page))
                .ok_or_else(|| Error::unreadable("a record page", format_args!("{start:#x}")))?;
            line = check_record(case, (stage, log), memory, &record)?;
            written.push(start..start + size_of::<Record>() as u64);
        }
        let copies = block.black_box.log_copies.iter().map(range);
        for copy in copies.filter(|copy| !copy.is_empty()) {
            match log {
                LogState::Copied => check_copy(memory, bytes(&copy))?,
                _ => {
                    let complete = LogHeader::read(bytes(&copy)).is_some();
                    check!(!complete, "an incomplete copy at {:#x} has a header", copy.start)?;
                }
            }
            written.push(copy);
        }
    }
    check_rest(memory, before, &after, &written)?;
    Ok(line)
}

/// Whether a block names this page.
fn is_used(page: &u64) -> bool {
    *page != 0
}

fn check_record(
    case: &Case,
    (stage, log): (Stage, LogState),
    memory: &Memory,
    record: &Record,
) -> Result<String, Error> {
    let (block, verdict) = (memory.block(), case.expect.verdict);
    check_eq!(record.generation, block.black_box.generation, "generation of the record")?;
    check_eq!(record.image, block.seal, "image of the record")?;
    check_eq!(record.stage.get(), stage as u32, "stage of the record")?;
    check_eq!(record.verdict.get(), verdict as u32, "verdict of the record")?;
    check_eq!(record.log.get(), log as u32, "the log's state in the record")?;
    let raised = matches!(verdict, Verdict::Exception | Verdict::MachineCheck);
    check_eq!(record.exception.raised.get(), u32::from(raised), "exceptions of the record")?;
    let times = [record.entered_us, record.log_copied_us, record.verified_us, record.ended_us];
    let times = times.map(|time| time.get());
    let ascend = times.into_iter().filter(|time| *time != 0).is_sorted();
    check!(ascend, "microseconds of the record: not ascending in {times:?}")?;
    let [entered, copied, verified, ended] = times;
    check_eq!(copied != 0, log != LogState::Absent, "whether the log has a time")?;
    // An exception may be raised before or after.
    check!(raised || verified != 0, "the record has no time of verification")?;
    let booted = stage == Stage::Jumped;
    check_eq!(record.elfcorehdr.get() != 0, booted, "whether the elfcorehdr was looked at")?;
    if !raised {
        check_places(memory, record)?;
    }
    Ok(format!(
        "record: {}, log {}; entered {entered} µs, log copied {copied} µs, verified {verified} µs, \
         ended {ended} µs",
        stage.word(),
        log.word()
    ))
}

/// Every difference is counted, and each place is one of them.
fn check_places(memory: &Memory, record: &Record) -> Result<(), Error> {
    let lines: Vec<String> = oracle::differences(memory).into_values().flatten().collect();
    check_eq!(record.corrupt_places.get() as usize, lines.len(), "corrupt places of the record")?;
    let used = record.places.iter().filter(|place| place.span.len.get() != 0);
    let named: Vec<String> = used
        .map(|place| {
            let Range { start, end } = range(&place.span);
            let kind = RegionKind::from_wire(place.region.get()).map_or("?", RegionKind::name);
            let tail = if place.zero_tail.get() == 1 { "not zero" } else { "expected " };
            format!("{kind}{}{start:#x}-{:#x}: {tail}", oracle::CORRUPT_AT, end - 1)
        })
        .collect();
    check_eq!(named.len(), lines.len().min(record.places.len()), "places that the record names")?;
    for place in named {
        let known = lines.iter().any(|line| line.starts_with(&place));
        check!(known, "a place of the record: expected one of {lines:?}, found {place}")?;
    }
    Ok(())
}

/// A copy has all that is kept of the crash kernel's log, in the ring's order.
fn check_copy(memory: &Memory, copy: &[u8]) -> Result<(), Error> {
    let black_box = memory.block().black_box;
    let header = LogHeader::read(copy)
        .ok_or_else(|| Error::unreadable("a copy of the log", "it has no header"))?;
    check_eq!(header.generation, black_box.generation, "generation of a copy")?;
    let log = black_box.log;
    check_eq!(header.log, log, "log of a copy")?;
    let kernel = |span: &PhysSpan| outside(memory.outside(), span);
    let mut expected = kernel(&log.ringbuffer);
    let head = |offset: u32| {
        u64::from_le_bytes(expected[offset as usize..][..8].try_into().expect("eight bytes"))
    };
    let (past_id, past_text) = (head(log.head_id.get()) + 1, head(log.head_lpos.get()));
    for (array, past_newest, first) in [
        (&log.descriptors, past_id, header.first_descriptor),
        (&log.infos, past_id, header.first_descriptor),
        (&log.text, past_text, header.first_text),
    ] {
        let (place, bytes) = kept(&kernel(&array.span), array, past_newest);
        check_eq!(u64::from(first.get()), place, "first element of a copy")?;
        expected.extend(bytes);
    }
    let found = &copy[size_of::<LogHeader>()..][..expected.len()];
    let differs = expected.iter().zip(found).position(|(one, other)| one != other);
    check!(differs.is_none(), "a copy of the log: byte {differs:x?} is not the kernel's")
}

/// The kept elements of a ring, oldest first, and the place of the first.
fn kept(whole: &[u8], array: &LogArray, past_newest: u64) -> (u64, Vec<u8>) {
    let element = u64::from(array.element_len.get());
    let (elements, kept) = (whole.len() as u64 / element, u64::from(array.kept.get()));
    let place = |back: u64| (past_newest + elements - back) % elements;
    let bytes = (1..=kept).rev().flat_map(|back| {
        let at = (place(back) * element) as usize;
        &whole[at..at + element as usize]
    });
    (place(kept), bytes.copied().collect())
}

/// The bytes of the crash kernel's memory that a case has put there.
fn outside(writes: &[Write], span: &PhysSpan) -> Vec<u8> {
    let Range { start, end } = range(span);
    let holds = |write: &&Write| write.at <= start && end <= write.at + write.bytes.len() as u64;
    let write = writes.iter().find(holds).expect("a case puts each part of the log in one write");
    write.bytes[(start - write.at) as usize..(end - write.at) as usize].to_vec()
}

/// Outside `written`, the crash region is as the purgatory found it, except where others work: the
/// purgatory's data after the block, the report, the elfcorehdr, and the kernel's tail, which the
/// payload uses.
fn check_rest(
    memory: &Memory,
    before: &[u8],
    after: &[u8],
    written: &[Range<u64>],
) -> Result<(), Error> {
    let block = memory.block();
    let crash_start = block.crash_region.start.get();
    let at = |address: u64| (address - crash_start) as usize;
    let mut expected = before.to_vec();
    for (start, bytes) in memory.segments() {
        expected[at(start)..][..bytes.len()].copy_from_slice(bytes);
    }
    let kernel = memory.start(RegionKind::Kernel);
    let (kernel_file, kernel_mem) = memory.lengths(RegionKind::Kernel);
    let tail = kernel + kernel_file as u64..kernel + kernel_mem as u64;
    let mut left = TABLES;
    let tables = memory.holes().into_iter().map(|hole| {
        let taken = left.min((hole.end - hole.start) / PAGE_SIZE);
        left -= taken;
        hole.start..hole.start + taken * PAGE_SIZE
    });
    let work = [memory.own_data(), range(&block.report), range(&block.elfcorehdr), tail];
    for free in written.iter().cloned().chain(work).chain(tables) {
        let free = at(free.start)..at(free.end);
        expected[free.clone()].copy_from_slice(&after[free]);
    }
    let differs = expected.iter().zip(after).position(|(one, other)| one != other);
    let place = differs.map(|offset| crash_start + offset as u64);
    check!(differs.is_none(), "the crash region: another byte at {place:x?}, where none may write")
}

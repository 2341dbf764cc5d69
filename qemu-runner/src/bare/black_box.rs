//! (6) What the purgatory leaves in memory for the next boot: the black box, and nothing else.
//!
//! *On entry*: memory as the purgatory found it, and the machine's memory after the run.
//! *On exit*: every record and every copy of the log is as the case expects. Every other byte of
//! the crash region is as it was, but for what is written by design.

use std::ops::Range;

use handoff::black_box::{LogArray, LogHeader, LogState, Record, Stage};
use handoff::{Block, PAGE_SIZE, RegionKind, Verdict};

use purgatory::black_box::ipmi;

use super::case::{Case, Ended};
use super::memory::{Memory, Write};
use super::oracle;
use crate::error::{Error, check, check_eq};
use crate::machine::KCS_PORT;
use crate::machine::ram::Ram;
use crate::machine::vm::Vm;

/// Pages between segments that the crash kernel's page tables may take, lowest first.
pub const TABLES: u64 = 64;

/// What must be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: no address was trusted.
    Nothing,
    /// A record of this stage, and of what became of the log.
    Record(Stage, LogState),
}

/// All bytes of the crash region.
pub fn crash_region(memory: &Memory, ram: &Ram) -> Result<Vec<u8>, Error> {
    let region = memory.block().crash_region;
    ram.read(region.start.get(), region.len.get() as usize)
}

/// Compares. `before` is the crash region before the image was loaded. Returns a line for people.
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
        for start in pages(&block) {
            let page = start..start + PAGE_SIZE;
            let record = Record::read(bytes(&page)).ok_or_else(|| Error::Unintelligible {
                what: "a record page",
                text: format!("{start:#x}"),
            })?;
            line = check_record(case, (stage, log), memory, &record)?;
            written.push(start..start + size_of::<Record>() as u64);
        }
        for copy in block.black_box.log_copies.iter().filter(|copy| copy.len.get() != 0) {
            let copy = copy.start.get()..copy.start.get() + copy.len.get();
            match log {
                LogState::Copied => check_copy(memory, bytes(&copy))?,
                _ => check_eq("headers of copies", &header(bytes(&copy)).is_some(), &false)?,
            }
            written.push(copy);
        }
    }
    check_rest(memory, before, &after, &written)?;
    Ok(line)
}

fn pages(block: &Block) -> impl Iterator<Item = u64> + '_ {
    block.black_box.records.iter().map(|page| page.get()).filter(|page| *page != 0)
}

fn check_record(
    case: &Case,
    (stage, log): (Stage, LogState),
    memory: &Memory,
    record: &Record,
) -> Result<String, Error> {
    let (block, verdict) = (memory.block(), case.expect.verdict);
    check_eq("generation", &record.generation.get(), &block.black_box.generation.get())?;
    check(record.image == block.seal, "image of the record", "the block's seal", "another")?;
    check_eq("stage", &record.stage.get(), &(stage as u32))?;
    check_eq("verdict of the record", &record.verdict.get(), &(verdict as u32))?;
    check_eq("log's state", &record.log.get(), &(log as u32))?;
    let raised = matches!(verdict, Verdict::Exception | Verdict::MachineCheck);
    check_eq("exceptions", &record.exception.raised.get(), &u32::from(raised))?;
    let times = [record.entered_us, record.log_copied_us, record.verified_us, record.ended_us];
    let times = times.map(|time| time.get());
    let reached: Vec<u64> = times.into_iter().filter(|time| *time != 0).collect();
    check(
        reached.is_sorted(),
        "microseconds of the record",
        "ascending",
        format_args!("{times:?}"),
    )?;
    check_eq("the log has a time", &(times[1] != 0), &(log != LogState::Absent))?;
    // An exception may be raised before or after.
    check(raised || times[2] != 0, "microseconds of verification", "some", "none")?;
    check_eq(
        "the elfcorehdr was checked",
        &(record.elfcorehdr.get() != 0),
        &(stage == Stage::Jumped),
    )?;
    if !raised {
        check_places(memory, record)?;
    }
    let [entered, copied, verified, ended] = times;
    Ok(format!(
        "record: {}, log {}; entered {entered} µs, log copied {copied} µs, verified {verified} µs, ended {ended} µs",
        stage.word(),
        log.word()
    ))
}

/// Every difference is counted, and each place is one of them.
fn check_places(memory: &Memory, record: &Record) -> Result<(), Error> {
    let lines: Vec<String> = oracle::differences(memory).into_values().flatten().collect();
    check_eq("corrupt places", &(record.corrupt_places.get() as usize), &lines.len())?;
    let named: Vec<String> = record
        .places
        .iter()
        .filter(|place| place.span.len.get() != 0)
        .map(|place| {
            let (start, len) = (place.span.start.get(), place.span.len.get());
            let kind = RegionKind::from_wire(place.region.get()).map_or("?", RegionKind::name);
            let tail = if place.zero_tail.get() == 1 { "not zero" } else { "expected " };
            format!("{kind}{}{start:#x}-{:#x}: {tail}", oracle::CORRUPT_AT, start + len - 1)
        })
        .collect();
    check_eq("places named", &named.len(), &lines.len().min(record.places.len()))?;
    for place in named {
        let known = lines.iter().any(|line| line.starts_with(&place));
        check(known, "a place of the record", format_args!("one of {lines:?}"), &place)?;
    }
    Ok(())
}

fn header(copy: &[u8]) -> Option<LogHeader> {
    LogHeader::read(copy)
}

/// A copy has all that is kept of the crash kernel's log, in the ring's order.
fn check_copy(memory: &Memory, copy: &[u8]) -> Result<(), Error> {
    let black_box = memory.block().black_box;
    let header = header(copy).ok_or_else(|| Error::Unintelligible {
        what: "a copy of the log",
        text: "no header".into(),
    })?;
    check_eq("generation of a copy", &header.generation.get(), &black_box.generation.get())?;
    let log = black_box.log;
    check(header.log == log, "log of a copy", format_args!("{log:?}"), format_args!("{header:?}"))?;
    let kernel = |start: u64, len: u64| outside(memory.outside(), start, len);
    let ring = kernel(log.ringbuffer.start.get(), log.ringbuffer.len.get());
    let head = |offset: u32| {
        u64::from_le_bytes(ring[offset as usize..][..8].try_into().expect("eight bytes"))
    };
    let (past_id, past_text) = (head(log.head_id.get()) + 1, head(log.head_lpos.get()));
    let mut expected = ring.clone();
    for (array, past, first) in [
        (&log.descriptors, past_id, header.first_descriptor),
        (&log.infos, past_id, header.first_descriptor),
        (&log.text, past_text, header.first_text),
    ] {
        let (place, bytes) = kept(&kernel, array, past);
        check_eq("first element of a copy", &u64::from(first.get()), &place)?;
        expected.extend(bytes);
    }
    let found = &copy[size_of::<LogHeader>()..][..expected.len()];
    let differs = expected.iter().zip(found).position(|(one, other)| one != other);
    check(
        differs.is_none(),
        "bytes of a copy",
        "the kernel's",
        format_args!("{differs:x?} differs"),
    )
}

/// The kept elements of a ring, oldest first, and the place of the first.
fn kept(
    kernel: &impl Fn(u64, u64) -> Vec<u8>,
    array: &LogArray,
    past_newest: u64,
) -> (u64, Vec<u8>) {
    let len = array.span.len.get();
    let whole = kernel(array.span.start.get(), len);
    let element = u64::from(array.element_len.get());
    let (elements, kept) = (len / element, u64::from(array.kept.get()));
    let place = |back: u64| (past_newest + elements * 2 - back) % elements;
    let bytes = (1..=kept).rev().flat_map(|back| {
        let at = (place(back) * element) as usize;
        whole[at..at + element as usize].to_vec()
    });
    (place(kept), bytes.collect())
}

/// Bytes of the crash kernel's memory.
fn outside(writes: &[Write], start: u64, len: u64) -> Vec<u8> {
    let holds =
        |write: &&Write| write.at <= start && start + len <= write.at + write.bytes.len() as u64;
    let write = writes.iter().find(holds).expect("a case puts each part of the log in one write");
    write.bytes[(start - write.at) as usize..][..len as usize].to_vec()
}

/// Outside `written`, the crash region is as the purgatory found it. It also writes what follows
/// the block in its image, the report, and the elfcorehdr; the payload uses the kernel's tail.
fn check_rest(
    memory: &Memory,
    before: &[u8],
    after: &[u8],
    written: &[Range<u64>],
) -> Result<(), Error> {
    let block = memory.block();
    let crash_start = block.crash_region.start.get();
    let mut expected = before.to_vec();
    let at = |address: u64| (address - crash_start) as usize;
    for (start, bytes) in memory.segments() {
        expected[at(start)..][..bytes.len()].copy_from_slice(bytes);
    }
    let span = |span: &handoff::PhysSpan| span.start.get()..span.start.get() + span.len.get();
    let kernel = memory.start(RegionKind::Kernel);
    let (kernel_file, kernel_mem) = memory.lengths(RegionKind::Kernel);
    let tail = kernel + kernel_file as u64..kernel + kernel_mem as u64;
    let mut left = TABLES;
    let tables: Vec<Range<u64>> = memory
        .holes()
        .into_iter()
        .map(|hole| {
            let taken = left.min((hole.end - hole.start) / PAGE_SIZE);
            left -= taken;
            hole.start..hole.start + taken * PAGE_SIZE
        })
        .collect();
    let by_design = [memory.own_data(), span(&block.report), span(&block.elfcorehdr), tail];
    for range in written.iter().chain(&by_design).chain(&tables) {
        let range = at(range.start)..at(range.end);
        expected[range.clone()].copy_from_slice(&after[range]);
    }
    let differs = expected.iter().zip(after).position(|(one, other)| one != other);
    let place = differs.map(|offset| crash_start + offset as u64);
    check(
        differs.is_none(),
        "the crash region outside what may be written",
        "as it was",
        format_args!("another byte at {place:x?}"),
    )
}

/// The guest signaled as its block says, once. The event log can be read only while QEMU runs: of a
/// machine that halts.
pub fn check_signals(case: &Case, memory: &Memory, vm: &mut Vm) -> Result<(), Error> {
    let signals = memory.block().black_box.signals;
    if case.expect.ended == Ended::Halted {
        // Events come before the answer to a command.
        vm.monitor.all_cpus_halted()?;
    } else {
        vm.monitor.read_to_end();
    }
    let expected = usize::from(signals.pvpanic_port.get() != 0);
    check_eq("signals that the crash kernel is entered", &vm.monitor.crash_loaded(), &expected)?;
    if signals.kcs_port.get() == 0 || case.expect.ended != Ended::Halted {
        return Ok(());
    }
    let [function, ..] = ipmi::entry(case.expect.verdict);
    let newest = [function, GET_SEL_ENTRY, 0, 0, 0xff, 0xff, 0, 0xff];
    let mut response = [0; RESPONSE_TO_ENTRY + SEL_ENTRY_LEN];
    let mut controller = Controller { vm, failure: None };
    let answered = ipmi::transact(&mut controller, &newest, &mut response);
    if let Some(error) = controller.failure {
        return Err(error);
    }
    check(answered.is_ok(), "the management controller", "an answer", "none")?;
    // Without the id and the timestamp, which the controller has set.
    let parts = |entry: &[u8]| [entry[2..3].to_vec(), entry[7..].to_vec()].concat();
    let (found, wanted) = (
        parts(&response[RESPONSE_TO_ENTRY..]),
        parts(&ipmi::entry(case.expect.verdict)[REQUEST_OF_ENTRY..]),
    );
    check(
        found == wanted,
        "the newest entry of the event log",
        format_args!("{wanted:x?}"),
        format_args!("{response:x?}"),
    )
}

/// Get SEL Entry (IPMI v2.0, section 31.5).
const GET_SEL_ENTRY: u8 = 0x43;
/// Bytes of an entry (table 32-1).
const SEL_ENTRY_LEN: usize = 16;
/// Bytes of its response before the entry: function, command, completion code, next id.
const RESPONSE_TO_ENTRY: usize = 5;
/// Bytes of Add SEL Entry before the entry: function, command.
const REQUEST_OF_ENTRY: usize = 2;

/// The management controller, through QEMU's monitor.
struct Controller<'a> {
    vm: &'a mut Vm,
    failure: Option<Error>,
}

impl Controller<'_> {
    fn read_port(&mut self, port: u16) -> u8 {
        let byte = self.vm.monitor.read_port(port);
        byte.unwrap_or_else(|error| {
            self.failure = Some(error);
            0xff
        })
    }

    fn write_port(&mut self, port: u16, byte: u8) {
        if let Err(error) = self.vm.monitor.write_port(port, byte) {
            self.failure = Some(error);
        }
    }
}

impl ipmi::Ports for Controller<'_> {
    fn status(&mut self) -> u8 {
        self.read_port(KCS_PORT + 1)
    }

    fn read(&mut self) -> u8 {
        self.read_port(KCS_PORT)
    }

    fn control(&mut self, code: u8) {
        self.write_port(KCS_PORT + 1, code);
    }

    fn write(&mut self, byte: u8) {
        self.write_port(KCS_PORT, byte);
    }

    fn expired(&mut self) -> bool {
        self.failure.is_some()
    }
}

//! A black box that is accepted, and each of its fields broken once.

extern crate std;
use std::vec::Vec;

use handoff::BlackBox;
use handoff::black_box::{LogArray, MAX_LOG_COPY_LEN, PrintkLog, Signals};

use super::*;
use crate::received::black_box::{BlackBox as Proven, Kcs};

/// Bytes of a copy of the log below, with its header, in whole pages.
const COPY_LEN: u64 = 0x9000;
/// In the last mebibytes of the crash region, where nothing else is.
const RECORDS: [u64; 4] =
    [CRASH + 0x0a00_0000, CRASH + 0x0b00_0000, CRASH + 0x0c00_0000, CRASH + 0x0d00_0000];
const COPIES: [u64; 2] = [CRASH + 0x0a00_1000, CRASH + 0x0c00_1000];
/// A kernel's log below the crash region, and below that of every layout in `properties.rs`.
const LOG: u64 = 0x10;

/// What is changed, and how.
type Change = (&'static str, fn(&mut BlackBox));

/// A black box with all that one can have: the numbers of elements are small.
pub(crate) fn good_black_box() -> BlackBox {
    let array = |start, element_len: u32, elements: u32, kept: u32| LogArray {
        span: PhysSpan::new(start, u64::from(element_len) * u64::from(elements)),
        element_len: element_len.into(),
        kept: kept.into(),
    };
    BlackBox {
        generation: 7.into(),
        records: RECORDS.map(U64::new),
        log_copies: COPIES.map(|start| PhysSpan::new(start, COPY_LEN)),
        log: PrintkLog {
            ringbuffer: PhysSpan::new(LOG, 88),
            descriptors: array(LOG + 88, 2, 8, 8),
            infos: array(LOG + 0x80, 4, 8, 8),
            text: array(LOG + 0x100, 1, 64, 32),
            head_id: 24.into(),
            head_lpos: 64.into(),
        },
        signals: Signals {
            pvpanic_port: 0x505.into(),
            kcs_port: 0xca2.into(),
            kcs_spacing: 1.into(),
            reserved: 0.into(),
        },
        reserved: 0.into(),
    }
}

/// Places records and copies from `start` on, each after a gap of pages. Returns what follows.
pub(super) fn place(black_box: &mut BlackBox, start: u64, gaps: [u64; 6], copy_len: u64) -> u64 {
    let mut at = start;
    let mut take = |gap: u64, len: u64| {
        let start = at + gap * PAGE_SIZE;
        at = start + len;
        start
    };
    for (index, gap) in gaps.into_iter().enumerate() {
        match index {
            0..4 => black_box.records[index] = take(gap, PAGE_SIZE).into(),
            _ => {
                let start = take(gap, copy_len);
                black_box.log_copies[index - 4] = PhysSpan::new(start, copy_len);
            }
        }
    }
    at
}

/// All that is written.
pub(super) fn written(black_box: &Proven) -> Vec<Span> {
    let copies = black_box.log.iter().flat_map(|log| log.copies());
    black_box.records().chain(copies).collect()
}

/// All that is read of the panicked kernel.
pub(super) fn read(black_box: &Proven) -> Vec<Span> {
    let spans = |log: &crate::received::black_box::Log| {
        [log.ringbuffer, log.descriptors.span, log.infos.span, log.text.span]
    };
    black_box.log.iter().flat_map(spans).collect()
}

/// Everything in it, as numbers.
pub(super) fn facts(black_box: &Proven) -> Vec<u64> {
    let spans = [written(black_box), read(black_box)].concat();
    let mut facts: Vec<u64> = spans.iter().flat_map(|span| [span.start(), span.len()]).collect();
    facts.push(black_box.generation);
    if let Some(log) = &black_box.log {
        facts.extend([log.head_id, log.head_lpos]);
        for array in [&log.descriptors, &log.infos, &log.text] {
            facts.extend([array.element_len, array.elements, array.kept]);
        }
    }
    facts.extend(black_box.signals.pvpanic.map(u64::from));
    facts
        .extend(black_box.signals.kcs.map(|kcs| u64::from(kcs.data) << 16 | u64::from(kcs.status)));
    facts
}

#[test]
fn black_box_of_the_loader_is_accepted() {
    let black_box = receive(&good_block(), &ITSELF).expect("a good block").black_box;
    assert_eq!(black_box.records().map(Span::start).collect::<Vec<_>>(), RECORDS);
    assert_eq!(written(&black_box).len(), 6);
    assert_eq!(black_box.signals.pvpanic, Some(0x505));
    assert_eq!(black_box.signals.kcs, Some(Kcs { data: 0xca2, status: 0xca3 }));
}

#[test]
fn parts_of_a_black_box_may_be_missing() {
    let without: [Change; 7] = [
        ("everything", |b| *b = BlackBox::default()),
        ("all but signals", |b| {
            *b = BlackBox { signals: b.signals, ..BlackBox::default() };
        }),
        ("signals", |b| b.signals = Signals::default()),
        ("the last record pages", |b| b.records[2..].fill(0.into())),
        ("all record pages", |b| b.records = [0.into(); 4]),
        ("the second copy", |b| b.log_copies[1] = PhysSpan::default()),
        ("the log", |b| (b.log, b.log_copies) = Default::default()),
    ];
    for (what, remove) in without {
        let mut block = good_block();
        remove(&mut block.black_box);
        assert!(receive(&block, &ITSELF).is_ok(), "without {what}");
    }
}

#[test]
fn every_field_of_a_black_box_out_of_range_is_rejected() {
    let damages: &[Change] = &[
        ("reserved word", |b| b.reserved = 1.into()),
        ("no generation", |b| b.generation = 0.into()),
        ("no generation, but records", |b| {
            (b.generation, b.log, b.log_copies) = Default::default();
        }),
        ("no generation, but a log", |b| {
            (b.generation, b.records) = Default::default();
        }),
        ("record that is no page", |b| b.records[1] = (RECORDS[1] + 8).into()),
        ("records that descend", |b| b.records.swap(0, 1)),
        ("record named twice", |b| b.records[1] = b.records[0]),
        ("record after an unused one", |b| b.records[1] = 0.into()),
        ("record below the crash region", |b| b.records[0] = (CRASH - PAGE_SIZE).into()),
        ("record past the crash region", |b| b.records[3] = (CRASH + 0x1000_0000).into()),
        ("record at the end of addresses", |b| b.records[3] = (PAGE_SIZE.wrapping_neg()).into()),
        ("record over the kernel", |b| b.records[0] = (CRASH + 0x0100_0000).into()),
        ("record over the initrd's tail", |b| b.records[0] = (CRASH + 0x0510_0000).into()),
        ("record over the purgatory", |b| b.records[0] = (PURGATORY + 0x9000).into()),
        ("record after the purgatory's image", |b| b.records[0] = (PURGATORY + 0xd000).into()),
        ("record over the elfcorehdr", |b| b.records[0] = (CRASH + 0xe_0000).into()),
        ("record over a copy of the log", |b| b.records[1] = (COPIES[0] + 0x2000).into()),
        ("copy that is no whole page", |b| b.log_copies[1].len = (COPY_LEN - 1).into()),
        ("copy that begins inside a page", |b| b.log_copies[1].start = (COPIES[1] + 1).into()),
        ("copy that wraps", |b| b.log_copies[1].len = (PAGE_SIZE.wrapping_neg()).into()),
        ("copies that descend", |b| b.log_copies.swap(0, 1)),
        ("copies that overlap", |b| b.log_copies[1].start = (COPIES[0] + PAGE_SIZE).into()),
        ("copies of two lengths", |b| b.log_copies[1].len = (COPY_LEN + PAGE_SIZE).into()),
        ("copies that are too short", |b| {
            b.log.ringbuffer.len = (COPY_LEN - 0x80).into();
        }),
        ("copies that are too long", |b| {
            b.log_copies =
                [PhysSpan::new(COPIES[0], MAX_LOG_COPY_LEN + PAGE_SIZE), PhysSpan::default()];
        }),
        ("copy over the kernel", |b| b.log_copies[0].start = (CRASH + 0x0100_0000).into()),
        ("second copy alone", |b| b.log_copies[0] = PhysSpan::default()),
        ("empty copy with a place", |b| b.log_copies[1].len = 0.into()),
        ("log without copies", |b| b.log_copies = Default::default()),
        ("copies without a log", |b| b.log = Default::default()),
        ("ring buffer in the crash region", |b| b.log.ringbuffer.start = CRASH.into()),
        ("ring buffer above physical memory", |b| b.log.ringbuffer.start = (1 << 46).into()),
        ("ring buffer that wraps", |b| b.log.ringbuffer.start = u64::MAX.into()),
        ("ring buffer at 0", |b| b.log.ringbuffer.start = 0.into()),
        ("empty ring buffer", |b| b.log.ringbuffer.len = 0.into()),
        ("head of descriptors outside", |b| b.log.head_id = 81.into()),
        ("head of text outside", |b| b.log.head_lpos = 81.into()),
        ("head at the end of addresses", |b| b.log.head_lpos = u32::MAX.into()),
        ("descriptors that reach into the crash region", |b| {
            b.log.descriptors.span.start = (CRASH - 8).into();
        }),
        ("descriptors of no length", |b| b.log.descriptors.element_len = 0.into()),
        ("descriptors of another length", |b| b.log.descriptors.element_len = 3.into()),
        ("seven descriptors", |b| b.log.descriptors.span.len = 14.into()),
        ("half a descriptor", |b| b.log.descriptors.span.len = 17.into()),
        ("no descriptor", |b| b.log.descriptors.span.len = 0.into()),
        ("no descriptor is kept", |b| b.log.descriptors.kept = 0.into()),
        ("more descriptors kept than there are", |b| {
            (b.log.descriptors.kept, b.log.infos.kept) = (9.into(), 9.into());
        }),
        ("another number of infos", |b| {
            b.log.infos.span.len = 16.into();
            (b.log.descriptors.kept, b.log.infos.kept) = (4.into(), 4.into());
        }),
        ("another number of infos kept", |b| b.log.infos.kept = 4.into()),
        ("text of words", |b| {
            (b.log.text.element_len, b.log.text.kept) = (2.into(), 16.into());
        }),
        ("text of 63 bytes", |b| b.log.text.span.len = 63.into()),
        ("text that wraps", |b| b.log.text.span.start = (u64::MAX - 8).into()),
        ("text whose places do not fit the header", |b| {
            b.log.text.span = PhysSpan::new(CRASH + 0x1000_0000, 1 << 33);
        }),
        ("signals' reserved word", |b| b.signals.reserved = 1.into()),
        ("pvpanic above the I/O space", |b| b.signals.pvpanic_port = 0x1_0505.into()),
        ("KCS above the I/O space", |b| b.signals.kcs_port = 0x1_0ca2.into()),
        ("KCS's status above the I/O space", |b| b.signals.kcs_port = 0xffff.into()),
        ("KCS registers in one place", |b| b.signals.kcs_spacing = 0.into()),
        ("KCS registers two bytes apart", |b| b.signals.kcs_spacing = 2.into()),
        ("spacing without KCS", |b| b.signals.kcs_port = 0.into()),
    ];
    // Miri is slow: it tries every fifth.
    for (what, damage) in damages.iter().step_by(if cfg!(miri) { 5 } else { 1 }) {
        let mut block = good_block();
        damage(&mut block.black_box);
        let received = receive(&block, &ITSELF).map(|_| ());
        assert_eq!(received, Err(Verdict::BlockBlackBox), "{what}");
    }
}

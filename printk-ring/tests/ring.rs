//! Rings that a writer with the kernel's rules has filled, whole and damaged.

use printk_ring::writer::{LAYOUT, Memory, Writer};
use printk_ring::{Damage, Entry, Heads, Part, Ring, decode};
use proptest::collection::vec;
use proptest::prelude::*;

const ID: usize = 8;

fn texts(ring: &Ring<'_>) -> Vec<String> {
    let log = decode(&LAYOUT, ring);
    log.texts().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

/// A ring with this many numbered lines.
fn numbered(count_bits: u32, size_bits: u32, lines: u64) -> Memory {
    let mut writer = Writer::new(count_bits, size_bits);
    for line in 0..lines {
        writer.print(line * 1_000, 6, format!("line {line}").as_bytes());
    }
    writer.memory()
}

fn place_of(memory: &Memory, text: &str) -> usize {
    memory.text.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

#[test]
fn records_have_time_level_caller_and_sequence_number() {
    let memory = numbered(4, 10, 3);
    let log = decode(&LAYOUT, &memory.ring());
    let last = log.records().last().unwrap();
    assert_eq!((last.seq, last.time, last.caller), (2, 2_000, 1));
    assert_eq!((last.level, last.facility), (Some(6), Some(0)));
    assert_eq!(last.text, b"line 2");
    assert_eq!(log.damaged(), 0);
}

#[test]
fn ring_that_went_round_ends_with_its_newest_records() {
    let memory = numbered(6, 9, 1000);
    let texts = texts(&memory.ring());
    assert!(texts.len() > 15, "{texts:?}");
    let expected: Vec<_> = (1000 - texts.len()..1000).map(|line| format!("line {line}")).collect();
    assert_eq!(texts, expected);
}

#[test]
fn ids_that_pass_32_bits_are_decoded_with_times_and_without_descriptors() {
    // 16 descriptors: the ids pass 2^32 with the 17th record.
    for lines in [1, 15, 16, 17, 40] {
        let mut writer = Writer::new(4, 12);
        (0..lines).for_each(|line| writer.print(line, 6, format!("line {line}").as_bytes()));
        let memory = writer.memory();
        let log = decode(&LAYOUT, &memory.ring());
        assert!(!log.text_only && log.damaged() == 0, "{lines}: {log:?}");
        let seqs: Vec<_> = log.records().map(|record| record.seq).collect();
        let expected: Vec<_> = (lines.saturating_sub(16)..lines).collect();
        assert_eq!(seqs, expected);
    }
    let mut writer = Writer::new(6, 12);
    (0..80).for_each(|line| writer.print(line, 6, format!("line {line}").as_bytes()));
    let memory = writer.memory();
    let ring = Ring { ringbuffer: &[], ..memory.ring() };
    let expected: Vec<_> = (0..80).map(|line| format!("line {line}")).collect();
    assert_eq!(texts(&ring), expected);
}

#[test]
fn empty_line_is_a_record_without_text() {
    let mut writer = Writer::new(4, 10);
    writer.print(1, 4, b"");
    writer.print(2, 4, b"after");
    assert_eq!(texts(&writer.memory().ring()), ["", "after"]);
}

#[test]
fn text_that_the_kernel_could_not_store_is_marked() {
    let mut writer = Writer::new(4, 8);
    writer.print(1, 4, &[b'x'; 200]);
    let log = decode(&LAYOUT, &writer.memory().ring());
    assert_eq!(log.entries, [Entry::Damaged { seq: 0, damage: Damage::NotStored }]);
}

#[test]
fn unfinished_record_is_marked_and_the_one_before_it_is_shown() {
    let mut writer = Writer::new(4, 10);
    writer.print(1, 4, b"finished");
    writer.begin(2, 4, b"half");
    let log = decode(&LAYOUT, &writer.memory().ring());
    assert_eq!(log.texts().collect::<Vec<_>>(), [b"finished"]);
    assert_eq!(log.entries[1], Entry::Damaged { seq: 1, damage: Damage::Unfinished });
}

#[test]
fn descriptor_over_foreign_text_is_marked() {
    let mut memory = numbered(4, 10, 8);
    let at = place_of(&memory, "line 4");
    memory.text[at - ID..at + 30].fill(b'#');
    let log = decode(&LAYOUT, &memory.ring());
    let shown: Vec<_> = log.records().map(|record| record.seq).collect();
    // The word after `line 3` is gone, so nothing proves that text's end.
    assert_eq!(shown, [0, 1, 2, 7]);
    assert_eq!(log.entries[3], Entry::Damaged { seq: 3, damage: Damage::Next });
    assert_eq!(log.entries[4], Entry::Damaged { seq: 4, damage: Damage::Text });
}

#[test]
fn info_of_another_record_is_marked() {
    let mut memory = numbered(4, 10, 8);
    let (from, to) = (2 * LAYOUT.info_len, 5 * LAYOUT.info_len);
    memory.infos.copy_within(from..from + LAYOUT.info_len, to);
    let log = decode(&LAYOUT, &memory.ring());
    assert_eq!(log.entries[5], Entry::Damaged { seq: 5, damage: Damage::Info });
    assert_eq!(log.records().count(), 7);
}

#[test]
fn overwritten_descriptors_are_marked_and_the_others_shown() {
    let mut memory = numbered(6, 12, 60);
    memory.descriptors[10 * LAYOUT.desc_len..20 * LAYOUT.desc_len].fill(0xcc);
    let log = decode(&LAYOUT, &memory.ring());
    assert_eq!((log.records().count(), log.damaged()), (49, 11), "{log}");
    assert!(log.to_string().contains("-- 11 records are not shown: "), "{log}");
}

#[test]
fn text_alone_is_decoded_if_the_descriptors_are_lost() {
    for heads_are_lost in [false, true] {
        let mut memory = numbered(6, 9, 1000);
        let whole = texts(&memory.ring());
        memory.descriptors.fill(0);
        if heads_are_lost {
            memory.ringbuffer.fill(0xff);
        }
        let log = decode(&LAYOUT, &memory.ring());
        assert!(log.text_only, "{heads_are_lost}: {log}");
        let texts = texts(&memory.ring());
        // Older texts that are not overwritten yet may come first, and stale bytes last.
        for (text, expected) in texts.iter().rev().zip(whole.iter().rev()) {
            assert!(text.starts_with(expected), "{text:?} instead of {expected:?} in {texts:?}");
        }
        assert!(texts.len() >= whole.len(), "{texts:?}");
    }
}

#[test]
fn text_alone_is_decoded_if_the_infos_are_zeroed() {
    let mut memory = numbered(6, 12, 50);
    let whole = texts(&memory.ring());
    memory.infos.fill(0);
    let log = decode(&LAYOUT, &memory.ring());
    assert!(log.text_only, "{log}");
    assert_eq!(texts(&memory.ring()), whole);
}

#[test]
fn window_that_ends_at_the_head_has_its_records() {
    let memory = numbered(6, 12, 100);
    let heads = Heads::read(&LAYOUT, &memory.ringbuffer).unwrap();
    let kept = 16;
    let first = (heads.head_id + 1 - kept) % heads.count();
    let window = |bytes: &[u8], len: usize| -> Vec<u8> {
        let elements = (0..kept).map(|index| ((first + index) % heads.count()) as usize * len);
        elements.flat_map(|at| bytes[at..at + len].to_vec()).collect()
    };
    let (descriptors, infos) =
        (window(&memory.descriptors, LAYOUT.desc_len), window(&memory.infos, LAYOUT.info_len));
    let ring = Ring {
        descriptors: Part { bytes: &descriptors, first },
        infos: Part { bytes: &infos, first },
        ..memory.ring()
    };
    let expected: Vec<_> = (84..100).map(|line| format!("line {line}")).collect();
    assert_eq!(texts(&ring), expected);
    // Text that the copy does not have.
    let half = heads.size() / 64;
    let from = heads.head_lpos.wrapping_sub(half) % heads.size();
    let text = &memory.text[from as usize..(from + half) as usize];
    let log = decode(&LAYOUT, &Ring { text: Part { bytes: text, first: from }, ..ring });
    assert!(log.records().count() >= 2, "{log}");
    assert!(matches!(log.entries[0], Entry::Damaged { damage: Damage::NotCopied, .. }), "{log}");
}

#[derive(Clone, Debug)]
struct Line {
    time: u64,
    level: u8,
    text: Vec<u8>,
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (0..1u64 << 60, 0u8..8, vec(any::<u8>(), 0..120))
        .prop_map(|(time, level, text)| Line { time, level, text });
    vec(line, 0..200)
}

fn written(lines: &[Line], fills_to_the_end: bool, count_bits: u32, size_bits: u32) -> Memory {
    let mut writer = Writer::new(count_bits, size_bits);
    writer.fills_to_the_end = fills_to_the_end;
    lines.iter().for_each(|line| writer.print(line.time, line.level, &line.text));
    writer.memory()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn last_records_are_those_that_were_written(
        lines in lines(), fills in any::<bool>(), count_bits in 2u32..7, size_bits in 9u32..13,
    ) {
        let memory = written(&lines, fills, count_bits, size_bits);
        let log = decode(&LAYOUT, &memory.ring());
        prop_assert_eq!(log.damaged(), 0, "{}", log);
        // Empty lines take no room in the text, so they outlive older texts.
        let oldest = log.records().find(|record| !record.text.is_empty());
        let mut expected = oldest.map_or(lines.len() as u64, |record| record.seq);
        for record in log.records().skip_while(|record| record.text.is_empty()) {
            prop_assert_eq!(record.seq, expected);
            expected += 1;
        }
        prop_assert_eq!(expected, lines.len() as u64);
        for record in log.records() {
            let line = &lines[record.seq as usize];
            prop_assert_eq!((record.time, record.level), (line.time, Some(line.level)));
            prop_assert_eq!(&record.text, &line.text);
        }
    }

    #[test]
    fn overwritten_text_never_becomes_a_record(
        lines in lines(), at in 0usize..3840, len in 256usize..2048, fill in any::<u8>(),
    ) {
        let mut memory = written(&lines, false, 6, 12);
        let end = (at + len).min(memory.text.len());
        memory.text[at..end].fill(fill);
        let log = decode(&LAYOUT, &memory.ring());
        // Nothing proves the end of the newest text before the text ring is full.
        for record in log.records().filter(|record| record.seq + 1 < lines.len() as u64) {
            prop_assert_eq!(&record.text, &lines[record.seq as usize].text);
        }
    }

    #[test]
    fn overwritten_descriptors_and_infos_never_become_records(
        lines in lines(), at in 0usize..1500, garbage in vec(any::<u8>(), 1..2000),
    ) {
        let whole = written(&lines, false, 6, 12);
        let (mut one, mut other) = (whole.clone(), whole);
        for bytes in [&mut one.descriptors, &mut other.infos] {
            let end = (at + garbage.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&garbage[..end - at]);
        }
        for memory in [one, other] {
            for record in decode(&LAYOUT, &memory.ring()).records() {
                // A garbage byte in a part of an info that nothing proves, such as its time, is
                // not noticed at the edges of what was overwritten.
                prop_assert!((record.seq as usize) < lines.len());
                let text = &lines[record.seq as usize].text;
                prop_assert!(text.starts_with(&record.text) || record.text.starts_with(text));
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(
        ringbuffer in vec(any::<u8>(), 0..100), descriptors in vec(any::<u8>(), 0..400),
        infos in vec(any::<u8>(), 0..400), text in vec(any::<u8>(), 0..400),
        firsts in any::<[u64; 3]>(),
    ) {
        let ring = Ring {
            ringbuffer: &ringbuffer,
            descriptors: Part { bytes: &descriptors, first: firsts[0] },
            infos: Part { bytes: &infos, first: firsts[1] },
            text: Part { bytes: &text, first: firsts[2] },
        };
        let _ = decode(&LAYOUT, &ring).to_string();
    }
}

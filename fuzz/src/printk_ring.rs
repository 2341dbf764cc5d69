//! The printk ring: each record that is shown stands in the bytes, with the id of its place in its
//! descriptor, in its info and before its text.
//!
//! An input is `struct printk_ringbuffer` in the layout of Linux 6.12, how many descriptors and
//! infos follow, their first place, the text's first place, then the three arrays.

use printk_ring::writer::{LAYOUT, Writer};
use printk_ring::{Part, Ring, decode};

use crate::bytes::{prefix, word};
use crate::{Answer, Seed};

const RINGBUFFER_LEN: usize = 88;
const DESC_LEN: u128 = 24;
const INFO_LEN: u128 = 88;
const IDS: u128 = 1 << 62;
const IDS_32_BITS: u128 = 1 << 32;

/// Shows it for one ring.
pub fn check(data: &[u8]) -> Answer {
    let (ringbuffer, rest) = prefix::<RINGBUFFER_LEN>(data);
    let (numbers, rest) = prefix::<12>(rest);
    let number = |at| word(&numbers, at, 4).expect("twelve bytes");
    let (count, first, first_text) = (number(0), number(4), number(8));
    let (descriptors, rest) = cut(rest, count * DESC_LEN);
    let (infos, text) = cut(rest, count * INFO_LEN);
    let part = |bytes, first| Part { bytes, first: first as u64 };
    let ring = Ring {
        ringbuffer: &ringbuffer,
        descriptors: part(descriptors, first),
        infos: part(infos, first),
        text: part(text, first_text),
    };
    let log = decode(&LAYOUT, &ring);
    let _ = log.to_string();

    let field = |at, len| word(&ringbuffer, at, len).expect("inside the struct");
    let mut answer = Answer::Refused;
    for record in log.records() {
        answer = Answer::Taken;
        let (total, size) = (1u128 << field(0, 4), 1u128 << field(48, 4));
        // Ids begin at `-2^count_bits`, in all their bits, or in 32 bits as in Linux 6.12.
        let is_32_bits = (IDS_32_BITS - total - 1..IDS / 2).contains(&field(24, 8));
        let ids = if is_32_bits { IDS_32_BITS } else { IDS };
        let id = (u128::from(record.seq) + ids - total) % IDS;
        let place = (id % total + total - first % total) % total;
        let descriptor = |at| word(descriptors, place * DESC_LEN + at, 8).expect("a descriptor");
        assert_eq!(descriptor(0) % IDS, id, "id of the descriptor");
        assert!([1, 2].contains(&(descriptor(0) / IDS)), "state of the descriptor");
        let info = |at, len| word(infos, place * INFO_LEN + at, len).expect("an info");
        assert_eq!(info(0, 8), record.seq.into(), "sequence number of the info");
        assert_eq!((info(8, 8), info(16, 2)), (record.time.into(), record.text.len() as u128));
        if record.text.is_empty() {
            continue;
        }
        let (begin, next) = (descriptor(8), descriptor(16));
        let is_wrapped = begin / size != (next + (1 << 64) - 1) % (1 << 64) / size;
        let start = if is_wrapped { 0 } else { begin % size };
        let at = (start + size - first_text % size) % size;
        assert_eq!(word(text, at, 8), Some(id), "id before the text");
        let shown = &text[at as usize + 8..][..record.text.len()];
        assert_eq!(shown, record.text, "the text");
    }
    answer
}

fn cut(bytes: &[u8], len: u128) -> (&[u8], &[u8]) {
    bytes.split_at(len.min(bytes.len() as u128) as usize)
}

fn input(writer: &Writer) -> Vec<u8> {
    let memory = writer.memory();
    let count = memory.descriptors.len() as u32 / DESC_LEN as u32;
    let numbers = [count, 0, 0].map(u32::to_le_bytes);
    [&memory.ringbuffer, numbers.as_flattened(), &memory.descriptors, &memory.infos, &memory.text]
        .concat()
}

/// A ring with a few records, rings that went round, one without any.
pub fn seeds() -> Vec<Seed> {
    let mut few = Writer::new(3, 8);
    few.print(1, 5, b"Linux version 6.12");
    few.print(2, 6, b"");
    few.print(3_000_000, 0, b"Kernel panic - not syncing");
    let mut round = Writer::new(3, 8);
    (0..50u8)
        .for_each(|line| round.print(line.into(), 6, &vec![b'a' + line % 20; 3 + line as usize]));
    let mut newer = round.clone();
    newer.fills_to_the_end = true;
    (0..50u8).for_each(|line| newer.print(line.into(), 6, b"seven.."));
    vec![
        Seed::taken("few", input(&few)),
        Seed::taken("round", input(&round)),
        Seed::taken("to-the-end", input(&newer)),
        Seed::refused("empty", input(&Writer::new(3, 8))),
    ]
}

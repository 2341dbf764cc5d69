//! Rings of every size and head, against a model that walks them one element at a time.

extern crate std;
use std::collections::BTreeMap;
use std::vec::Vec;

use handoff::black_box::{LogArray, MAX_LOG_COPIES};
use handoff::{Block, PhysSpan};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::received;
use crate::received::tests::{ITSELF, good_block};

/// Memory as bytes; what is not there cannot be read.
#[derive(Default)]
struct Bytes(BTreeMap<u64, u8>);

impl Bytes {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        self.0.extend((at..).zip(bytes.iter().copied()));
    }

    fn get(&self, at: u64, len: u64) -> Option<Vec<u8>> {
        (at..at + len).map(|at| self.0.get(&at).copied()).collect()
    }
}

impl Physical for Bytes {
    fn copy(&mut self, from: u64, to: u64, len: u64) -> bool {
        for index in 0..len {
            let Some(byte) = self.0.get(&(from + index)).copied() else { return false };
            self.0.insert(to + index, byte);
        }
        true
    }

    fn word(&mut self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at, 8).expect("written before").try_into().unwrap())
    }

    fn write_header(&mut self, at: u64, header: &LogHeader) {
        self.put(at, header.as_bytes());
    }
}

/// Where the kernel's log is in these tests.
const RING_BUFFER: u64 = 0x10_0000;
const DESCRIPTORS: u64 = 0x11_0000;
const INFOS: u64 = 0x12_0000;
const TEXT: u64 = 0x13_0000;
const HEAD_ID: u32 = 8;
const HEAD_LPOS: u32 = 24;
const RING_BUFFER_LEN: u64 = 32;
/// Bytes of an element here: not those of Linux, which differ as well.
const DESCRIPTOR_LEN: u32 = 3;
const INFO_LEN: u32 = 5;

/// A kernel's ring: base-2 logarithms of the numbers of elements, how many are kept, and the heads.
#[derive(Clone, Debug)]
struct Ring {
    descriptor_bits: u32,
    text_bits: u32,
    descriptors_kept: u32,
    text_kept: u32,
    head_id: u64,
    head_lpos: u64,
}

fn rings() -> impl Strategy<Value = Ring> {
    (0..5u32, 0..7u32, any::<[prop::sample::Index; 2]>(), any::<u64>(), any::<u64>()).prop_map(
        |(descriptor_bits, text_bits, kept, head_id, head_lpos)| Ring {
            descriptor_bits,
            text_bits,
            descriptors_kept: kept[0].index(1 << descriptor_bits) as u32 + 1,
            text_kept: kept[1].index(1 << text_bits) as u32 + 1,
            head_id,
            head_lpos,
        },
    )
}

impl Ring {
    fn block(&self) -> Block {
        let array = |start, element_len: u32, bits: u32, kept: u32| LogArray {
            span: PhysSpan::new(start, u64::from(element_len) << bits),
            element_len: element_len.into(),
            kept: kept.into(),
        };
        let mut block = good_block();
        block.black_box.log = PrintkLog {
            ringbuffer: PhysSpan::new(RING_BUFFER, RING_BUFFER_LEN),
            descriptors: array(
                DESCRIPTORS,
                DESCRIPTOR_LEN,
                self.descriptor_bits,
                self.descriptors_kept,
            ),
            infos: array(INFOS, INFO_LEN, self.descriptor_bits, self.descriptors_kept),
            text: array(TEXT, 1, self.text_bits, self.text_kept),
            head_id: HEAD_ID.into(),
            head_lpos: HEAD_LPOS.into(),
        };
        block
    }

    /// The kernel's memory, in which no two bytes of an array are alike for long.
    fn memory(&self, block: &Block) -> Bytes {
        let mut memory = Bytes::default();
        let log = &block.black_box.log;
        for (index, span) in
            [log.descriptors.span, log.infos.span, log.text.span].into_iter().enumerate()
        {
            let bytes: Vec<u8> =
                (0..span.len.get()).map(|at| (at * 7) as u8 ^ (index as u8) << 6).collect();
            memory.put(span.start.get(), &bytes);
        }
        memory.put(RING_BUFFER, &[0x77; RING_BUFFER_LEN as usize]);
        memory.put(RING_BUFFER + u64::from(HEAD_ID), &self.head_id.to_le_bytes());
        memory.put(RING_BUFFER + u64::from(HEAD_LPOS), &self.head_lpos.to_le_bytes());
        memory
    }
}

/// The kept elements of a ring, oldest first: walked back from its head.
fn model(memory: &Bytes, array: &LogArray, past_newest: u64) -> (u64, Vec<u8>) {
    let len = u64::from(array.element_len.get());
    let elements = array.span.len.get() / len;
    let mut place = past_newest % elements;
    let mut walked = Vec::new();
    for _ in 0..array.kept.get() {
        place = if place == 0 { elements - 1 } else { place - 1 };
        walked.push(memory.get(array.span.start.get() + place * len, len).unwrap());
    }
    walked.reverse();
    (place, walked.concat())
}

fn copied(block: &Block, memory: &mut Bytes) -> LogState {
    let handoff = received::receive(block, &ITSELF).expect("a good block");
    let black_box = handoff.black_box;
    let log = black_box.log.expect("a log");
    copy(&log, &block.black_box.log, black_box.generation, memory)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // Nothing here is unsafe, and the test below interprets the same code once.
    #[test]
    #[cfg_attr(miri, ignore = "each ring takes Miri seven seconds")]
    fn copies_are_what_a_walk_from_the_heads_finds(ring in rings()) {
        let block = ring.block();
        let mut memory = ring.memory(&block);
        let log = &block.black_box.log;
        let past_descriptors = ring.head_id.wrapping_add(1);
        let (first_descriptor, descriptors) = model(&memory, &log.descriptors, past_descriptors);
        let (_, infos) = model(&memory, &log.infos, past_descriptors);
        let (first_text, text) = model(&memory, &log.text, ring.head_lpos);
        let ringbuffer = memory.get(RING_BUFFER, RING_BUFFER_LEN).unwrap();
        let expected = [ringbuffer, descriptors, infos, text].concat();

        prop_assert_eq!(copied(&block, &mut memory), LogState::Copied);
        for copy in &block.black_box.log_copies {
            let start = copy.start.get();
            let header = LogHeader::read(&memory.get(start, HEADER_LEN).unwrap()).unwrap();
            prop_assert_eq!(header.generation, block.black_box.generation);
            prop_assert_eq!(&header.log, log);
            prop_assert_eq!(u64::from(header.first_descriptor.get()), first_descriptor);
            prop_assert_eq!(u64::from(header.first_text.get()), first_text);
            let len = log.copy_len().unwrap() - HEADER_LEN;
            prop_assert_eq!(&memory.get(start + HEADER_LEN, len).unwrap(), &expected);
            // And nothing after it.
            prop_assert_eq!(memory.get(start + HEADER_LEN + len, 1), None);
        }
    }
}

#[test]
fn log_that_cannot_be_read_leaves_no_header() {
    let ring = Ring {
        descriptor_bits: 3,
        text_bits: 4,
        descriptors_kept: 8,
        text_kept: 16,
        head_id: 3,
        head_lpos: 5,
    };
    let block = ring.block();
    // Miri takes four seconds for each. It tries the one for which all else is copied.
    let tried = if cfg!(miri) { 1 } else { 4 };
    for missing in [TEXT + 15, INFOS, DESCRIPTORS + 1, RING_BUFFER].into_iter().take(tried) {
        let mut memory = ring.memory(&block);
        // A copy of an earlier run.
        let copies = &block.black_box.log_copies;
        let mut stale = LogHeader::blank();
        stale.close();
        copies.iter().for_each(|copy| memory.put(copy.start.get(), stale.as_bytes()));
        memory.0.remove(&missing);
        assert_eq!(copied(&block, &mut memory), LogState::Failed, "{missing:#x}");
        for copy in copies {
            let header = memory.get(copy.start.get(), HEADER_LEN).unwrap();
            assert!(header.iter().all(|&byte| byte == 0), "{missing:#x}");
        }
    }
    assert_eq!(block.black_box.log_copies.len(), MAX_LOG_COPIES);
}

//! Kernel logs for the black box: rings of a distribution's size, full of a pattern.

use handoff::black_box::{LogArray, PrintkLog};
use handoff::{PAGE_SIZE, PhysSpan};
use orders::map;

use crate::bare::memory::Memory;

/// `sizeof(struct printk_ringbuffer)` in Linux 6.12, and the heads' offsets in it.
const RING_BUFFER_LEN: u64 = 88;
const HEAD_ID: u32 = 24;
const HEAD_LPOS: u32 = 64;
/// `sizeof(struct prb_desc)` and `sizeof(struct printk_info)` there.
const DESCRIPTOR_LEN: u32 = 24;
const INFO_LEN: u32 = 88;
/// The log of a distribution's kernel: 128 KiB of text, a descriptor for 32 bytes.
const TEXT_LEN: u32 = 128 << 10;
const DESCRIPTORS: u32 = 4096;

/// Heads, and how much is kept.
pub struct Ring {
    head_id: u64,
    head_lpos: u64,
    descriptors_kept: u32,
    text_kept: u32,
}

/// All of it is kept; the heads are somewhere in the middle after many rounds.
pub const WHOLE: Ring = Ring {
    head_id: 0x12_3456_7123,
    head_lpos: 0x9876_5432_1077,
    descriptors_kept: DESCRIPTORS,
    text_kept: TEXT_LEN,
};

/// The kept part wraps around the end of each array.
pub const WRAPPED: Ring = Ring {
    head_id: 0x1000 * 3 + 5,
    head_lpos: 0x2_0000 * 7 + 0x21,
    descriptors_kept: 1000,
    text_kept: 40_000,
};

/// The kept part ends exactly at the end of each array.
pub const AT_THE_END: Ring = Ring {
    head_id: 0x1000 * 2 - 1,
    head_lpos: 0x2_0000 * 5,
    descriptors_kept: 100,
    text_kept: 5000,
};

impl Ring {
    /// Puts the log into the crash kernel's memory.
    pub fn put(&self, memory: &mut Memory) -> PrintkLog {
        let mut at = map::KERNEL_LOG;
        let mut put = |bytes: Vec<u8>| {
            let span = PhysSpan::new(at, bytes.len() as u64);
            at = (at + bytes.len() as u64).next_multiple_of(PAGE_SIZE);
            memory.put_outside(span.start.get(), bytes);
            span
        };
        let pattern = |len: u32, seed: u32| -> Vec<u8> {
            (0..len).map(|at| ((at ^ seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
        };
        let mut ringbuffer = pattern(RING_BUFFER_LEN as u32, 1);
        ringbuffer[HEAD_ID as usize..][..8].copy_from_slice(&self.head_id.to_le_bytes());
        ringbuffer[HEAD_LPOS as usize..][..8].copy_from_slice(&self.head_lpos.to_le_bytes());
        let mut array = |element_len: u32, elements: u32, kept: u32| LogArray {
            span: put(pattern(element_len * elements, element_len)),
            element_len: element_len.into(),
            kept: kept.into(),
        };
        let descriptors = array(DESCRIPTOR_LEN, DESCRIPTORS, self.descriptors_kept);
        let infos = array(INFO_LEN, DESCRIPTORS, self.descriptors_kept);
        let text = array(1, TEXT_LEN, self.text_kept);
        PrintkLog {
            ringbuffer: put(ringbuffer),
            descriptors,
            infos,
            text,
            head_id: HEAD_ID.into(),
            head_lpos: HEAD_LPOS.into(),
        }
    }
}

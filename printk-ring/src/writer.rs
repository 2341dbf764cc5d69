//! A printk ring buffer in plain memory, written by the rules of kernel/printk/printk_ringbuffer.c.
//! Tests decode what it has written.

use crate::Layout;
use crate::decode::Ring;
use crate::heads::{FIRST_IDS_BELOW, ID_LEN, ID_MASK};
use crate::part::Part;

/// The layout of Linux 6.12 on x86-64.
pub const LAYOUT: Layout = Layout {
    ringbuffer_len: 88,
    count_bits: 0,
    descs: 8,
    infos: 16,
    head_id: 24,
    tail_id: 32,
    size_bits: 48,
    data: 56,
    head_lpos: 64,
    tail_lpos: 72,
    desc_len: 24,
    state: 0,
    begin: 8,
    next: 16,
    info_len: 88,
    seq: 0,
    time: 8,
    text_len: 16,
    caller: 20,
};

/// The lines of VMCOREINFO about it, and those about the kernel's addresses.
pub const VMCOREINFO: &str = "OSRELEASE=6.12.43
PAGESIZE=4096
SYMBOL(init_top_pgt)=ffffffff8a020000
SYMBOL(prb)=ffffffff8a665be0
KERNELOFFSET=7000000
NUMBER(phys_base)=-16777216
NUMBER(pgtable_l5_enabled)=0
NUMBER(sme_mask)=0
SIZE(printk_ringbuffer)=88
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=48
OFFSET(printk_ringbuffer.fail)=80
SIZE(prb_desc_ring)=48
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=8
SIZE(prb_data_blk_lpos)=16
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88
OFFSET(printk_info.seq)=0
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20
OFFSET(printk_info.dev_info)=24
SIZE(prb_data_ring)=32
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
OFFSET(prb_data_ring.head_lpos)=16
OFFSET(prb_data_ring.tail_lpos)=24
SIZE(atomic_long_t)=8
OFFSET(atomic_long_t.counter)=0
";

const RESERVED: u64 = 0;
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;
const REUSABLE: u64 = 3;
/// `FAILED_LPOS`: there was no room.
const FAILED: u64 = 1;
/// `EMPTY_LINE_LPOS`.
const EMPTY_LINE: u64 = 3;

#[derive(Clone, Copy, Default)]
struct Descriptor {
    state: u64,
    id: u64,
    begin: u64,
    next: u64,
}

/// The ring.
#[derive(Clone)]
pub struct Writer {
    count_bits: u32,
    size_bits: u32,
    /// The id of the record with the number 0.
    numbered_from: u64,
    head_id: u64,
    tail_id: u64,
    head_lpos: u64,
    tail_lpos: u64,
    descriptors: Vec<Descriptor>,
    infos: Vec<u8>,
    text: Vec<u8>,
    /// A text may end where the array ends, as in newer kernels.
    pub fills_to_the_end: bool,
    /// Virtual addresses of the descriptors, the infos and the text.
    pub addresses: [u64; 3],
}

impl Writer {
    /// An empty ring of `2^count_bits` descriptors and `2^size_bits` bytes of text.
    pub fn new(count_bits: u32, size_bits: u32) -> Self {
        let count = 1u64 << count_bits;
        let first_id = FIRST_IDS_BELOW - count - 1;
        let mut descriptors = vec![Descriptor::default(); count as usize];
        descriptors[count as usize - 1] =
            Descriptor { state: REUSABLE, id: first_id, begin: FAILED, next: FAILED };
        let mut infos = vec![0; count as usize * LAYOUT.info_len];
        infos[..8].copy_from_slice(&count.wrapping_neg().to_le_bytes());
        let first_lpos = (1u64 << size_bits).wrapping_neg();
        Self {
            count_bits,
            size_bits,
            numbered_from: first_id + 1,
            head_id: first_id,
            tail_id: first_id,
            head_lpos: first_lpos,
            tail_lpos: first_lpos,
            descriptors,
            infos,
            text: vec![0; 1 << size_bits],
            fills_to_the_end: false,
            addresses: [0; 3],
        }
    }

    /// Prints a text of `level` at `time`. Its writer reserves a byte more than it needs.
    pub fn print(&mut self, time: u64, level: u8, text: &[u8]) {
        let id = self.reserve(time, level, text);
        self.set_state(id, COMMITTED);
    }

    /// Begins to print a text, and does not finish.
    pub fn begin(&mut self, time: u64, level: u8, text: &[u8]) {
        self.reserve(time, level, text);
    }

    fn reserve(&mut self, time: u64, level: u8, text: &[u8]) -> u64 {
        // The record before is finalized as soon as another is reserved.
        if self.descriptor(self.head_id).state == COMMITTED {
            self.set_state(self.head_id, FINALIZED);
        }
        let count = 1u64 << self.count_bits;
        let id = self.head_id.wrapping_add(1) & ID_MASK;
        let before = id.wrapping_sub(count) & ID_MASK;
        if before == self.tail_id {
            let oldest = self.descriptor(before);
            if oldest.state != REUSABLE {
                if oldest.begin & 1 == 0 {
                    self.push_tail(oldest.next);
                }
                self.set_state(before, REUSABLE);
            }
            self.tail_id = self.tail_id.wrapping_add(1) & ID_MASK;
        }
        self.head_id = id;
        *self.slot(id) = Descriptor { state: RESERVED, id, begin: 0, next: 0 };
        let (begin, next) = self.allocate(id, text);
        let slot = self.slot(id);
        (slot.begin, slot.next) = (begin, next);
        let seq = id.wrapping_sub(self.numbered_from) & ID_MASK;
        let at = (id & (count - 1)) as usize * LAYOUT.info_len;
        let info = &mut self.infos[at..][..LAYOUT.info_len];
        info[..8].copy_from_slice(&seq.to_le_bytes());
        info[8..16].copy_from_slice(&time.to_le_bytes());
        let text_len = if begin == FAILED { 0 } else { text.len() as u16 };
        info[16..18].copy_from_slice(&text_len.to_le_bytes());
        info[18..20].copy_from_slice(&[0, level << 5]);
        info[20..24].copy_from_slice(&1u32.to_le_bytes());
        id
    }

    /// Room for a text; its words are written.
    fn allocate(&mut self, id: u64, text: &[u8]) -> (u64, u64) {
        if text.is_empty() {
            return (EMPTY_LINE, EMPTY_LINE);
        }
        let size = 1u64 << self.size_bits;
        let len = (ID_LEN + text.len() as u64 + 1).next_multiple_of(ID_LEN);
        // `data_check_size`: no text may fill more than half of the ring.
        if len > size / 2 {
            return (FAILED, FAILED);
        }
        let begin = self.head_lpos;
        let end = begin.wrapping_add(len);
        let last = if self.fills_to_the_end { end.wrapping_sub(1) } else { end };
        let is_wrapped = begin >> self.size_bits != last >> self.size_bits;
        let next = if is_wrapped { (last & !(size - 1)).wrapping_add(len) } else { end };
        self.push_tail(next.wrapping_sub(size));
        self.head_lpos = next;
        self.put(begin, &id.to_le_bytes());
        let at = if is_wrapped { 0 } else { begin };
        self.put(at, &id.to_le_bytes());
        self.put(at + ID_LEN, text);
        (begin, next)
    }

    /// Drops texts until the oldest begins at `until` or later (`data_push_tail`).
    fn push_tail(&mut self, until: u64) {
        while (until.wrapping_sub(self.tail_lpos) as i64) > 0 {
            let at = (self.tail_lpos & ((1 << self.size_bits) - 1)) as usize;
            if self.tail_lpos == self.head_lpos {
                // The ring is empty: the first texts of the first round.
                self.tail_lpos = until;
                return;
            }
            let mut word = [0; 8];
            word.copy_from_slice(&self.text[at..][..8]);
            let id = u64::from_le_bytes(word);
            let next = self.descriptor(id).next;
            self.set_state(id, REUSABLE);
            self.tail_lpos = next;
        }
    }

    fn put(&mut self, lpos: u64, bytes: &[u8]) {
        let at = (lpos & ((1 << self.size_bits) - 1)) as usize;
        self.text[at..][..bytes.len()].copy_from_slice(bytes);
    }

    fn slot(&mut self, id: u64) -> &mut Descriptor {
        &mut self.descriptors[(id & ((1 << self.count_bits) - 1)) as usize]
    }

    fn descriptor(&self, id: u64) -> Descriptor {
        self.descriptors[(id & ((1 << self.count_bits) - 1)) as usize]
    }

    fn set_state(&mut self, id: u64, state: u64) {
        self.slot(id).state = state;
    }

    /// The bytes of `struct printk_ringbuffer`.
    pub fn ringbuffer(&self) -> Vec<u8> {
        let mut bytes = vec![0; LAYOUT.ringbuffer_len];
        let mut put = |at: usize, value: &[u8]| bytes[at..][..value.len()].copy_from_slice(value);
        put(LAYOUT.count_bits, &self.count_bits.to_le_bytes());
        put(LAYOUT.size_bits, &self.size_bits.to_le_bytes());
        put(LAYOUT.descs, &self.addresses[0].to_le_bytes());
        put(LAYOUT.infos, &self.addresses[1].to_le_bytes());
        put(LAYOUT.data, &self.addresses[2].to_le_bytes());
        put(LAYOUT.head_id, &self.head_id.to_le_bytes());
        put(LAYOUT.tail_id, &self.tail_id.to_le_bytes());
        put(LAYOUT.head_lpos, &self.head_lpos.to_le_bytes());
        put(LAYOUT.tail_lpos, &self.tail_lpos.to_le_bytes());
        bytes
    }

    /// Everything.
    pub fn memory(&self) -> Memory {
        let descriptors = self.descriptors.iter().flat_map(|descriptor| {
            [descriptor.state << 62 | descriptor.id, descriptor.begin, descriptor.next]
        });
        Memory {
            ringbuffer: self.ringbuffer(),
            descriptors: descriptors.flat_map(u64::to_le_bytes).collect(),
            infos: self.infos.clone(),
            text: self.text.clone(),
        }
    }
}

/// The memory of a ring.
#[derive(Clone)]
pub struct Memory {
    /// `struct printk_ringbuffer`.
    pub ringbuffer: Vec<u8>,
    /// The array of descriptors.
    pub descriptors: Vec<u8>,
    /// The array of infos.
    pub infos: Vec<u8>,
    /// The array of text.
    pub text: Vec<u8>,
}

impl Memory {
    /// All of it.
    pub fn ring(&self) -> Ring<'_> {
        Ring {
            ringbuffer: &self.ringbuffer,
            descriptors: Part::whole(&self.descriptors),
            infos: Part::whole(&self.infos),
            text: Part::whole(&self.text),
        }
    }
}

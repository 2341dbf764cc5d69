//! `[2]` `struct printk_ringbuffer`: the sizes of its arrays, where they are, and where the log
//! begins and ends.

use crate::Layout;
use crate::part::integer;

/// Bits of an id. The other two of `state_var` are the state (`DESC_ID_MASK`).
pub(crate) const ID_MASK: u64 = u64::MAX >> 2;
/// Bytes of the id before each text, which also align the texts (`struct prb_data_block`).
pub(crate) const ID_LEN: u64 = 8;
/// Ids begin `2^count_bits` before this: the kernel negates the count in 32 bits (`DESC0_ID` and
/// `_DESCS_COUNT`, kernel/printk/printk_ringbuffer.h).
pub(crate) const FIRST_IDS_BELOW: u64 = 1 << 32;
/// `log_buf_len=` accepts at most 2 GiB (`LOG_BUF_LEN_MAX`, kernel/printk/printk.c).
const MOST_SIZE_BITS: u64 = 31;

/// The fields of `struct printk_ringbuffer` that a reader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// The arrays of descriptors and infos have `2^count_bits` elements.
    pub count_bits: u32,
    /// Virtual address of the descriptors.
    pub descs: u64,
    /// Virtual address of the infos.
    pub infos: u64,
    /// The newest descriptor's id.
    pub head_id: u64,
    /// The oldest descriptor's id.
    pub tail_id: u64,
    /// The text has `2^size_bits` bytes.
    pub size_bits: u32,
    /// Virtual address of the text.
    pub data: u64,
    /// Where the next text begins, not reduced to the array's length.
    pub head_lpos: u64,
    /// Where the oldest text begins, likewise.
    pub tail_lpos: u64,
}

impl Heads {
    /// Reads the struct. `None` if it is too short, or no ring can have these values.
    pub fn read(layout: &Layout, ringbuffer: &[u8]) -> Option<Self> {
        let word = |at| integer(ringbuffer, at, 8);
        let bits = |at| integer(ringbuffer, at, 4);
        let (count_bits, size_bits) = (bits(layout.count_bits)?, bits(layout.size_bits)?);
        if !(1..=MOST_SIZE_BITS).contains(&size_bits) || !(1..=size_bits).contains(&count_bits) {
            return None;
        }
        let heads = Self {
            count_bits: count_bits as u32,
            descs: word(layout.descs)?,
            infos: word(layout.infos)?,
            head_id: word(layout.head_id)?,
            tail_id: word(layout.tail_id)?,
            size_bits: size_bits as u32,
            data: word(layout.data)?,
            head_lpos: word(layout.head_lpos)?,
            tail_lpos: word(layout.tail_lpos)?,
        };
        let aligned =
            [heads.head_lpos, heads.tail_lpos].iter().all(|lpos| lpos.is_multiple_of(ID_LEN));
        // Before the first record, both have the id before the first.
        let ids = [heads.head_id, heads.tail_id];
        let ids = ids.iter().all(|id| (heads.first_id() - 1..=ID_MASK).contains(id));
        let fits = heads.newer_ids(heads.tail_id) < heads.count()
            && heads.head_lpos.wrapping_sub(heads.tail_lpos) <= heads.size();
        (aligned && ids && fits).then_some(heads)
    }

    /// Descriptors in the array.
    pub fn count(&self) -> u64 {
        1 << self.count_bits
    }

    /// Bytes of text in the array.
    pub fn size(&self) -> u64 {
        1 << self.size_bits
    }

    /// How many ids are newer than this one.
    pub(crate) fn newer_ids(&self, id: u64) -> u64 {
        self.head_id.wrapping_sub(id) & ID_MASK
    }

    /// The sequence number of the record with this id.
    pub(crate) fn seq(&self, id: u64) -> u64 {
        id.wrapping_sub(self.first_id()) & ID_MASK
    }

    /// The id of the record with the number 0 ("Hack #1" in printk_ringbuffer.h).
    fn first_id(&self) -> u64 {
        FIRST_IDS_BELOW - self.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::{LAYOUT, Writer};

    #[test]
    fn empty_ring_has_its_first_heads() {
        let writer = Writer::new(4, 10);
        let heads = Heads::read(&LAYOUT, &writer.ringbuffer()).unwrap();
        assert_eq!((heads.count(), heads.size()), (16, 1024));
        assert_eq!((heads.head_id, heads.tail_id), (0xffff_ffef, 0xffff_ffef));
        assert_eq!(heads.seq(heads.head_id + 1), 0);
    }

    #[test]
    fn impossible_heads_are_refused() {
        let good = Writer::new(4, 10).ringbuffer();
        for (at, value) in [
            (LAYOUT.count_bits, 0),
            (LAYOUT.count_bits, 11),
            (LAYOUT.size_bits, 32),
            (LAYOUT.head_lpos, 4),
            (LAYOUT.tail_lpos, 1 << 20),
            (LAYOUT.head_id, 7),
            (LAYOUT.tail_id, 0xffff_ffee),
            (LAYOUT.head_id, u64::MAX),
        ] {
            let mut bytes = good.clone();
            let len = if at == LAYOUT.count_bits || at == LAYOUT.size_bits { 4 } else { 8 };
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
            assert_eq!(Heads::read(&LAYOUT, &bytes), None, "{at}: {value}");
        }
        assert_eq!(Heads::read(&LAYOUT, &good[..LAYOUT.tail_lpos + 7]), None);
    }
}

//! `[3]` Descriptors, infos and text become records.
//!
//! A ring that was partly overwritten can keep a descriptor over foreign text. So a record counts
//! only if all of these hold:
//!
//! * the descriptor has the id of its place, and its writer had finished it
//! * the info has the sequence number that belongs to this id, and is not zeroed
//! * the word before the text is this id
//! * the word after the text is the id of the next text, whose descriptor agrees
//!
//! What overwrites memory after a reset is larger than a text. If it covers a part of a text, then
//! it covers one of the two words. These changes are not noticed: a few bytes inside a text; the
//! end of the newest text in a ring that was never full, and of a text before one that a stopped CPU
//! was writing; time, level and length in an info of which only the end was overwritten.

use std::collections::HashMap;

use crate::heads::{Heads, ID_LEN, ID_MASK};
use crate::part::{Part, integer};
use crate::{Layout, text_only};

/// Place of the state in `state_var` (`DESC_FLAGS_SHIFT`).
const STATE_SHIFT: u32 = 62;
/// States of a descriptor (`enum desc_state`).
const RESERVED: u64 = 0;
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;
/// `text_blk_lpos` of an empty line (`NO_LPOS`, later `EMPTY_LINE_LPOS`).
const EMPTY_LINE: u64 = 3;
/// A remainder of the oldest text is shorter than the longest text (`PRINTKRB_RECORD_MAX`, 1024
/// bytes). A longer one means that the ring has never been full.
const LARGEST_REMAINDER: u64 = 1032;

/// A copy of a printk ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring<'a> {
    /// `struct printk_ringbuffer`.
    pub ringbuffer: &'a [u8],
    /// Descriptors.
    pub descriptors: Part<'a>,
    /// Infos.
    pub infos: Part<'a>,
    /// Text.
    pub text: Part<'a>,
}

/// A decoded log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The oldest first.
    pub entries: Vec<Entry>,
    /// The descriptors were lost, so times are unknown, and each text may have foreign bytes at its
    /// end.
    pub text_only: bool,
}

/// One place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record that is as the kernel wrote it.
    Record(Record),
    /// Text whose descriptor was lost.
    Text {
        /// The text.
        text: Vec<u8>,
    },
    /// A record that is not shown.
    Damaged {
        /// Sequence number.
        seq: u64,
        /// Why.
        damage: Damage,
    },
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Sequence number.
    pub seq: u64,
    /// Nanoseconds since boot.
    pub time: u64,
    /// syslog level, 0 to 7, if the layout is one that this crate knows.
    pub level: Option<u8>,
    /// syslog facility, likewise.
    pub facility: Option<u8>,
    /// Thread, or CPU if the highest bit is set (`printk_caller_id`).
    pub caller: u32,
    /// The text, without a final line feed.
    pub text: Vec<u8>,
}

/// Why a record is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The descriptor has another id.
    Descriptor,
    /// The writer had not finished.
    Unfinished,
    /// The info belongs to another record, or has a text length that does not fit.
    Info,
    /// The text is in no place that the kernel would choose.
    Position,
    /// The word before the text is another id.
    Text,
    /// The word after the text is not the id of the next text.
    Next,
    /// The kernel had no room for the text.
    NotStored,
    /// The copy does not have this part of the ring.
    NotCopied,
}

impl Damage {
    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Descriptor => "the descriptor was overwritten",
            Self::Unfinished => "the writer had not finished",
            Self::Info => "the time and the length were overwritten",
            Self::Position => "the position of the text was overwritten",
            Self::Text | Self::Next => "the text was overwritten",
            Self::NotStored => "the kernel had no room for the text",
            Self::NotCopied => "the copy ends before it",
        }
    }
}

/// A descriptor with the id of its place.
struct Descriptor {
    id: u64,
    state: u64,
    begin: u64,
    next: u64,
}

/// Decodes a ring. If nothing but its text survived, the text alone.
pub fn decode(layout: &Layout, ring: &Ring<'_>) -> Log {
    let heads = Heads::read(layout, ring.ringbuffer);
    let log = heads.map(|heads| by_descriptors(layout, ring, &heads)).unwrap_or_default();
    if log.records().next().is_some() {
        return log;
    }
    let bare = text_only::decode(ring.text, heads.as_ref());
    if bare.entries.is_empty() { log } else { bare }
}

impl Log {
    /// The intact records.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Record(record) => Some(record),
            _ => None,
        })
    }

    /// The texts of intact records and of those without a descriptor.
    pub fn texts(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Record(Record { text, .. }) | Entry::Text { text, .. } => Some(&**text),
            Entry::Damaged { .. } => None,
        })
    }

    /// How many records are not shown.
    pub fn damaged(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Damaged { .. })).count()
    }
}

fn by_descriptors(layout: &Layout, ring: &Ring<'_>, heads: &Heads) -> Log {
    // Ids that the part can have: at most its descriptors, and those end at the head.
    let held = (ring.descriptors.bytes.len() / layout.desc_len) as u64;
    let used = heads.newer_ids(heads.tail_id) + 1;
    let ids = (0..used.min(held)).rev().map(|newer| heads.head_id.wrapping_sub(newer) & ID_MASK);
    let found: Vec<_> = ids.map(|id| (id, descriptor(layout, ring, heads, id))).collect();
    let mut begins = HashMap::new();
    for descriptor in found.iter().filter_map(|(_, descriptor)| descriptor.as_ref().ok()) {
        begins.insert(descriptor.begin, descriptor);
    }
    let mut entries = Vec::new();
    for (id, descriptor) in &found {
        let seq = heads.seq(*id);
        let record = match descriptor {
            Ok(descriptor) => record(layout, ring, heads, descriptor, &begins),
            // The kernel has reused the text's memory. The record is old, not damaged.
            Err(None) => continue,
            Err(Some(damage)) => Err(*damage),
        };
        entries.push(match record {
            Ok(record) => Entry::Record(record),
            Err(damage) => Entry::Damaged { seq, damage },
        });
    }
    Log { entries, text_only: false }
}

/// The descriptor with this id. `Err(None)`: its record is no longer in the log.
fn descriptor(
    layout: &Layout,
    ring: &Ring<'_>,
    heads: &Heads,
    id: u64,
) -> Result<Descriptor, Option<Damage>> {
    let bytes = ring
        .descriptors
        .get(id, 1, layout.desc_len, heads.count_bits)
        .ok_or(Some(Damage::NotCopied))?;
    let word = |at| integer(bytes, at, 8).ok_or(Some(Damage::NotCopied));
    let (state, begin, next) = (word(layout.state)?, word(layout.begin)?, word(layout.next)?);
    if state & ID_MASK != id {
        return Err(Some(Damage::Descriptor));
    }
    match state >> STATE_SHIFT {
        state @ (RESERVED | COMMITTED | FINALIZED) => Ok(Descriptor { id, state, begin, next }),
        _ => Err(None),
    }
}

fn record(
    layout: &Layout,
    ring: &Ring<'_>,
    heads: &Heads,
    descriptor: &Descriptor,
    begins: &HashMap<u64, &Descriptor>,
) -> Result<Record, Damage> {
    if descriptor.state == RESERVED {
        return Err(Damage::Unfinished);
    }
    let info = ring
        .infos
        .get(descriptor.id, 1, layout.info_len, heads.count_bits)
        .ok_or(Damage::NotCopied)?;
    let field = |at, len| integer(info, at, len).ok_or(Damage::NotCopied);
    let seq = field(layout.seq, 8)?;
    if seq != heads.seq(descriptor.id) {
        return Err(Damage::Info);
    }
    let text_len = field(layout.text_len, 2)?;
    // A zeroed info has the number 0. The first record has a text: it is the kernel's version.
    if seq == 0 && text_len == 0 && descriptor.begin & 1 == 0 {
        return Err(Damage::Info);
    }
    let text = text(ring, heads, descriptor, begins)?;
    let text = text.get(..text_len as usize).ok_or(Damage::Info)?;
    let (mut facility, mut level) = (None, None);
    if let Some(at) = layout.facility() {
        facility = Some(field(at, 1)? as u8);
        // `u8 flags:5, level:3`, from the lowest bit.
        level = Some((field(at + 1, 1)? >> 5) as u8);
    }
    Ok(Record {
        seq,
        time: field(layout.time, 8)?,
        level,
        facility,
        caller: field(layout.caller, 4)? as u32,
        text: text.to_vec(),
    })
}

/// The text of a descriptor, with what its writer reserved after it.
fn text<'a>(
    ring: &Ring<'a>,
    heads: &Heads,
    descriptor: &Descriptor,
    begins: &HashMap<u64, &Descriptor>,
) -> Result<&'a [u8], Damage> {
    let &Descriptor { begin, next, .. } = descriptor;
    if begin & 1 == 1 && next & 1 == 1 {
        return if begin == EMPTY_LINE && next == EMPTY_LINE {
            Ok(&[])
        } else {
            Err(Damage::NotStored)
        };
    }
    let (size, bits) = (heads.size(), heads.size_bits);
    let used = heads.head_lpos.wrapping_sub(heads.tail_lpos);
    let (from, len) = (begin.wrapping_sub(heads.tail_lpos), next.wrapping_sub(begin));
    if !begin.is_multiple_of(ID_LEN)
        || !next.is_multiple_of(ID_LEN)
        || from >= used
        || len > used - from
    {
        return Err(Damage::Position);
    }
    let wraps = |position: u64| position >> bits;
    // A block that would cross the array's end is at the array's start instead (`get_data`).
    // Older kernels also move a block that would end exactly there; newer ones do not.
    let (at, len) = if wraps(begin) == wraps(next.wrapping_sub(1)) {
        (begin, len)
    } else {
        (0, next & (size - 1))
    };
    if len < ID_LEN {
        return Err(Damage::Position);
    }
    let word = |at| {
        let bytes = ring.text.get(at, ID_LEN, 1, bits).ok_or(Damage::NotCopied)?;
        integer(bytes, 0, ID_LEN as usize).ok_or(Damage::NotCopied)
    };
    if word(at)? != descriptor.id || word(begin)? != descriptor.id {
        return Err(Damage::Text);
    }
    // After the newest text the ring has a remainder of old text, and then the oldest text.
    let after = if next != heads.head_lpos {
        Some(next)
    } else {
        (size - used <= LARGEST_REMAINDER).then_some(heads.tail_lpos)
    };
    if let Some(after) = after {
        let following = begins.get(&after).ok_or(Damage::Next)?;
        // An unfinished writer may not have written the word yet.
        if following.state != RESERVED && word(after)? != following.id {
            return Err(Damage::Next);
        }
    }
    let text = ring.text.get(at + ID_LEN, len - ID_LEN, 1, bits);
    text.ok_or(Damage::NotCopied)
}

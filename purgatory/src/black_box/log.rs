//! `[4c]` The kernel log, copied as it is in memory.
//!
//! *On entry*: the spans are proven, and the seal holds. Their content can be anything. Only the
//! two heads are used, each modulo the size of its ring.
//!
//! *On exit*: each copy is complete and has a header, or has a header of zeroes. Nothing was
//! followed, and no more was copied than the block says.

use handoff::black_box::{LogHeader, LogState, PrintkLog};
use zerocopy::FromZeros;

use crate::received::black_box::{Array, Log};

/// Bytes of a copy's header.
const HEADER_LEN: u64 = size_of::<LogHeader>() as u64;

/// Physical memory, by address.
pub trait Physical {
    /// Copies bytes, lowest first. Returns false if reading or writing them raised an exception.
    fn copy(&mut self, from: u64, to: u64, len: u64) -> bool;
    /// The eight bytes at an address in a copy.
    fn word(&mut self, at: u64) -> u64;
    /// Writes a header to the start of a copy.
    fn write_header(&mut self, at: u64, header: &LogHeader);
}

/// A part of an array: where it starts in the kernel's memory, and its bytes.
pub type Piece = (u64, u64);

/// The elements of a ring that end at its head: the index of the first of them, and their pieces in
/// order. The second piece is empty unless they wrap.
pub fn kept(array: &Array, past_newest: u64) -> (u64, [Piece; 2]) {
    let Array { span, element_len, elements, kept } = *array;
    // The number of elements is a power of two, so counters that wrap at 2^64 are in step with it.
    let first = past_newest.wrapping_sub(kept) & (elements - 1);
    let before_end = kept.min(elements - first);
    let pieces = [
        (span.start() + first * element_len, before_end * element_len),
        (span.start(), (kept - before_end) * element_len),
    ];
    (first, pieces)
}

/// Copies the log to each of its places. `alleged` is the same as `log`, as it goes into the
/// header.
pub fn copy(
    log: &Log,
    alleged: &PrintkLog,
    generation: u64,
    memory: &mut impl Physical,
) -> LogState {
    // An older copy must not pass for one of this run.
    log.copies().for_each(|copy| memory.write_header(copy.start(), &LogHeader::new_zeroed()));
    for copy in log.copies() {
        let Some(mut header) = copy_to(copy.start(), log, memory) else { return LogState::Failed };
        header.generation = generation.into();
        header.log = *alleged;
        header.close();
        memory.write_header(copy.start(), &header);
    }
    LogState::Copied
}

/// Copies all that follows the header of one copy. Returns the header, in which generation and log
/// are missing.
fn copy_to(start: u64, log: &Log, memory: &mut impl Physical) -> Option<LogHeader> {
    let ringbuffer = start + HEADER_LEN;
    let mut to = ringbuffer;
    let mut append = |memory: &mut _, (from, len): Piece| {
        let whole = Physical::copy(memory, from, to, len);
        to += len;
        whole.then_some(())
    };
    append(memory, (log.ringbuffer.start(), log.ringbuffer.len()))?;
    // From the copy, because reading it raises no exception.
    let past_descriptors = memory.word(ringbuffer + log.head_id).wrapping_add(1);
    let past_text = memory.word(ringbuffer + log.head_lpos);
    let (first_descriptor, descriptors) = kept(&log.descriptors, past_descriptors);
    let (_, infos) = kept(&log.infos, past_descriptors);
    let (first_text, text) = kept(&log.text, past_text);
    for &piece in [descriptors, infos, text].as_flattened() {
        append(memory, piece)?;
    }
    let mut header = LogHeader::blank();
    header.first_descriptor = (first_descriptor as u32).into();
    header.first_text = (first_text as u32).into();
    Some(header)
}

#[cfg(test)]
mod tests;

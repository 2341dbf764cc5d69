//! `[5a]` What is being read, so that a machine check can name the place that was being verified.
//!
//! A machine check belongs to no instruction, and several leaves are hashed at once. So the answer
//! is every span in work. If this program read the memory that failed, one of them contains it.
//!
//! *On entry*: any value that a stray write left; call [`Reading::clear`] first.
//!
//! *On exit*: [`Reading::spans`] can be called at any time, also from an exception's handler.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use digest::engine::MAX_STREAMS;
use handoff::{Block, PhysSpan, RegionKind};

/// What this program is reading.
pub static READING: Reading = Reading::new();

/// The number of a span that is no leaf: the leaf table, a zero tail, the elfcorehdr. Only one of
/// them is read at a time.
pub const NO_LEAF: u64 = u64::MAX - 1;

/// Spans of physical memory in work, at most one for each stream of an engine.
#[derive(Debug)]
pub struct Reading([Slot; MAX_STREAMS]);

/// One span. Atomic, because an exception's handler may interrupt at any instruction. On this CPU
/// these are plain moves.
#[derive(Debug)]
struct Slot {
    /// The span's number plus one, or 0 if the slot is free.
    taken: AtomicU64,
    start: AtomicU64,
    end: AtomicU64,
}

impl Reading {
    /// Nothing is being read.
    #[allow(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Self {
        Self(
            [const {
                Slot { taken: AtomicU64::new(0), start: AtomicU64::new(0), end: AtomicU64::new(0) }
            }; MAX_STREAMS],
        )
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.iter().for_each(|slot| slot.taken.store(0, Ordering::Relaxed));
    }

    /// Reading of `span` begins. `number` must differ from those of other spans in work.
    #[inline(never)] // once for all callers
    pub fn begin(&self, number: u64, span: Range<u64>) {
        if let Some(slot) = self.0.iter().find(|slot| slot.taken.load(Ordering::Relaxed) == 0) {
            slot.start.store(span.start, Ordering::Relaxed);
            slot.end.store(span.end, Ordering::Relaxed);
            slot.taken.store(number + 1, Ordering::Release);
        }
    }

    /// Reading of span `number` ends. Returns the span.
    #[inline(never)] // once for all callers
    pub fn end(&self, number: u64) -> Range<u64> {
        let slot = self.0.iter().find(|slot| slot.taken.load(Ordering::Relaxed) == number + 1);
        slot.map_or(0..0, |slot| {
            slot.taken.store(0, Ordering::Relaxed);
            slot.span()
        })
    }

    /// What is in work.
    pub fn spans(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().filter(|slot| slot.taken.load(Ordering::Acquire) != 0).map(Slot::span)
    }
}

impl Slot {
    fn span(&self) -> Range<u64> {
        self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)
    }
}

/// The name of what is at a physical address, according to `block`.
pub fn name_at(block: &Block, address: u64) -> &'static str {
    let holds = |start: u64, len: u64| address.wrapping_sub(start) < len;
    let within = |span: &PhysSpan| holds(span.start.get(), span.len.get());
    let region =
        block.regions.iter().find(|region| holds(region.start.get(), region.mem_len.get()));
    match region.and_then(|region| RegionKind::from_wire(region.kind.get())) {
        Some(kind) => kind.name(),
        None if within(&block.elfcorehdr) => "elfcorehdr",
        None if within(&block.leaf_table) => "leaf-table",
        None => "memory",
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::received::tests::good_block;
    use std::vec::Vec;

    #[test]
    fn spans_in_work_are_those_that_began_and_did_not_end() {
        let reading = Reading::new();
        assert_eq!(reading.spans().count(), 0);
        reading.begin(0, 0x1000..0x2000);
        reading.begin(1, 0x2000..0x3000);
        assert_eq!(reading.end(0), 0x1000..0x2000);
        // A long leaf stays in work while others come and go.
        for number in 2..20 {
            reading.begin(number, number..number + 1);
            assert_eq!(reading.end(number), number..number + 1);
        }
        reading.begin(20, 0x9000..0x9001);
        let mut spans: Vec<_> = reading.spans().map(|span| span.start).collect();
        spans.sort_unstable();
        assert_eq!(spans, [0x2000, 0x9000]);
        reading.clear();
        assert_eq!(reading.spans().count(), 0);
    }

    #[test]
    fn every_stream_has_a_slot() {
        let reading = Reading::new();
        for number in 0..MAX_STREAMS as u64 {
            reading.begin(number, number..number + 1);
        }
        assert_eq!(reading.spans().count(), MAX_STREAMS);
    }

    #[test]
    fn addresses_are_named_by_the_block() {
        let block = good_block();
        for region in &block.regions[..block.region_count.get() as usize] {
            let kind = RegionKind::from_wire(region.kind.get()).unwrap();
            let (first, past) = (region.start.get(), region.start.get() + region.mem_len.get());
            assert_eq!(
                (name_at(&block, first), name_at(&block, past - 1)),
                (kind.name(), kind.name())
            );
        }
        assert_eq!(name_at(&block, block.elfcorehdr.start.get()), "elfcorehdr");
        assert_eq!(name_at(&block, block.leaf_table.start.get()), "leaf-table");
        assert_eq!(name_at(&block, 0), "memory");
    }
}

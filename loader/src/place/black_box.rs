//! `[5a]` Where the black box goes: record pages and copies of the kernel log, in memory that the
//! image leaves free.
//!
//! *On entry*
//! * every segment has its place.
//!
//! *On exit*
//! * up to four record pages near 0, ¼, ½ and ¾ of the region, and up to two places for the log
//!   near ¼ and ¾. None is in a segment, in the hole for control pages, or in the last 16 MiB of
//!   the crash region, and none overlap.
//!
//! A reset keeps most memory, and overwrites the rest in one piece: where the next kernel is
//! decompressed, and the top of memory, which firmware and boot loader use. So the pages are as far
//! apart as the image lets them be, and fewer if it leaves no room. A load never fails for them.

use handoff::PAGE_SIZE;
use handoff::black_box::{MAX_LOG_COPIES, MAX_RECORDS};

use super::Placed;
use crate::phys::{PhysRange, align_up, subtract};

/// Bytes at the end of the crash region that are often overwritten at boot: about 10 MiB on
/// machines of 4 GiB, by firmware and boot loader.
const SPOILED_AT_THE_END: u64 = 16 << 20;

/// What the black box needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Bytes of one copy of the kernel log; `None` if it is not kept.
    pub log_copy: Option<u64>,
    /// Bytes that the capture kernel needs in addition to its image. Copies of the log must leave
    /// them.
    pub room_to_run: u64,
}

/// The memory of the black box. All in whole pages, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Record pages.
    pub records: Vec<PhysRange>,
    /// Places for copies of the kernel log, all of the same length.
    pub log_copies: Vec<PhysRange>,
}

impl Reserved {
    /// All of it.
    pub fn ranges(&self) -> impl Iterator<Item = PhysRange> + '_ {
        self.records.iter().chain(&self.log_copies).copied()
    }
}

/// Chooses the memory. `placed` is what the image takes of its room, and `crash_region` is all that
/// the capture kernel gets.
pub(crate) fn reserve(needs: &Needs, placed: &Placed, crash_region: PhysRange) -> Reserved {
    let room = placed.crash_region;
    let end = room.end().min(crash_region.end().saturating_sub(SPOILED_AT_THE_END));
    let Some(usable) = whole_pages(room.start(), end) else { return Reserved::default() };
    let segments = placed.segments();
    let taken: Vec<PhysRange> = segments.iter().copied().chain([placed.hole]).collect();
    let free = subtract(&[usable], &taken);

    let quarter = room.len() / 4;
    let at = |quarters: u64| room.start() + quarters * quarter;
    let targets: [u64; MAX_RECORDS] = [at(0), at(1), at(2), at(3)];
    let records = spread(&free, PAGE_SIZE, &targets, quarter / 2);

    let free = subtract(&free, &records);
    let len = needs.log_copy.and_then(|len| align_up(len, PAGE_SIZE));
    let used: u64 = segments.iter().chain(&records).map(|range| range.len()).sum();
    let spare = crash_region.len().saturating_sub(used).saturating_sub(needs.room_to_run);
    let log_copies = len.map_or_else(Vec::new, |len| {
        let targets: [u64; MAX_LOG_COPIES] = [at(1), at(3)];
        let affordable = targets.len().min((spare / len) as usize);
        spread(&free, len, &targets[..affordable], quarter)
    });
    Reserved { records, log_copies }
}

/// The whole pages between two addresses, if there are any.
fn whole_pages(start: u64, end: u64) -> Option<PhysRange> {
    let range = PhysRange::new(align_up(start, PAGE_SIZE)?, end / PAGE_SIZE * PAGE_SIZE)?;
    Some(range).filter(|range| !range.is_empty())
}

/// Ranges of `len` bytes in `free`, one for each target as far as there is room.
///
/// First each target gets the nearest range, if that is at least `apart` from the others. Then the
/// range that is farthest from all others is added until there are enough. If that ends too early,
/// because the first ranges are in the way, it begins at both ends of the free memory instead.
fn spread(free: &[PhysRange], len: u64, targets: &[u64], apart: u64) -> Vec<PhysRange> {
    // The lowest and the highest start in each free range.
    let starts: Vec<(u64, u64)> = free
        .iter()
        .filter(|range| range.len() >= len)
        .map(|range| (range.start(), range.end() - len))
        .collect();
    let apart = apart.max(len);
    let mut chosen: Vec<u64> = Vec::with_capacity(targets.len());
    for &target in targets {
        let target = target / PAGE_SIZE * PAGE_SIZE;
        let near = starts.iter().map(|&(lowest, highest)| target.clamp(lowest, highest));
        let nearest = near.min_by_key(|start| start.abs_diff(target));
        chosen.extend(nearest.filter(|&start| distance(&chosen, start) >= apart));
    }
    fill(&starts, &mut chosen, len, targets.len());
    if chosen.len() < targets.len() {
        let ends = [starts.first().map(|first| first.0), starts.last().map(|last| last.1)];
        let mut from_the_ends = Vec::new();
        for start in ends.into_iter().take(targets.len()).flatten() {
            from_the_ends.extend((distance(&from_the_ends, start) >= len).then_some(start));
        }
        fill(&starts, &mut from_the_ends, len, targets.len());
        chosen = if from_the_ends.len() > chosen.len() { from_the_ends } else { chosen };
    }
    chosen.sort_unstable();
    let range = |start| PhysRange::with_len(start, len).expect("inside a free range");
    chosen.into_iter().map(range).collect()
}

/// Adds the start that is farthest from all chosen ones until there are `wanted`, or until no range
/// of `len` is free.
fn fill(starts: &[(u64, u64)], chosen: &mut Vec<u64>, len: u64, wanted: usize) {
    while chosen.len() < wanted {
        chosen.sort_unstable();
        let farthest = candidates(starts, chosen).max_by_key(|&start| distance(chosen, start));
        match farthest {
            Some(start) if distance(chosen, start) >= len => chosen.push(start),
            _ => return,
        }
    }
}

/// Bytes from `start` to the nearest of the chosen starts.
fn distance(chosen: &[u64], start: u64) -> u64 {
    chosen.iter().map(|other| other.abs_diff(start)).min().unwrap_or(u64::MAX)
}

/// The starts of which one is the farthest from all chosen ones: the ends of every free range, and
/// the middle between two neighbors, or what is nearest to it.
fn candidates<'a>(starts: &'a [(u64, u64)], chosen: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    let middles = chosen.windows(2).map(|pair| pair[0].midpoint(pair[1]) / PAGE_SIZE * PAGE_SIZE);
    let middles: Vec<u64> = middles.collect();
    starts.iter().flat_map(move |&(lowest, highest)| {
        let nearest: Vec<u64> =
            middles.iter().map(|middle| *middle.clamp(&lowest, &highest)).collect();
        [lowest, highest].into_iter().chain(nearest)
    })
}

#[cfg(test)]
mod tests;

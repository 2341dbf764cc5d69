//! `[4]` The text ring alone: what remains if the descriptors were lost.
//!
//! Each text begins with its id, and ids ascend. So the ids are found as a chain of words. Times,
//! levels and lengths are lost; a text ends where it stops being text.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::decode::{Entry, Log};
use crate::heads::{FIRST_IDS_BELOW, Heads, ID_LEN, ID_MASK};
use crate::part::{Part, integer};

/// Ids of consecutive texts differ by one, or by more if records between them have no text. CPUs
/// that print at the same time can exchange neighbors.
const FORWARD: u64 = 64;
const BACKWARD: u64 = 16;
/// Words that form a chain by chance form a short one.
const SHORTEST_CHAIN: usize = 4;
/// The bytes that a writer reserved and did not use can have an id of an earlier round.
const OPEN_CHAINS: usize = 8;
/// Ids without heads: no ring has more than 2^31 descriptors, and no log more than 2^32 records.
const IDS: Range<u64> = FIRST_IDS_BELOW - (1 << 31)..2 * FIRST_IDS_BELOW;
/// Longest text that a writer reserves (`PRINTKRB_RECORD_MAX`, kernel/printk/internal.h).
const LONGEST: usize = 1024;

/// An id, and where its text begins in the part.
#[derive(Clone, Copy)]
struct Found {
    id: u64,
    text: usize,
}

/// Finds the texts. `heads` bound the ids if they are known.
pub(crate) fn decode(text: Part<'_>, heads: Option<&Heads>) -> Log {
    let plausible = |id: u64| match heads {
        Some(heads) => id <= ID_MASK && heads.newer_ids(id) < heads.count(),
        None => IDS.contains(&id),
    };
    let words = (0..text.bytes.len() / ID_LEN as usize).map(|word| word * ID_LEN as usize);
    let candidates = words.filter_map(|at| {
        let id = integer(text.bytes, at, ID_LEN as usize).filter(|&id| plausible(id))?;
        Some(Found { id, text: at + ID_LEN as usize })
    });
    let mut chains: Vec<Vec<Found>> = Vec::new();
    for found in candidates {
        let open = chains.len().saturating_sub(OPEN_CHAINS);
        match chains[open..].iter_mut().rev().find(|chain| follows(chain, found.id)) {
            Some(chain) => chain.push(found),
            None => chains.push(vec![found]),
        }
    }
    let chains = without_stale(chains);
    let mut texts: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut found: Vec<_> = chains.into_iter().flatten().collect();
    found.sort_by_key(|found| found.text);
    for (index, Found { id, text: start }) in found.iter().enumerate() {
        let next =
            found.get(index + 1).map_or(text.bytes.len(), |next| next.text - ID_LEN as usize);
        let end = next.min(start + LONGEST);
        texts.push((*id, until_no_text(&text.bytes[*start..end]).to_vec()));
    }
    // A block that wraps has its id twice: at the array's end, without text, and at its start.
    texts.retain(|(_, text)| !text.is_empty());
    texts.sort_by_key(|(id, _)| *id);
    texts.dedup_by_key(|(id, _)| *id);
    let entries = texts.into_iter().map(|(_, text)| Entry::Text { text }).collect();
    Log { entries, text_only: true }
}

/// The chains that are long enough. Of two in the same memory, the shorter consists of stale ids.
fn without_stale(chains: Vec<Vec<Found>>) -> Vec<Vec<Found>> {
    let mut by_length = chains;
    by_length.sort_by_key(|chain| std::cmp::Reverse(chain.len()));
    let mut taken = BTreeMap::new();
    for chain in by_length {
        let (start, end) = (chain[0].text, end(&chain));
        let before = taken.range(..=end).next_back();
        if before.is_none_or(|(_, chain): (_, &Vec<Found>)| self::end(chain) < start) {
            taken.insert(start, chain);
        }
    }
    let mut kept: Vec<_> = taken.into_values().collect();
    // The chain at the array's end goes on at its start, so together they may be long enough.
    let is_closed = match &kept[..] {
        [first, .., last] => last.len() + first.len() >= SHORTEST_CHAIN && goes_on(last, first),
        _ => false,
    };
    let last = kept.len().wrapping_sub(1);
    let mut index = 0;
    kept.retain(|chain| {
        let is_edge = index == 0 || index == last;
        index += 1;
        chain.len() >= SHORTEST_CHAIN || is_closed && is_edge
    });
    kept
}

/// Where the last text of a chain begins.
fn end(chain: &[Found]) -> usize {
    chain.last().map_or(0, |found| found.text)
}

fn follows(chain: &[Found], id: u64) -> bool {
    let Some(last) = chain.last() else { return false };
    let ahead = id.wrapping_sub(last.id) & ID_MASK;
    let back = last.id.wrapping_sub(id) & ID_MASK;
    (1..=FORWARD).contains(&ahead) || (1..=BACKWARD).contains(&back)
}

/// Whether a chain at the array's end goes on at its start. A block that wraps has its id at both.
fn goes_on(last: &[Found], first: &[Found]) -> bool {
    let (Some(end), Some(start)) = (last.last(), first.first()) else { return false };
    end.id == start.id || follows(last, start.id)
}

/// The bytes before the first that belongs to no text.
fn until_no_text(bytes: &[u8]) -> &[u8] {
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let is_text = |char: char| char == '\n' || char == '\t' || !char.is_control();
    let end = valid.find(|char| !is_text(char)).unwrap_or(valid.len());
    &valid.as_bytes()[..end]
}

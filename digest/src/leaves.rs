//! Many leaves, as many at a time as the engine has streams.
//!
//! *On entry*: leaves of any length.
//!
//! *On exit*: every leaf's digest was passed on exactly once, with the leaf's position. Leaves that
//! started together may end in any order. A stream that finishes takes the next leaf at once, also
//! from the next segment, so borders between segments cost nothing.

use crate::constants::{INITIAL, digest_of, pad};
use crate::engine::{Engine, MAX_STREAMS};
use crate::{Block, Digest, State};

/// A leaf on its way through a stream: first its own blocks, then its padding.
#[derive(Clone, Copy)]
struct Lane<'a> {
    position: usize,
    blocks: &'a [Block],
    last: [Block; 2],
    last_count: usize,
    last_done: usize,
}

impl<'a> Lane<'a> {
    /// A lane without work.
    const IDLE: Self =
        Self { position: 0, blocks: &[], last: [[0; 64]; 2], last_count: 0, last_done: 0 };

    fn new(position: usize, leaf: &'a [u8]) -> Self {
        let (blocks, rest) = leaf.as_chunks();
        let mut lane = Self { position, blocks, ..Self::IDLE };
        lane.last_count = pad(rest, leaf.len() as u64, &mut lane.last);
        lane
    }

    /// The longest run of blocks that are adjacent in memory.
    fn run(&self) -> &[Block] {
        if self.blocks.is_empty() {
            &self.last[self.last_done..self.last_count]
        } else {
            self.blocks
        }
    }

    fn advance(&mut self, count: usize) {
        if self.blocks.is_empty() {
            self.last_done += count;
        } else {
            self.blocks = &self.blocks[count..];
        }
    }

    fn is_finished(&self) -> bool {
        self.blocks.is_empty() && self.last_done == self.last_count
    }
}

/// Calls `each` with the position and the digest of every leaf.
pub fn digest_leaves<'a>(
    engine: Engine,
    leaves: impl Iterator<Item = &'a [u8]>,
    mut each: impl FnMut(usize, Digest),
) {
    let mut waiting = leaves.enumerate();
    let mut states = [[0; 8]; MAX_STREAMS];
    let mut lanes = [Lane::IDLE; MAX_STREAMS];
    let mut active = 0;
    loop {
        while active < engine.streams() {
            let Some((position, leaf)) = waiting.next() else { break };
            lanes[active] = Lane::new(position, leaf);
            states[active] = INITIAL;
            active += 1;
        }
        if active == 0 {
            return;
        }
        step(engine, &mut states[..active], &mut lanes[..active]);
        for (lane, state) in
            lanes[..active].iter().zip(&states).filter(|(lane, _)| lane.is_finished())
        {
            each(lane.position, digest_of(state));
        }
        // Backwards, so that the lane that fills a gap was already checked.
        for index in (0..active).rev() {
            if lanes[index].is_finished() {
                active -= 1;
                lanes.swap(index, active);
                states.swap(index, active);
            }
        }
    }
}

/// Advances all lanes by the length of the shortest run.
fn step(engine: Engine, states: &mut [State], lanes: &mut [Lane<'_>]) {
    let count = lanes.iter().map(|lane| lane.run().len()).min().unwrap_or(0);
    let mut runs: [&[Block]; MAX_STREAMS] = [&[]; MAX_STREAMS];
    for (run, lane) in runs.iter_mut().zip(lanes.iter()) {
        *run = &lane.run()[..count];
    }
    engine.compress(states, &runs[..lanes.len()]);
    for lane in lanes {
        lane.advance(count);
    }
}

//! What is drawn from the seed: the moment of each panic, and the seed of the operations until
//! then. Everything follows from one seed, and is the same for every contestant.

use std::ops::Range;

use sentinel::Numbers;
use serde::{Deserialize, Serialize};

use crate::machine::DEVICE_MEMORY;
use crate::storm::size::BLOCK_MIB;

/// DIMMs that can come and go, one block each.
pub const DIMMS: u32 = 6;
/// CPUs that can come and go.
pub const SPARE_CPUS: u32 = 1;
/// Moments are at most this many microseconds after the event: enough for a dozen operations.
pub const SPAN_US: u64 = 6_000_000;
/// How large a device for virtio-mem can get, in blocks. Its memory follows that of the DIMMs.
pub const VIRTIO_MEM_BLOCKS: u32 = 6;
/// Bytes of a block.
pub const BLOCK: u64 = BLOCK_MIB << 20;

/// One panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// Its number, from 1.
    pub number: u32,
    /// The seed of its operations, which also marks the trigger's note.
    pub seed: u64,
    /// Its moment, in microseconds after the event.
    pub delay_us: u64,
}

/// The first `count` panics of this seed.
pub fn draws(seed: u64, count: u32) -> Vec<Draw> {
    let mut numbers = Numbers::of(seed);
    (1..=count)
        .map(|number| Draw { number, seed: numbers.draw(), delay_us: numbers.draw() % SPAN_US })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The DIMM of this number comes.
    AddDimm(u32),
    RemoveDimm(u32),
    /// A CPU comes and is brought online.
    AddCpu,
    /// It goes, and cannot come again: under TCG, QEMU does not free its place.
    RemoveCpu,
    Offline,
    Online,
    /// virtio-mem grows or shrinks from so many blocks to so many.
    Resize {
        from: u32,
        to: u32,
    },
}

impl Operation {
    pub fn memory(self) -> Option<Range<u64>> {
        match self {
            Self::AddDimm(number) | Self::RemoveDimm(number) => {
                Some(block_at(number)..block_at(number + 1))
            }
            // The driver takes the lowest blocks that are free, and gives the highest back.
            Self::Resize { from, to } => {
                Some(block_at(DIMMS + from.min(to))..block_at(DIMMS + from.max(to)))
            }
            _ => None,
        }
    }
}

/// The address of a block of memory that can come. The DIMMs are first, then virtio-mem.
fn block_at(number: u32) -> u64 {
    DEVICE_MEMORY + u64::from(number) * BLOCK
}

/// What is there, and what is drawn next.
#[derive(Clone, Debug)]
pub struct Operations {
    numbers: Numbers,
    dimms: [bool; DIMMS as usize],
    cpu: Cpu,
    online: bool,
    /// Blocks that virtio-mem has; none without the device.
    virtio_mem: Option<u32>,
}

/// The CPU that can be plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cpu {
    Absent,
    Present,
    Gone,
}

impl Operations {
    /// Operations of this seed; nothing has come yet.
    pub fn of(seed: u64) -> Self {
        Self {
            numbers: Numbers::of(seed),
            dimms: [false; DIMMS as usize],
            cpu: Cpu::Absent,
            online: true,
            virtio_mem: None,
        }
    }

    /// The same on a machine with a device for virtio-mem.
    pub fn with_virtio_mem(seed: u64) -> Self {
        Self { virtio_mem: Some(0), ..Self::of(seed) }
    }

    /// The next operation. The first adds the DIMM whose first block is the event. Memory comes and
    /// goes twice as often as CPUs, and with virtio-mem three times as often.
    pub fn draw(&mut self) -> Operation {
        if self.dimms.iter().all(|plugged| !plugged) {
            return Operation::AddDimm(0);
        }
        let kinds = if self.virtio_mem.is_some() { 8 } else { 6 };
        match (self.numbers.draw() % kinds, self.virtio_mem) {
            (0, _) if self.cpu == Cpu::Absent => Operation::AddCpu,
            (0, _) if self.cpu == Cpu::Present => Operation::RemoveCpu,
            (0 | 1, _) if self.online => Operation::Offline,
            (0 | 1, _) => Operation::Online,
            (6.., Some(from)) => {
                // Any size but the one that it has.
                let other = (self.numbers.draw() % u64::from(VIRTIO_MEM_BLOCKS)) as u32;
                Operation::Resize { from, to: if other < from { other } else { other + 1 } }
            }
            _ => {
                let number = (self.numbers.draw() % u64::from(DIMMS)) as u32;
                if self.dimms[number as usize] {
                    Operation::RemoveDimm(number)
                } else {
                    Operation::AddDimm(number)
                }
            }
        }
    }

    /// Records that it happened. One that is not recorded may be drawn again.
    pub fn done(&mut self, operation: Operation) {
        match operation {
            Operation::AddDimm(number) => self.dimms[number as usize] = true,
            Operation::RemoveDimm(number) => self.dimms[number as usize] = false,
            Operation::AddCpu => self.cpu = Cpu::Present,
            Operation::RemoveCpu => self.cpu = Cpu::Gone,
            Operation::Offline => self.online = false,
            Operation::Online => self.online = true,
            Operation::Resize { to, .. } => self.virtio_mem = Some(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_panics_and_a_longer_series_begins_with_a_shorter_one() {
        let (short, long) = (draws(7, 4), draws(7, 40));
        assert_eq!(short, long[..4]);
        assert_ne!(draws(8, 4), short);
        assert!(long.iter().all(|draw| draw.delay_us < SPAN_US));
        assert_eq!(long.last().unwrap().number, 40);
    }

    #[test]
    fn only_what_is_there_goes_and_everything_comes_and_goes() {
        let mut operations = Operations::of(1);
        let (mut dimms, mut cpu, mut online) = ([false; DIMMS as usize], false, true);
        let mut kinds = std::collections::BTreeSet::new();
        assert_eq!([operations.draw(), operations.draw()], [Operation::AddDimm(0); 2], "rejected");
        for _ in 0..500 {
            let operation = operations.draw();
            let (state, after) = match operation {
                Operation::AddDimm(number) => (&mut dimms[number as usize], true),
                Operation::RemoveDimm(number) => (&mut dimms[number as usize], false),
                Operation::AddCpu => (&mut cpu, true),
                Operation::RemoveCpu => (&mut cpu, false),
                Operation::Offline => (&mut online, false),
                Operation::Online => (&mut online, true),
                Operation::Resize { .. } => unreachable!("there is no virtio-mem"),
            };
            assert_ne!(std::mem::replace(state, after), after, "{operation:?}");
            kinds.insert(format!("{operation:?}").split('(').next().unwrap().to_owned());
            operations.done(operation);
        }
        assert_eq!(kinds.len(), 6);
    }

    #[test]
    fn virtio_mem_takes_every_size_and_its_memory_follows_the_dimms() {
        let mut operations = Operations::with_virtio_mem(1);
        let (mut now, mut sizes) = (0, std::collections::BTreeSet::new());
        for _ in 0..500 {
            let operation = operations.draw();
            if let Operation::Resize { from, to } = operation {
                assert!(from == now && to != from && to <= VIRTIO_MEM_BLOCKS, "{operation:?}");
                let range = operation.memory().unwrap();
                assert_eq!(range.end - range.start, u64::from(from.abs_diff(to)) * BLOCK);
                assert!(range.start >= Operation::AddDimm(DIMMS - 1).memory().unwrap().end);
                now = to;
                sizes.insert(to);
            }
            operations.done(operation);
        }
        assert_eq!(sizes.len(), VIRTIO_MEM_BLOCKS as usize + 1);
    }
}

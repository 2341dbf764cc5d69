//! What is drawn: for each panic its time, and the seed of what comes and goes until then. All of it follows from one seed, and is the same for
//! every contestant.

use sentinel::Numbers;
use serde::{Deserialize, Serialize};

/// DIMMs that can come and go, each of one block.
pub const DIMMS: u32 = 6;
/// CPUs that can come and go.
pub const SPARE_CPUS: u32 = 1;
/// Times are drawn from so many microseconds after the event: enough for a dozen operations.
pub const SPAN_US: u64 = 6_000_000;

/// One panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// Which one it is, from 1.
    pub number: u32,
    /// The seed of its operations; it also marks the trigger's note.
    pub seed: u64,
    /// When it comes, in microseconds after the event.
    pub delay_us: u64,
}

/// The first `count` panics of this seed.
pub fn draws(seed: u64, count: u32) -> Vec<Draw> {
    let mut numbers = Numbers::of(seed);
    (1..=count).map(|number| Draw { number, seed: numbers.draw(), delay_us: numbers.draw() % SPAN_US }).collect()
}

/// Something that comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The DIMM of this number comes.
    AddDimm(u32),
    /// It goes.
    RemoveDimm(u32),
    /// A CPU comes, and is brought online.
    AddCpu,
    /// It goes, for good: its place in QEMU does not become free under TCG.
    RemoveCpu,
    /// The second CPU goes offline.
    Offline,
    /// It comes online.
    Online,
}

/// What is there and what is not, and what is drawn next.
#[derive(Clone, Debug)]
pub struct Operations {
    numbers: Numbers,
    dimms: [bool; DIMMS as usize],
    cpu: Cpu,
    online: bool,
}

/// Where the CPU that can be plugged in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cpu {
    Absent,
    Present,
    Gone,
}

impl Operations {
    /// Nothing has come yet.
    pub fn of(seed: u64) -> Self {
        Self { numbers: Numbers::of(seed), dimms: [false; DIMMS as usize], cpu: Cpu::Absent, online: true }
    }

    /// What comes or goes next. The first is the DIMM whose first block is the event. Memory twice as often as CPUs.
    pub fn draw(&mut self) -> Operation {
        if self.dimms.iter().all(|plugged| !plugged) {
            return Operation::AddDimm(0);
        }
        match self.numbers.draw() % 6 {
            0 if self.cpu == Cpu::Absent => Operation::AddCpu,
            0 if self.cpu == Cpu::Present => Operation::RemoveCpu,
            0 | 1 if self.online => Operation::Offline,
            0 | 1 => Operation::Online,
            _ => {
                let number = (self.numbers.draw() % u64::from(DIMMS)) as u32;
                if self.dimms[number as usize] { Operation::RemoveDimm(number) } else { Operation::AddDimm(number) }
            }
        }
    }

    /// It has happened.
    pub fn done(&mut self, operation: Operation) {
        match operation {
            Operation::AddDimm(number) => self.dimms[number as usize] = true,
            Operation::RemoveDimm(number) => self.dimms[number as usize] = false,
            Operation::AddCpu => self.cpu = Cpu::Present,
            Operation::RemoveCpu => self.cpu = Cpu::Gone,
            Operation::Offline => self.online = false,
            Operation::Online => self.online = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_draws_the_same_panics_and_a_longer_series_begins_with_a_shorter_one() {
        let (short, long) = (draws(7, 4), draws(7, 40));
        assert_eq!(short, long[..4]);
        assert_ne!(draws(8, 4), short);
        assert!(long.iter().all(|draw| draw.delay_us < SPAN_US));
        assert_eq!(long.last().unwrap().number, 40);
    }

    #[test]
    fn nothing_goes_that_is_not_there_and_everything_comes_and_goes() {
        let mut operations = Operations::of(1);
        let (mut dimms, mut cpu, mut online) = ([false; DIMMS as usize], false, true);
        let mut kinds = std::collections::BTreeSet::new();
        for turn in 0..500 {
            let operation = operations.draw();
            match operation {
                Operation::AddDimm(number) => assert!(!std::mem::replace(&mut dimms[number as usize], true)),
                Operation::RemoveDimm(number) => assert!(std::mem::replace(&mut dimms[number as usize], false)),
                Operation::AddCpu => assert!(!std::mem::replace(&mut cpu, true)),
                Operation::RemoveCpu => assert!(std::mem::replace(&mut cpu, false)),
                Operation::Offline => assert!(std::mem::replace(&mut online, false)),
                Operation::Online => assert!(!std::mem::replace(&mut online, true)),
            }
            assert!(turn > 0 || operation == Operation::AddDimm(0));
            kinds.insert(format!("{operation:?}").split('(').next().unwrap().to_owned());
            operations.done(operation);
        }
        assert_eq!(kinds.len(), 6);
    }

    #[test]
    fn what_was_refused_is_drawn_again_sometime() {
        let mut operations = Operations::of(1);
        assert_eq!(operations.draw(), Operation::AddDimm(0));
        assert_eq!(operations.draw(), Operation::AddDimm(0));
    }
}

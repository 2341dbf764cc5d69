//! Readings of /sys/kernel/kexec_crash_loaded, and what follows from them.
//!
//! Between two readings the state is unknown, so a gap in the protection has bounds. It lasts at
//! least from its first reading of 0 to its last. It lasts at most from the last reading of 1
//! before it to the first after it. The record keeps all four times. It also keeps the longest time
//! between two readings: a shorter gap may be unseen.

use serde::{Deserialize, Serialize};

/// Readings so far.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    record: Record,
    last: Option<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at_ns: u64,
    armed: bool,
}

/// What the readings come to. Times are nanoseconds since the poller's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Number of readings.
    pub readings: u64,
    /// Time of the first one.
    pub first_ns: u64,
    /// Time of the last one.
    pub last_ns: u64,
    /// The longest time between two of them.
    pub longest_pause_ns: u64,
    /// When nothing was armed, in order.
    pub gaps: Vec<Gap>,
}

/// A time with nothing armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last reading of 1 before it, or its first reading if there is none.
    pub before_ns: u64,
    /// The first reading of 0.
    pub since_ns: u64,
    /// The last reading of 0.
    pub last_ns: u64,
    /// The first reading of 1 after it, or its last reading if there is none.
    pub until_ns: u64,
}

impl Watch {
    /// Adds a reading. Times ascend.
    pub fn see(&mut self, at_ns: u64, armed: bool) {
        let record = &mut self.record;
        match self.last {
            None => record.first_ns = at_ns,
            Some(last) => {
                record.longest_pause_ns = record.longest_pause_ns.max(at_ns - last.at_ns);
            }
        }
        let was_armed = self.last.is_none_or(|last| last.armed);
        if !armed && was_armed {
            let before_ns = self.last.map_or(at_ns, |last| last.at_ns);
            record.gaps.push(Gap { before_ns, since_ns: at_ns, last_ns: at_ns, until_ns: at_ns });
        } else if let Some(gap) = record.gaps.last_mut().filter(|_| !was_armed) {
            gap.until_ns = at_ns;
            if !armed {
                gap.last_ns = at_ns;
            }
        }
        record.readings += 1;
        record.last_ns = at_ns;
        self.last = Some(Reading { at_ns, armed });
    }

    /// The record.
    pub fn finish(self) -> Record {
        self.record
    }
}

impl Record {
    /// Readings per second; 0 if there are fewer than two.
    pub fn rate_hz(&self) -> f64 {
        let seconds = (self.last_ns - self.first_ns) as f64 / 1e9;
        if seconds > 0.0 { (self.readings - 1) as f64 / seconds } else { 0.0 }
    }

    /// Nanoseconds without protection: each gap from its first reading of 0 to the first reading of
    /// 1. Both ends are late by at most one pause, so the error is less than one pause.
    pub fn unprotected_ns(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.until_ns - gap.since_ns).sum()
    }

    /// The least and the most that these can be, without unseen gaps.
    pub fn bounds_ns(&self) -> (u64, u64) {
        let sum = |len: fn(&Gap) -> u64| self.gaps.iter().map(len).sum();
        (sum(|gap| gap.last_ns - gap.since_ns), sum(|gap| gap.until_ns - gap.before_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(readings: &[(u64, bool)]) -> Record {
        let mut watch = Watch::default();
        readings.iter().for_each(|&(at, armed)| watch.see(at, armed));
        watch.finish()
    }

    #[test]
    fn gaps_are_told_apart_and_bounded_by_the_readings_around_them() {
        let gap =
            |before_ns, since_ns, last_ns, until_ns| Gap { before_ns, since_ns, last_ns, until_ns };
        // One gap; two, each of one reading; one that lasts to the last reading.
        let one = [(10, true), (20, true), (40, false), (50, false), (90, true), (100, true)];
        let two = [(0, true), (1, false), (2, true), (3, false), (7, true)];
        let (one, two, open) = (record(&one), record(&two), record(&[(5, false), (9, false)]));
        assert_eq!(one.gaps, [gap(20, 40, 50, 90)]);
        assert_eq!((one.unprotected_ns(), one.bounds_ns()), (50, (10, 70)));
        assert_eq!(two.gaps, [gap(0, 1, 1, 2), gap(2, 3, 3, 7)]);
        assert_eq!((two.unprotected_ns(), two.bounds_ns()), (5, (0, 7)));
        assert_eq!(open.gaps, [gap(5, 5, 9, 9)]);
        assert_eq!(open.bounds_ns(), (4, 4));
    }

    #[test]
    fn rate_and_longest_pause_are_those_of_the_readings() {
        let record = record(&[(0, true), (50_000, true), (250_000, true), (1_000_000_000, true)]);
        assert_eq!((record.longest_pause_ns, record.readings), (999_750_000, 4));
        assert!((record.rate_hz() - 3.0).abs() < 1e-9);
        assert_eq!(Record::default().rate_hz(), 0.0);
    }
}

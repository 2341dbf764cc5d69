//! Bounded waits: for a time, or for an event within a time.

use crate::tsc;

pub struct Timeout {
    start: u64,
    ticks: u64,
}

impl Timeout {
    /// This many microseconds from now.
    pub fn microseconds(microseconds: u64) -> Self {
        // Before the start is read, because the first call measures.
        let khz = tsc::khz();
        Self { start: tsc::now(), ticks: microseconds * khz / 1000 }
    }

    /// This many seconds from now.
    pub fn seconds(seconds: u64) -> Self {
        Self::microseconds(seconds * 1_000_000)
    }

    pub fn wait(&self) {
        while !self.passed() {
            core::hint::spin_loop();
        }
    }

    /// Waits until `happened` or until then. Returns whether it happened.
    pub fn reached_before(&self, mut happened: impl FnMut() -> bool) -> bool {
        loop {
            // In this order, a CPU that was not scheduled for long checks once more before it gives
            // up.
            let passed = self.passed();
            if happened() {
                return true;
            }
            if passed {
                return false;
            }
            core::hint::spin_loop();
        }
    }

    fn passed(&self) -> bool {
        tsc::now().wrapping_sub(self.start) >= self.ticks
    }
}

//! For tests: a kernel that follows a script.

use std::time::Duration;

use super::System;

/// A kernel that follows a script, and a clock that advances only during pauses.
pub struct Script<F> {
    answer: F,
    /// The flags of every call.
    pub calls: Vec<u64>,
    clock: Duration,
}

impl<F: FnMut(u64, Duration) -> Result<(), i32>> System for Script<F> {
    fn call(&mut self, flags: u64) -> Result<(), i32> {
        self.calls.push(flags);
        (self.answer)(flags, self.clock)
    }

    fn now(&mut self) -> Duration {
        self.clock
    }

    fn pause(&mut self, length: Duration) {
        assert!(!length.is_zero(), "a pause of nothing is a busy loop");
        self.clock += length;
    }
}

/// A kernel whose answer depends on the flags and on the time that has passed.
pub fn script<F: FnMut(u64, Duration) -> Result<(), i32>>(answer: F) -> Script<F> {
    Script { answer, calls: Vec::new(), clock: Duration::ZERO }
}

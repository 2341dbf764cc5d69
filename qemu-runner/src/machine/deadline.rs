//! One deadline for one run. Every wait asks it how long it may take.

use std::time::{Duration, Instant};

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// When a run has to be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    pub started: Instant,
    pub limit: Duration,
}

impl Deadline {
    pub fn after(limit: Duration) -> Self {
        Self { started: Instant::now(), limit }
    }

    /// A deadline for a run under a debugger: too late to matter.
    pub fn never() -> Self {
        Self::after(CENTURY)
    }

    /// The time left, or `None`. Never zero, which sockets read as "forever".
    pub fn left(self) -> Option<Duration> {
        self.limit.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero())
    }
}

//! How long each part took, so that who finds the whole too long knows where to look.

use std::fmt;
use std::time::{Duration, Instant};

/// Parts that are over, in their order.
#[derive(Debug, Default)]
pub struct Phases(Vec<(&'static str, Duration)>);

impl Phases {
    /// Does a part's work, and remembers how long that took.
    pub fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.0.push((name, began.elapsed()));
        result
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Duration = self.0.iter().map(|(_, took)| *took).sum();
        let parts: Vec<String> = self.0.iter().map(|(name, took)| format!("{name} {}", took.as_secs())).collect();
        write!(out, "took: {} s in all: {}", total.as_secs(), parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_in_their_order_with_their_sum() {
        let mut phases = Phases::default();
        assert_eq!(phases.time("lint", || 7), 7);
        phases.0 = vec![("lint", Duration::from_millis(61_900)), ("scenarios", Duration::from_secs(600))];
        assert_eq!(phases.to_string(), "took: 661 s in all: lint 61, scenarios 600");
    }
}

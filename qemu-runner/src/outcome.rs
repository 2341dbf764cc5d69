//! What a fulfilled scenario leaves: when what happened, and the figures that came with it.

use std::fmt;
use std::time::{Duration, Instant};

/// The timeline and the facts of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What happened, in order of time.
    pub timeline: Vec<Event>,
    /// Figures worth knowing, in the order in which they became known.
    pub facts: Vec<(String, String)>,
    started: Instant,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// How long after the run began.
    pub at: Duration,
    /// What it was.
    pub what: String,
}

impl Outcome {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self { scenario, timeline: Vec::new(), facts: Vec::new(), started: Instant::now() }
    }

    /// Something happened just now.
    pub(crate) fn now(&mut self, what: impl Into<String>) {
        self.at(Instant::now(), what);
    }

    /// Something happened at `when`, perhaps earlier than what is already there.
    pub(crate) fn at(&mut self, when: Instant, what: impl Into<String>) {
        let at = when.saturating_duration_since(self.started);
        let position = self.timeline.partition_point(|event| event.at <= at);
        self.timeline.insert(position, Event { at, what: what.into().replace('\n', "; ") });
    }

    /// A figure.
    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl ToString) {
        self.facts.push((name.into(), value.to_string()));
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.scenario)?;
        for Event { at, what } in &self.timeline {
            writeln!(out, "{:8.2} s  {what}", at.as_secs_f64())?;
        }
        let width = self.facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.facts {
            writeln!(out, "  {name:width$}  {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_in_order_of_time() {
        let mut outcome = Outcome::new("capture");
        let start = outcome.started;
        outcome.at(start + Duration::from_secs(3), "panic");
        outcome.at(start + Duration::from_millis(1500), "armed");
        outcome.fact("vmcore", "850468864 bytes");
        assert_eq!(outcome.to_string(), "capture\n    1.50 s  armed\n    3.00 s  panic\n  vmcore  850468864 bytes\n");
    }
}

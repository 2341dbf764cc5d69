//! What the gate has run so far: how long each part took, and what failed.
//!
//! * On exit: one line per part with its seconds, and every failure with the name of its part.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// A result, and how long it took to get.
pub type Timed<T> = (Duration, Result<T>);

/// Does the work of a part and measures how long it takes.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Timed<T> {
    let began = Instant::now();
    let result = work();
    (began.elapsed(), result)
}

/// Finished parts in their order.
pub struct Report {
    began: Instant,
    /// Name and duration.
    parts: Vec<(&'static str, Duration)>,
    failures: Vec<String>,
}

impl Report {
    pub fn start() -> Self {
        Self { began: Instant::now(), parts: Vec::new(), failures: Vec::new() }
    }

    /// Runs a part. `None` if it failed.
    pub fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        self.add(name, timed(work))
    }

    /// Adds a part that has run. `None` if it failed.
    pub fn add<T>(&mut self, name: &'static str, (took, result): Timed<T>) -> Option<T> {
        self.parts.push((name, took));
        result.map_err(|error| self.fail(format!("{name}: {error:#}"))).ok()
    }

    /// Notes a failure that no part has returned.
    pub fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// Fails with every failure so far.
    pub fn conclude(&self) -> Result<()> {
        ensure!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<20} seconds", "part")?;
        for (name, took) in self.parts.iter().chain([&("total", self.began.elapsed())]) {
            writeln!(out, "{name:<20} {:>7}", took.as_secs())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_part_does_not_stop_the_others_but_the_gate_fails() {
        let mut report = Report::start();
        assert_eq!(report.run("fuzz", || -> Result<()> { anyhow::bail!("found an input") }), None);
        assert_eq!(report.run("peers", || Ok(1)), Some(1));
        assert_eq!(report.conclude().unwrap_err().to_string(), "fuzz: found an input");
    }
}

//! What the gate has run so far: how long each part took, and what failed.
//!
//! * On exit: one line per part with its seconds, and every failure with the name of its part.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// A result, and how long it took to get.
pub struct Timed<T> {
    took: Duration,
    result: Result<T>,
}

impl<T> Timed<T> {
    /// The result alone.
    pub fn into_result(self) -> Result<T> {
        self.result
    }
}

/// Does the work of a part and measures how long it takes.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Timed<T> {
    let began = Instant::now();
    let result = work();
    Timed { took: began.elapsed(), result }
}

/// Finished parts in their order.
pub struct Report {
    began: Instant,
    /// Name, duration, and the part beside which it ran.
    parts: Vec<(&'static str, Duration, Option<&'static str>)>,
    failures: Vec<String>,
}

impl Report {
    /// The clock starts now.
    pub fn start() -> Self {
        Self { began: Instant::now(), parts: Vec::new(), failures: Vec::new() }
    }

    /// Runs a part. `None` if it failed.
    pub fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        self.add(name, timed(work))
    }

    /// Adds a part that has run. `None` if it failed.
    pub fn add<T>(&mut self, name: &'static str, part: Timed<T>) -> Option<T> {
        self.record(name, None, part)
    }

    /// Adds a part that has run at the same time as `other`. `None` if it failed.
    pub fn add_beside<T>(
        &mut self,
        other: &'static str,
        name: &'static str,
        part: Timed<T>,
    ) -> Option<T> {
        self.record(name, Some(other), part)
    }

    fn record<T>(
        &mut self,
        name: &'static str,
        beside: Option<&'static str>,
        part: Timed<T>,
    ) -> Option<T> {
        self.parts.push((name, part.took, beside));
        part.result.map_err(|error| self.fail(format!("{name}: {error:#}"))).ok()
    }

    /// Notes a failure that no part has returned.
    pub fn fail(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// Fails with every failure so far.
    pub fn conclude(&self) -> Result<()> {
        if !self.failures.is_empty() {
            bail!("{}", self.failures.join("\n"));
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<20} seconds", "part")?;
        for (name, took, beside) in &self.parts {
            let beside = beside.map(|other| format!("  beside {other}")).unwrap_or_default();
            writeln!(out, "{name:<20} {:>7}{beside}", took.as_secs())?;
        }
        writeln!(out, "{:<20} {:>7}", "total", self.began.elapsed().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_line_with_its_seconds() {
        let mut report = Report::start();
        let lasting = |seconds: u64, result| Timed {
            took: Duration::from_millis(seconds * 1000 + 900),
            result,
        };
        assert_eq!(report.add("build", lasting(61, Ok(7))), Some(7));
        assert_eq!(report.add_beside("build", "lint", lasting(40, Ok(8))), Some(8));
        let table = report.to_string();
        assert!(
            table.contains(
                "\nbuild                     61\nlint                      40  beside build\ntotal "
            ),
            "{table}"
        );
        report.conclude().unwrap();
    }

    #[test]
    fn a_failed_part_does_not_stop_the_others_but_the_gate_fails() {
        let mut report = Report::start();
        assert_eq!(report.run("fuzz", || -> Result<()> { bail!("found an input") }), None);
        assert_eq!(report.run("peers", || Ok(1)), Some(1));
        assert_eq!(report.conclude().unwrap_err().to_string(), "fuzz: found an input");
    }
}

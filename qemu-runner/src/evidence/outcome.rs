//! What a run leaves: a timeline, figures, and evidence to look at.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use loader::image::Summary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::evidence::iomem::Iomem;

/// The timeline and the facts of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// The day of the run, as in ISO 8601, if its caller recorded it.
    #[serde(default)]
    pub date: Option<String>,
    /// What happened, in order of time.
    pub timeline: Vec<Event>,
    /// When what began, in order of time.
    pub phases: Vec<(Duration, Phase)>,
    /// Figures worth knowing, in the order in which they became known.
    pub facts: Vec<(String, String)>,
    /// What there is to see.
    pub evidence: Evidence,
    #[serde(skip, default = "Instant::now")]
    started: Instant,
}

/// What was found on the way, of the last machine of a scenario; each is there if the story came
/// that far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The image that kdump-loader has armed.
    pub image: Option<Summary>,
    /// /proc/iomem when it was armed.
    pub at_load: Option<Iomem>,
    /// /proc/iomem just before the panic.
    pub before_panic: Option<Iomem>,
    /// The purgatory's verdict on the console, by its word.
    pub verdict: Option<String>,
    /// The purgatory's report, as it stands in the capture kernel's command line.
    pub report: Option<String>,
    /// The PT_LOADs of memory in /proc/vmcore.
    pub dumped: Option<Vec<Range<u64>>>,
    /// What the /init of `load --capture` has saved.
    #[serde(default)]
    pub saved: Option<SavedDump>,
}

/// A dump by the /init of `load --capture`, after everything in it was checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedDump {
    /// The filesystem that it was saved to, or `partition`.
    pub target: String,
    /// What its disk is behind.
    pub bus: String,
    /// `uname -r` of both kernels.
    pub release: String,
    /// The first kernel's `crashkernel=`.
    pub crashkernel: String,
    /// The machine's memory before a DIMM was added.
    pub memory_mib: u64,
    /// Its CPUs before one was added.
    pub cpus: u32,
    /// From the line about the panic to /init's line about the dump, both as the host saw them.
    pub saved_after: Duration,
    /// What /init has noted.
    pub record: capture_init::Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The first kernel boots, or is up with nothing armed as far as anybody has looked.
    Boot,
    Armed,
    /// The first kernel has panicked, and takes its last steps; of a purgatory that says nothing,
    /// all until [`Phase::Capture`].
    Panic,
    Purgatory,
    /// The purgatory is content, and the capture kernel starts.
    Start,
    Capture,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub at: Duration,
    pub what: String,
}

impl Outcome {
    pub(crate) fn new(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            date: None,
            timeline: Vec::new(),
            phases: Vec::new(),
            facts: Vec::new(),
            evidence: Evidence::default(),
            started: Instant::now(),
        }
    }

    /// The same, with the day of the run.
    pub fn dated(self, day: String) -> Self {
        Self { date: Some(day), ..self }
    }

    pub(crate) fn now(&mut self, what: impl Into<String>) {
        self.at(Instant::now(), what);
    }

    /// Something happened at `when`, perhaps earlier than what is already there.
    pub(crate) fn at(&mut self, when: Instant, what: impl Into<String>) {
        let at = when.saturating_duration_since(self.started);
        let position = self.timeline.partition_point(|event| event.at <= at);
        self.timeline.insert(position, Event { at, what: what.into().replace('\n', "; ") });
    }

    /// A phase began at `when`, unless it is the one that is on.
    pub(crate) fn enter(&mut self, phase: Phase, when: Instant) {
        let at = when.saturating_duration_since(self.started);
        if self.phase_at(at) != Some(phase) {
            let position = self.phases.partition_point(|(began, _)| *began <= at);
            self.phases.insert(position, (at, phase));
        }
    }

    /// The phase at this time after the beginning.
    pub fn phase_at(&self, at: Duration) -> Option<Phase> {
        self.phases.iter().take_while(|(began, _)| *began <= at).last().map(|(_, phase)| *phase)
    }

    /// That this run failed, with what had happened until then.
    pub(crate) fn failure(&self, error: Error) -> Error {
        let panicked = self
            .phases
            .last()
            .is_some_and(|(_, phase)| !matches!(phase, Phase::Boot | Phase::Armed));
        Error::Scenario {
            name: self.scenario.clone(),
            story: self.to_string(),
            panicked,
            source: Box::new(error),
        }
    }

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
    fn phase_lasts_until_the_next_begins() {
        let mut outcome = Outcome::new("capture");
        let seconds = Duration::from_secs;
        outcome.enter(Phase::Boot, outcome.started);
        outcome.enter(Phase::Panic, outcome.started + seconds(5));
        outcome.enter(Phase::Armed, outcome.started + seconds(3));
        outcome.enter(Phase::Armed, outcome.started + seconds(4));
        assert_eq!(
            outcome.phases,
            [(seconds(0), Phase::Boot), (seconds(3), Phase::Armed), (seconds(5), Phase::Panic)]
        );
        let at = [2, 3, 4, 9].map(|at| outcome.phase_at(seconds(at)).unwrap());
        assert_eq!(at, [Phase::Boot, Phase::Armed, Phase::Armed, Phase::Panic]);
    }
}

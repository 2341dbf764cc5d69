//! The last lines of `cargo xtask test`, below the runners' own: what was shown, and the figures that came with it.
//!
//! On entry: what the scenarios' runner printed, and what every scenario left under `target/qemu/`.
//! On exit: a few lines. Figures are only of scenarios that passed in this run; an earlier run's files may lie beside them.

use std::fmt;
use std::time::Duration;

use crate::audit::{MAX_LOADED, Measured};
use crate::run::qemu::matrix::Tally;

/// Scenarios with figures that users ask for, and how the lines of those figures begin.
const FIGURES: [(&str, &str); 3] = [("capture", "load: "), ("peer-load-time", "load by "), ("peer-load-time", "nothing armed ")];

/// What the runner said of each scenario, and what else was measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many passed.
    pub passed: usize,
    failed: Vec<String>,
    /// Names and reasons.
    ignored: Vec<(String, String)>,
    figures: Vec<(&'static str, String)>,
    loaded: u64,
}

impl Summary {
    /// Reads what the runner printed. `outcome` is the text that a scenario left.
    pub fn new(said: &str, measured: &Measured, outcome: impl Fn(&str) -> Option<String>) -> Self {
        let (mut passed, mut failed, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        for (name, what) in said.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... ")) {
            let name = name.trim().to_string();
            match what.split_once(' ').unwrap_or((what, "no reason given")) {
                ("ok", _) => passed.push(name),
                ("ignored", reason) => ignored.push((name, reason.trim_matches(['(', ')']).to_string())),
                _ => failed.push(name),
            }
        }
        let mut figures = Vec::new();
        for (scenario, start) in FIGURES.into_iter().filter(|(scenario, _)| passed.iter().any(|name| name == scenario)) {
            let left = outcome(scenario).unwrap_or_default();
            figures
                .extend(left.lines().map(str::trim).filter(|line| line.starts_with(start)).map(|line| (scenario, line.into())));
        }
        Self { passed: passed.len(), failed, ignored, figures, loaded: measured.loaded }
    }
}

/// Reads what the runner of the fault matrix printed.
pub fn tally(said: &str) -> Tally {
    let results = said.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let (passed, failed): (Vec<_>, Vec<_>) = results.partition(|(_, what)| *what == "ok");
    let names = |results: Vec<(&str, &str)>| results.into_iter().map(|(name, _)| name.trim().to_owned()).collect();
    let seconds = said.lines().rev().find_map(|line| line.split_once("; finished in ")?.1.strip_suffix('s')?.parse().ok());
    Tally { passed: names(passed), failed: names(failed), took: seconds.map(Duration::from_secs_f64) }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, ignored, figures, loaded } = self;
        writeln!(out, "scenarios: {passed} passed, {} failed, {} ignored", failed.len(), ignored.len())?;
        failed.iter().try_for_each(|name| writeln!(out, "  failed: {name}"))?;
        ignored.iter().try_for_each(|(name, reason)| writeln!(out, "  ignored: {name}: {reason}"))?;
        writeln!(out, "purgatory: {loaded} of {MAX_LOADED} bytes loaded")?;
        figures.iter().try_for_each(|(scenario, figure)| writeln!(out, "{scenario}: {figure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\nrunning 4 tests\ncapture\n   0.20 s  the machine is switched on\ntest capture            ... ok\n\
        test new-kernel-capture ... ignored (no package linux-(image|binary)-7)\ntest efi                ... FAILED\n\
        test peer-load-time     ... ok\n\nfailures:\n\n---- efi ----\nno\n\n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";

    fn outcome(scenario: &str) -> Option<String> {
        match scenario {
            "capture" => Some("capture\n  0.2 s  armed\n  load: wall time  2.21 s\n  vmcore: size  8 bytes\n".into()),
            "peer-load-time" => Some("  load by kexec-tools  0.998 s\n  load by kdump-loader  0.339 s\n".into()),
            _ => None,
        }
    }

    #[test]
    fn everything_that_the_runner_said_is_counted() {
        let summary = Summary::new(SAID, &Measured { loaded: 38336 }, outcome).to_string();
        let expected = "scenarios: 2 passed, 1 failed, 1 ignored\n  failed: efi\n  \
            ignored: new-kernel-capture: no package linux-(image|binary)-7\npurgatory: 38336 of 40960 bytes loaded\n\
            capture: load: wall time  2.21 s\npeer-load-time: load by kexec-tools  0.998 s\n\
            peer-load-time: load by kdump-loader  0.339 s\n";
        assert_eq!(summary, expected);
    }

    #[test]
    fn cases_are_counted_by_what_their_runner_said() {
        let said = "\nrunning 2 tests\ntest sound       ... ok\ntest block-magic ... FAILED\n\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 152 filtered out; finished in 2.50s\n";
        let tally = tally(said);
        assert_eq!((tally.passed, tally.failed), (vec!["sound".to_owned()], vec!["block-magic".to_owned()]));
        assert_eq!(tally.took, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn figures_of_an_earlier_run_are_not_shown() {
        let failed = SAID.replace("capture            ... ok", "capture            ... FAILED");
        let summary = Summary::new(&failed, &Measured { loaded: 1 }, outcome);
        assert_eq!(summary.passed, 1);
        assert!(summary.figures.iter().all(|(scenario, _)| *scenario != "capture"), "{summary}");
    }
}

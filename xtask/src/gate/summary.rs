//! The last lines of the gate: how many cases and scenarios passed, and the figures of scenarios.
//!
//! * On entry: what the two runners printed, and the files that scenarios left under
//!   `target/qemu/`.
//! * On exit: a few lines. Figures come only from scenarios that passed in this run, because files
//!   of earlier runs may be beside them.

use std::collections::BTreeSet;
use std::fmt::Write;

use handoff::Verdict;
use qemu_runner::bare::cases;

/// Scenarios with figures for users, and how the lines of those figures begin.
const FIGURES: [(&str, &str); 1] = [("capture", "load: ")];

/// What a test runner printed about its tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Names of tests that passed.
    pub passed: Vec<String>,
    failed: Vec<String>,
    /// Left out for a reason that came up: `NAME: REASON`.
    ignored: Vec<String>,
    /// How many do not belong to the set that was run.
    not_in_set: usize,
}

impl Results {
    /// Reads lines such as `test NAME ... ok` and `test NAME ... ignored (REASON)`. Without a
    /// reason, it is a scenario of the laboratory.
    pub fn read(output: &str) -> Self {
        let mut results = Self::default();
        for (name, what) in
            output.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "))
        {
            let name = name.trim().to_string();
            match what.split_once(' ').unwrap_or((what, "")) {
                ("ok", _) => results.passed.push(name),
                ("ignored", "") => results.not_in_set += 1,
                ("ignored", reason) => {
                    results.ignored.push(format!("{name}: {}", reason.trim_matches(['(', ')'])))
                }
                _ => results.failed.push(name),
            }
        }
        results
    }

    fn has_passed(&self, name: &str) -> bool {
        self.passed.iter().any(|passed| passed == name)
    }

    fn counts(&self) -> String {
        let Self { passed, failed, ignored, .. } = self;
        format!("{} passed, {} failed, {} ignored", passed.len(), failed.len(), ignored.len())
    }

    fn exceptions(&self) -> String {
        let failed = self.failed.iter().map(|name| format!("  failed: {name}\n"));
        failed.chain(self.ignored.iter().map(|test| format!("  ignored: {test}\n"))).collect()
    }
}

/// The lines about the fault matrix.
pub fn of_cases(results: &Results) -> String {
    let shown =
        cases().filter(|case| results.has_passed(case.name)).map(|case| case.expect.verdict as u32);
    let shown = shown.collect::<BTreeSet<_>>().len();
    let verdicts = Verdict::ALL.len();
    format!(
        "bare-metal cases: {}; {shown} of {verdicts} verdicts shown\n{}",
        results.counts(),
        results.exceptions()
    )
}

/// The lines about the scenarios. `outcome` returns the text that a scenario left.
pub fn of_scenarios(results: &Results, outcome: impl Fn(&str) -> Option<String>) -> String {
    let mut text = format!("scenarios: {}\n{}", results.counts(), results.exceptions());
    if results.not_in_set > 0 {
        let _ =
            writeln!(text, "  {} in the laboratory: `cargo xtask qemu --lab`", results.not_in_set);
    }
    for (scenario, start) in
        FIGURES.into_iter().filter(|(scenario, _)| results.has_passed(scenario))
    {
        let left = outcome(scenario).unwrap_or_default();
        for figure in left.lines().map(str::trim).filter(|line| line.starts_with(start)) {
            let _ = writeln!(text, "{scenario}: {figure}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\nrunning 5 tests\ncapture\n   0.20 s  the machine is switched on\n\
        test capture            ... ok\n\
        test new-kernel-capture ... ignored (no package linux-(image|binary)-7)\n\
        test efi                ... FAILED\ntest peer-load-time     ... ok\n\
        test efi-noefi          ... ignored\n\nfailures:\n\n\
        test result: FAILED. 2 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn every_scenario_is_counted_and_only_those_that_passed_have_figures() {
        let outcome = |_: &str| Some("capture\n  0.2 s  armed\n  load: wall time  2 s\n".into());
        let expected = "scenarios: 2 passed, 1 failed, 1 ignored\n  failed: efi\n  \
            ignored: new-kernel-capture: no package linux-(image|binary)-7\n  \
            1 in the laboratory: `cargo xtask qemu --lab`\n\
            capture: load: wall time  2 s\n";
        assert_eq!(of_scenarios(&Results::read(SAID), outcome), expected);
        let failed = SAID.replace("capture            ... ok", "capture            ... FAILED");
        let text = of_scenarios(&Results::read(&failed), outcome);
        assert!(text.starts_with("scenarios: 1 passed, 2 failed") && !text.contains("wall time"));
    }

    #[test]
    fn verdicts_of_failed_cases_do_not_count_as_shown() {
        let all: String = cases().map(|case| format!("test {} ... ok\n", case.name)).collect();
        let count = Verdict::ALL.len();
        let text = of_cases(&Results::read(&all));
        assert!(text.contains(&format!("; {count} of {count} verdicts shown")), "{text}");
        let one = of_cases(&Results::read("test sound  ... ok\ntest block-magic ... FAILED\n"));
        assert!(one.starts_with("bare-metal cases: 1 passed, 1 failed, 0 ignored; 1 of "), "{one}");
    }
}

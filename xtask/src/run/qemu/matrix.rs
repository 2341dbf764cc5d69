//! The whole fault matrix at once: a line for each case as it ends, what went wrong, and a summary.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use handoff::Verdict;
use qemu_runner::Context;
use qemu_runner::bare::{self, Case, Machines, Start, cases};

/// How the cases came out.
#[derive(Debug, PartialEq, Eq)]
pub struct Tally {
    /// Names of those that passed.
    pub passed: Vec<String>,
    /// Names of those that did not.
    pub failed: Vec<String>,
    /// How long all of it took, if that is known.
    pub took: Option<Duration>,
}

/// Runs the cases, as many at a time as there are CPUs.
pub fn run(wanted: &[&'static Case], context: &Context, machines: &Machines) -> Tally {
    let started = Instant::now();
    let width = wanted.iter().map(|case| case.name.len()).max().unwrap_or(0);
    let next = AtomicUsize::new(0);
    let ended = Mutex::new(Vec::new());
    let machine_after_machine = || {
        while let Some(case) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let started = Instant::now();
            let outcome = run_one(case, context, machines);
            let (result, took) = (if outcome.is_ok() { "ok" } else { "FAILED" }, started.elapsed().as_secs_f64());
            println!("{result:<6} {:width$} {took:7.2} s  {}", case.name, case.expect.verdict.word());
            ended.lock().expect("nobody panics with it").push((case.name, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(machine_after_machine);
        }
    });
    let mut tally = Tally { passed: Vec::new(), failed: Vec::new(), took: Some(started.elapsed()) };
    for (name, outcome) in ended.into_inner().expect("nobody panics with it") {
        match outcome {
            Ok(()) => tally.passed.push(name.to_owned()),
            Err(why) => {
                eprintln!("\n{why}");
                tally.failed.push(name.to_owned());
            }
        }
    }
    tally
}

/// A row that damages what the purgatory no longer has panics; the other cases go on.
fn run_one(case: &'static Case, context: &Context, machines: &Machines) -> Result<(), String> {
    match catch_unwind(|| bare::run(case, context, machines, Start::Booted)) {
        Ok(outcome) => outcome.map(drop).map_err(|error| error.chain()),
        Err(_) => Err(format!("{}: the row itself panicked, as said above", case.name)),
    }
}

impl Tally {
    /// How many verdicts the cases that passed have shown.
    fn verdicts(&self) -> usize {
        let passed = cases().filter(|case| self.passed.iter().any(|name| name == case.name));
        passed.map(|case| case.expect.verdict as u32).collect::<BTreeSet<_>>().len()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, took } = self;
        write!(out, "bare-metal cases: {} passed, {} failed; ", passed.len(), failed.len())?;
        write!(out, "{} of {} verdicts shown", self.verdicts(), Verdict::ALL.len())?;
        if let Some(took) = took {
            write!(out, "; {:.0} s", took.as_secs_f64())?;
        }
        writeln!(out)?;
        failed.iter().try_for_each(|name| writeln!(out, "  failed: {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_of_failed_cases_are_not_counted_as_shown() {
        let all: Vec<String> = cases().map(|case| case.name.to_owned()).collect();
        let everything = Tally { passed: all.clone(), failed: vec![], took: None };
        assert_eq!(everything.verdicts(), Verdict::ALL.len());
        let (sound, others) = all.into_iter().partition(|name| name == "sound");
        let one = Tally { passed: sound, failed: others, took: Some(Duration::from_millis(1600)) };
        assert_eq!(one.verdicts(), 1);
        let text = one.to_string();
        assert!(text.starts_with("bare-metal cases: 1 passed, ") && text.contains("; 2 s\n  failed: "), "{text}");
    }
}

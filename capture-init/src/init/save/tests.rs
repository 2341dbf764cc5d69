//! The order of steps, with steps that fail as the test wants.

use std::io;

use capture_init::{
    DiskId, Dump, DumpLevel, Format, Keep, TASK_VERSION, Target as TaskTarget, Task,
};

use super::*;
use crate::console::heard::Heard;

const FILTER: Step = Step::Filter(DumpLevel::NoFreeOrZeroes);
const DUMP: Dump = Dump { format: Format::KdumpCompressed, bytes: 4096, pages: None };

/// A target that remembers what was noted.
#[derive(Default)]
struct Remembered {
    records: Vec<Record>,
    saved: Vec<Step>,
    is_broken: bool,
}

impl Remembered {
    fn result(&self) -> io::Result<()> {
        if self.is_broken { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Target for Remembered {
    fn name(&self) -> String {
        "/target".into()
    }

    fn log_place(&self) -> Place {
        Place { path: "/target/log".into(), offset: 0, room: 1, is_partition: false }
    }

    fn log_saved(&mut self, _: u64) -> io::Result<()> {
        self.result()
    }

    fn dump_place(&mut self, _: &Step) -> Place {
        self.log_place()
    }

    fn dump_saved(&mut self, step: &Step, _: &Dump) -> io::Result<()> {
        self.saved.push(step.clone());
        self.result()
    }

    fn note(&mut self, record: &Record) -> io::Result<()> {
        self.records.push(record.clone());
        self.result()
    }

    fn remove_earlier(&mut self, _: Keep) -> Vec<String> {
        Vec::new()
    }
}

fn task(makedumpfile: bool) -> Task {
    Task {
        version: TASK_VERSION,
        modules: Vec::new(),
        parameters: Default::default(),
        target: TaskTarget::Raw { disk: DiskId::Serial("dump-0".into()) },
        level: DumpLevel::NoFreeOrZeroes,
        timeout_seconds: None,
        keep: Keep { count: 1, bytes: None },
        watchdogs: Vec::new(),
        makedumpfile: makedumpfile.then(Vec::new),
    }
}

/// What came out of a run.
struct Run {
    steps: Vec<Step>,
    is_complete: bool,
    record: Record,
    target: Remembered,
    log: String,
}

/// Runs all steps; `fails` says which fail, and how.
fn run(makedumpfile: bool, target: Remembered, fails: fn(&Step) -> Option<Trouble>) -> Run {
    let heard = Heard::new();
    let (mut target, mut record, mut steps) = (target, Record::new(0, 0), Vec::new());
    let mut step = |step: &Step, _: &Place| {
        steps.push(step.clone());
        match (fails(step), step) {
            (Some(trouble), _) => Err(trouble),
            (None, Step::Log) => {
                let crash = Some("Kernel panic - not syncing: sysrq".into());
                Ok(Done::Log { bytes: 7000, kernel: Some("6.12.0".into()), crash })
            }
            (None, _) => Ok(Done::Dump { dump: DUMP, troubles: vec![] }),
        }
    };
    let is_complete =
        save(&mut target, &task(makedumpfile), &mut record, &mut step, &heard.console());
    Run { steps, is_complete, record, target, log: heard.log() }
}

#[test]
fn log_is_first_and_the_first_dump_that_succeeds_is_the_last() {
    let run = run(false, Remembered::default(), |_| None);
    assert!(run.is_complete);
    assert_eq!(run.steps, [Step::Log, FILTER]);
    assert_eq!(run.target.saved, [FILTER]);
    assert!(run.log.contains("the crashed kernel said: Kernel panic"), "{}", run.log);
    let states: Vec<_> = run.target.records.iter().map(|record| record.state).collect();
    assert_eq!(states, [State::Writing, State::Writing, State::Complete]);
    let last = run.target.records.last().unwrap();
    assert_eq!(last, &run.record);
    assert_eq!((last.log_bytes, last.dump), (Some(7000), Some(DUMP)));
    assert!(last.times.saved_ms >= last.times.dump_ms && last.troubles.is_empty());
}

#[test]
fn step_in_trouble_is_followed_by_the_next_until_the_list_ends() {
    let run = run(true, Remembered::default(), |step| match step {
        Step::Log => None,
        _ => Some(Trouble::of_step(
            "its process was killed: memory ran out, or the kernel had an oops",
        )),
    });
    assert!(!run.is_complete);
    assert_eq!(run.steps, [Step::Log, Step::Makedumpfile(vec![]), FILTER, Step::Copy]);
    assert_eq!(run.record.state, State::Incomplete);
    assert_eq!(run.record.troubles.len(), 3);
    for words in [
        "the dump by makedumpfile failed: its process was killed",
        "trying the dump without free pages next",
        "trying the unfiltered copy next",
        "the unfiltered copy failed",
        "what was written so far stays",
    ] {
        assert!(run.log.contains(words), "{words}: {}", run.log);
    }
}

#[test]
fn unfiltered_copy_is_made_when_the_filter_fails() {
    let run = run(false, Remembered::default(), |step| match step {
        Step::Filter(_) => Some(Trouble::of_step("out of memory for compressing pages")),
        _ => None,
    });
    assert!(run.is_complete);
    assert_eq!(run.target.saved, [Step::Copy]);
    assert_eq!(run.record.troubles.len(), 1, "a complete dump keeps the reason");
}

#[test]
fn full_target_ends_the_list() {
    let run = run(false, Remembered::default(), |step| match step {
        Step::Filter(_) => Some(Trouble::of_target("the target is full after 90 MiB")),
        _ => None,
    });
    assert!(!run.is_complete);
    assert_eq!(run.steps, [Step::Log, FILTER]);
    assert!(run.log.contains("full after 90 MiB; what was written so far stays"), "{}", run.log);
}

#[test]
fn log_that_cannot_be_saved_costs_no_dump() {
    let run = run(false, Remembered::default(), |step| match step {
        Step::Log => Some(Trouble::of_step("the vmcore has no VMCOREINFO")),
        _ => None,
    });
    assert!(run.is_complete);
    assert_eq!(run.record.log_bytes, None);
    assert!(run.log.contains("no VMCOREINFO; continuing with the dump"), "{}", run.log);
}

#[test]
fn target_that_loses_what_is_written_makes_no_complete_dump() {
    let broken = Remembered { is_broken: true, ..Remembered::default() };
    let run = run(false, broken, |_| None);
    assert!(!run.is_complete);
    assert_eq!(run.record.dump, None);
    assert!(run.log.contains("the dump does not reach the disk: "), "{}", run.log);
    assert!(run.log.contains("cannot write the record to /target: "), "{}", run.log);
}

//! How many instructions the purgatory executes for one small image. A busy machine does not change
//! that number, so CI compares it.
//!
//! The process stops itself before and after the purgatory's story, and is stepped through it one
//! instruction at a time (ptrace(2)). Callgrind cannot: it lacks SHA-NI.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use handoff::EngineId;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::image::Image;
use super::process::Process;
use crate::repository::Repository;

/// Growth above this part of the recorded number is an error.
const TOLERANCE: f64 = 0.03;
/// Where the numbers are recorded, relative to the root.
const RECORD: &str = "docs/bench/instructions.json";

/// Instructions by engine.
type Counts = BTreeMap<String, u64>;

/// Counts, prints, and compares with the record, or replaces it. `fastest`: only for the fastest
/// engine of this CPU, which takes a seventh of the time.
pub fn count_and_compare(repo: &Repository, write: bool, fastest: bool) -> Result<()> {
    let image = Image::tiny();
    let mut counts = Counts::new();
    for engine in EngineId::ALL.iter().rev() {
        if fastest && !counts.is_empty() {
            break;
        }
        let ours = Process::ours(*engine);
        match ours.verify(&image, 1) {
            Ok(_) => _ = counts.insert(engine.word().into(), count(&ours, &image)?),
            Err(error) => eprintln!("note: not counted: {}: {error:#}", ours.name),
        }
    }
    ensure!(!counts.is_empty(), "none of our engines runs on this machine");
    if write {
        repo.write(RECORD, &(serde_json::to_string_pretty(&counts)? + "\n"))?;
    }
    let recorded = serde_json::from_str(&repo.read(RECORD)?)?;
    compare(&recorded, &counts)?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Both numbers of each engine; an error if one has grown by more than the tolerance.
fn compare(recorded: &Counts, counts: &Counts) -> Result<Vec<String>> {
    let (mut lines, mut grown) = (Vec::new(), Vec::new());
    for (engine, &count) in counts {
        let Some(&before) = recorded.get(engine) else {
            bail!("{RECORD} has no number for {engine}, which executes {count} instructions")
        };
        let growth = count as f64 / before as f64 - 1.0;
        let percent = growth * 100.0;
        let line = format!("instructions: {engine}: {count}, recorded {before} ({percent:+.1} %)");
        if growth > TOLERANCE {
            grown.push(line.clone());
        }
        lines.push(line);
    }
    let remedy = "if that is meant, run `cargo lab bench --instructions --write`";
    ensure!(grown.is_empty(), "more than 3 % more {}; {remedy}", grown.join("; "));
    Ok(lines)
}

/// Steps through one verification.
fn count(ours: &Process, image: &Image) -> Result<u64> {
    let mut command = ours.command(image, |task| task.stop = true)?;
    let mut child = command.stdout(Stdio::null()).spawn().context("cannot start the contestant")?;
    let pid = Pid::from_raw(child.id().try_into().context("a process number")?);
    let counted = step_through(pid);
    // It is not needed any more, counted or not.
    let _ = kill(pid, Signal::SIGKILL);
    let _ = child.wait();
    counted
}

/// From one SIGSTOP of a process to the next.
fn step_through(pid: Pid) -> Result<u64> {
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
    let is_stopped = matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP));
    ensure!(is_stopped, "the contestant did not stop itself: {stopped:?}");
    ptrace::attach(pid).context(
        "cannot trace the contestant (ptrace(2)): is kernel.yama.ptrace_scope 3, or does a \
         seccomp filter forbid it?",
    )?;
    waitpid(pid, None)?;
    kill(pid, Signal::SIGCONT)?;
    let mut count = 0;
    loop {
        ptrace::step(pid, None)?;
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => count += 1,
            WaitStatus::Stopped(_, Signal::SIGCONT) => {}
            WaitStatus::Stopped(_, Signal::SIGSTOP) => return Ok(count),
            other => bail!("the contestant has ended: {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_above_the_tolerance_is_an_error_with_both_numbers() {
        let counts = |soft: u64| Counts::from([("soft".into(), soft)]);
        assert!(compare(&counts(1000), &counts(1029)).is_ok());
        assert!(compare(&counts(1000), &counts(500)).is_ok());
        let error = compare(&counts(1000), &counts(1031)).unwrap_err().to_string();
        assert!(error.contains("1031") && error.contains("1000"), "{error}");
        assert!(compare(&Counts::new(), &counts(1)).is_err());
    }
}

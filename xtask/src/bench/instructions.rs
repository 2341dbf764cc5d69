//! The gate for CI: how many instructions the purgatory executes for one small image. A busy machine does not change that number, so a
//! change of a few per cent is one of the code.
//!
//! The program stops itself before and after the purgatory's story, and is stepped through it one instruction at a time (ptrace(2)); callgrind
//! would do, too, if it knew SHA-NI.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::contestants::Contestant;
use super::images::Image;
use crate::repository::Repository;

/// More than this much above what is written down is a failure.
const TOLERANCE: f64 = 0.03;

/// Instructions by engine.
type Counts = BTreeMap<String, u64>;

/// Counts, prints, and compares; or writes down.
pub fn run(repo: &Repository, write: bool) -> Result<()> {
    let counts = count_all(repo, false)?;
    if write {
        let path = file(repo);
        let directory = path.parent().expect("a file in a directory");
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        std::fs::write(&path, serde_json::to_string_pretty(&counts)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    for line in compare(&known(repo)?, &counts)? {
        println!("{line}");
    }
    Ok(())
}

/// The same for `cargo xtask test`: the lines to print, or what has grown.
pub fn gate(sh: &xshell::Shell, repo: &Repository) -> Result<Vec<String>> {
    super::contestant_program(sh, repo)?;
    compare(&known(repo)?, &count_all(repo, true)?)
}

fn file(repo: &Repository) -> PathBuf {
    repo.root.join("docs/bench/instructions.json")
}

fn known(repo: &Repository) -> Result<Counts> {
    let path = file(repo);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no counts", path.display()))
}

/// Counts for every engine that this machine has, or for the fastest alone, which takes a seventh of the time.
fn count_all(repo: &Repository, fastest: bool) -> Result<Counts> {
    let image = Image::tiny(repo);
    let mut counts = Counts::new();
    for engine in handoff::EngineId::ALL.iter().rev() {
        if fastest && !counts.is_empty() {
            break;
        }
        let ours = Contestant::ours(*engine);
        match ours.run(repo, &image, 1, false) {
            Ok(_) => _ = counts.insert(engine.word().into(), count(repo, &ours, &image)?),
            Err(error) => eprintln!("not counted: {}: {error:#}", ours.name),
        }
    }
    ensure!(!counts.is_empty(), "no engine of ours runs on this machine");
    Ok(counts)
}

/// Says both numbers of each engine; an error when one has grown by more than the tolerance.
fn compare(known: &Counts, counts: &Counts) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut grown = Vec::new();
    for (engine, &count) in counts {
        let Some(&before) = known.get(engine) else {
            bail!("nothing is written down for {engine}, which takes {count} instructions")
        };
        let growth = count as f64 / before as f64 - 1.0;
        let line = format!("instructions: {engine}: {count}, written down {before} ({:+.1} %)", growth * 100.0);
        if growth > TOLERANCE {
            grown.push(line.clone());
        }
        lines.push(line);
    }
    ensure!(grown.is_empty(), "more than {} % more instructions: {}", TOLERANCE * 100.0, grown.join("; "));
    Ok(lines)
}

/// Steps through one verification.
fn count(repo: &Repository, ours: &Contestant, image: &Image) -> Result<u64> {
    let mut command = ours.command(repo, image, 1, false);
    let mut child = command.arg("--stop").stdout(Stdio::null()).spawn().context("cannot start the contestant")?;
    let pid = Pid::from_raw(i32::try_from(child.id()).context("a process's number")?);
    let counted = step_through(pid);
    // Whatever happened, it is of no use any more.
    let _ = kill(pid, Signal::SIGKILL);
    let _ = child.wait();
    counted
}

/// From one SIGSTOP of a process to the next.
fn step_through(pid: Pid) -> Result<u64> {
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).context("waiting for the contestant")?;
    ensure!(matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)), "the contestant has not stopped itself: {stopped:?}");
    ptrace::attach(pid)
        .context("cannot trace the contestant (ptrace(2)): is kernel.yama.ptrace_scope 3, or a seccomp filter in the way?")?;
    waitpid(pid, None).context("waiting for the contestant")?;
    kill(pid, Signal::SIGCONT).context("letting the contestant go on")?;
    let mut count = 0;
    loop {
        ptrace::step(pid, None).context("stepping through the contestant")?;
        match waitpid(pid, None).context("waiting for the contestant")? {
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

    fn counts(soft: u64) -> Counts {
        Counts::from([("soft".into(), soft)])
    }

    #[test]
    fn more_instructions_than_written_down_are_refused_with_both_numbers() {
        assert!(compare(&counts(1000), &counts(1029)).is_ok());
        assert!(compare(&counts(1000), &counts(500)).is_ok());
        let error = compare(&counts(1000), &counts(1031)).unwrap_err().to_string();
        assert!(error.contains("1031") && error.contains("1000"), "{error}");
        assert!(compare(&Counts::new(), &counts(1)).is_err());
    }
}

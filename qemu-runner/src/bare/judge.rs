//! (6) Compares the run with what the case expects: the verdict, the words, and the machine's end.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use loader::request::Request;
use orders::Ending;

use super::case::{Arrangement, Case, Ended, Reported};
use super::memory::Memory;
use super::{course, endless, trace, words};
use crate::error::{Error, check, check_eq};
use crate::evidence::report;
use crate::machine::vm::{Line, Vm, expect_wait};

/// How often a CPU that is to hang is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long the purgatory may take under TCG on a busy host.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the payload says before the report.
const REPORT: &str = "payload: report ";

#[derive(Debug, Default)]
pub struct Observed {
    /// The console's lines: the purgatory's.
    pub console: Vec<Line>,
    /// The lines of crash kernel and payload.
    pub harness: Vec<String>,
    /// When the crash kernel had said that it panics.
    pub panicked_at: Option<Instant>,
    /// When QEMU closed the console.
    pub ended_at: Option<Instant>,
}

pub fn stands_still(case: &Case) -> bool {
    matches!(case.expect.ended, Ended::Halted | Ended::Spinning)
}

/// Compares. A machine that is to hang is awaited; what it says until then is added to `observed`.
pub fn judge(
    case: &Case,
    arrangement: &Arrangement,
    request: &Request,
    memory: &Memory,
    observed: &mut Observed,
    vm: &mut Vm,
) -> Result<(), Error> {
    match case.expect.ended {
        Ended::Halted => {
            await_state(vm, "every CPU in HLT", |vm| vm.monitor.all_cpus_halted())?;
            let endless = is_endless(vm, memory)?;
            check!(endless, "the CPU that panicked is in no endless loop of the purgatory")?;
        }
        Ended::Spinning => await_endless_loop(vm, memory)?,
        _ => {}
    }
    observed.console.extend(vm.arrived_on_console());
    let said = observed.harness.join("; ");
    let refused = observed.harness.iter().any(|line| line.starts_with("crash-kernel"));
    check!(!refused, "the crash kernel: expected a panic as ordered, found {said}")?;
    check!(observed.panicked_at.is_some(), "the crash kernel: expected a panic, found {said}")?;
    words::check_words(case, memory, &observed.console)?;
    let delay = Duration::from_millis(course::delay_ms(case, memory).into());
    match case.expect.ended {
        Ended::Booted(reported) => booted(case, reported, Ending::Captured, observed, vm)?,
        Ended::BootedNevertheless(reported, ending) => {
            booted(case, reported, ending, observed, vm)?
        }
        Ended::Reset => reset(observed, vm, false, delay)?,
        Ended::ResetAtOnce => reset(observed, vm, false, Duration::ZERO)?,
        Ended::TripleFault => reset(observed, vm, true, delay)?,
        Ended::Halted | Ended::Spinning => {}
    }
    if let Some(expected) = arrangement.traced {
        let span = memory.purgatory();
        let executed = trace::executed(&vm.qemu_log()?, &span);
        let instructions = trace::instructions(&request.purgatory.bytes, &span, &executed)?;
        let found: BTreeSet<_> = instructions.iter().filter_map(trace::needs_permission).collect();
        let expected = expected.iter().copied().collect();
        check_eq!(found, expected, "instructions that need a permission")?;
    }
    Ok(())
}

/// The payload has ended as it must, and the report says what it must.
fn booted(
    case: &Case,
    reported: Reported,
    ending: Ending,
    observed: &Observed,
    vm: &mut Vm,
) -> Result<(), Error> {
    let said = observed.harness.join("; ");
    let status = vm.exit_status()?;
    let found = status.and_then(Ending::from_exit_status);
    check_eq!(found, Some(ending), "end of the capture payload, {status:?}, which said {said}")?;
    let text = observed.harness.iter().find_map(|line| line.strip_prefix(REPORT));
    let text = text.ok_or_else(|| Error::unreadable("the payload's report", &said))?.trim_end();
    let report = report::parse(&format!("{}{text}", handoff::report::PARAMETER))?;
    let Reported { segment, engine, elfcorehdr, nmis } = reported;
    check_eq!(report.verdict, case.expect.verdict, "verdict of the report {text}")?;
    check_eq!(report.segment, segment, "segment of the report {text}")?;
    check_eq!(report.engine, engine.unwrap_or(report.engine), "engine of the report {text}")?;
    check_eq!(report.elfcorehdr, elfcorehdr, "elfcorehdr of the report {text}")?;
    check_eq!(report.nmis != 0, nmis, "whether NMIs are counted in the report {text}")?;
    let in_time = 1..=PATIENCE.as_micros() as u64;
    check!(in_time.contains(&report.microseconds), "time of the report {text}: no {in_time:?} us")?;
    if !words::speaks(case) {
        return Ok(());
    }
    let mut lines = observed.console.iter().filter_map(|line| line.text.split_once("report "));
    let line = lines.next().map(|(_, said)| said.trim_end());
    check_eq!(line, Some(text), "report on the console")
}

/// The machine was reset as it must be, after `delay` and not much later: counted from the
/// announcement, or, where nothing can be said, from the panic.
fn reset(
    observed: &Observed,
    vm: &mut Vm,
    by_triple_fault: bool,
    delay: Duration,
) -> Result<(), Error> {
    vm.monitor.expect_reset()?;
    check_eq!(vm.triple_faulted()?, by_triple_fault, "a triple fault")?;
    let mut lines = observed.console.iter();
    let announced = lines.rfind(|line| line.text.contains("resetting in ")).map(|line| line.at);
    let times = announced.or(observed.panicked_at).zip(observed.ended_at);
    let (from, ended) = times.ok_or_else(|| Error::Failed("no panic and end were seen".into()))?;
    expect_wait(delay, ended.saturating_duration_since(from))
}

/// Waits until the CPU that panicked is in a loop of the purgatory that is never left.
pub fn await_endless_loop(vm: &mut Vm, memory: &Memory) -> Result<(), Error> {
    await_state(vm, "a CPU in an endless loop of the purgatory", |vm| is_endless(vm, memory))
}

fn is_endless(vm: &mut Vm, memory: &Memory) -> Result<bool, Error> {
    Ok(endless::never_left(memory, vm.monitor.instruction_pointer()?))
}

/// Asks QEMU again and again until it is so, or the deadline passes. A machine that ended instead
/// of standing still does not answer.
fn await_state(
    vm: &mut Vm,
    what: &str,
    mut holds: impl FnMut(&mut Vm) -> Result<bool, Error>,
) -> Result<(), Error> {
    let gone = |error: Error| Error::Failed(format!("{what}: the machine is gone: {error}"));
    while !holds(vm).map_err(gone)? {
        check!(vm.deadline.left().is_some(), "{what}: not so before the deadline")?;
        thread::sleep(LOOK);
    }
    Ok(())
}

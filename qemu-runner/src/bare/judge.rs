//! (6) Whether what was observed is what the case expects: the verdict, the words, and what happened to the machine.

use std::thread;
use std::time::{Duration, Instant};

use handoff::Verdict;
use loader::request::Request;
use orders::Ending;
use qapi::qmp::ShutdownCause;

use super::case::{Arrangement, Case, Ended, Nmis, Reported};
use super::memory::Memory;
use super::{endless, trace, words};
use crate::error::{Error, check, check_eq};
use crate::report;
use crate::vm::{Line, Vm};

/// How often a CPU that is to stand still is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// What the payload says before the report.
const REPORT: &str = "payload: report ";

/// What came out of a machine.
#[derive(Debug, Default)]
pub struct Observed {
    /// The purgatory's lines.
    pub console: Vec<Line>,
    /// The lines of crash kernel and payload.
    pub harness: Vec<String>,
    /// When QEMU closed the console.
    pub ended_at: Option<Instant>,
}

/// Whether the machine is to go on for ever.
pub fn stands_still(case: &Case) -> bool {
    matches!(case.expect.ended, Ended::Halted | Ended::Spinning)
}

/// Compares.
pub fn judge(
    case: &Case,
    arrangement: &Arrangement,
    request: &Request,
    memory: &Memory,
    observed: &Observed,
    vm: &mut Vm,
) -> Result<(), Error> {
    words::check_words(case, memory, &observed.console)?;
    let delay = Duration::from_millis(u64::from(arrangement.reset_delay_ms.min(memory.block().reset_delay_ms.get())));
    match case.expect.ended {
        Ended::Booted(reported) => booted(case, reported, Ending::Captured, observed, vm)?,
        Ended::BootedNevertheless(reported, ending) => booted(case, reported, ending, observed, vm)?,
        Ended::Reset => {
            reset(observed, vm)?;
            check_eq("a triple fault", &vm.triple_faulted()?, &false)?;
            waited(observed, delay)?;
        }
        Ended::ResetAtOnce => {
            reset(observed, vm)?;
            check_eq("a triple fault", &vm.triple_faulted()?, &false)?;
        }
        Ended::TripleFault => {
            reset(observed, vm)?;
            check_eq("a triple fault", &vm.triple_faulted()?, &true)?;
        }
        Ended::Halted => await_state(vm, "every CPU in HLT", |vm| vm.monitor.all_cpus_halted())?,
        Ended::Spinning => {
            let endless = |vm: &mut Vm| Ok(endless::never_left(memory, vm.monitor.instruction_pointer()?));
            await_state(vm, "a CPU in an endless loop of the purgatory", endless)?;
        }
    }
    if let Some(expected) = arrangement.traced {
        let purgatory = memory.block().purgatory;
        let span = purgatory.start.get()..purgatory.start.get() + purgatory.len.get();
        let executed = trace::executed(&vm.qemu_log()?, &span);
        let instructions = trace::instructions(&request.purgatory.bytes, &span, &executed)?;
        let mut found: Vec<_> = instructions.iter().filter_map(trace::needs_permission).collect();
        found.sort();
        found.dedup();
        check(found == expected, "instructions that need a permission", format_args!("{expected:?}"), format_args!("{found:?}"))?;
    }
    Ok(())
}

fn booted(case: &Case, reported: Reported, ending: Ending, observed: &Observed, vm: &mut Vm) -> Result<(), Error> {
    let status = vm.exit_status()?;
    let found = status.and_then(Ending::from_exit_status);
    let failed: Vec<&str> = observed.harness.iter().filter(|line| line.contains("FAILED")).map(String::as_str).collect();
    let what = format_args!("{found:?} (status {status:?}, {})", failed.join("; ")).to_string();
    check(found == Some(ending), "end of the capture payload", format_args!("{ending:?}"), what)?;
    let text = observed.harness.iter().find_map(|line| line.strip_prefix(REPORT));
    let text = text.ok_or_else(|| Error::Unintelligible { what: "the payload's report", text: observed.harness.join("; ") })?;
    let report = report::parse(&format!("{}{text}", handoff::report::PARAMETER))?;
    let Reported { segment, engine, elfcorehdr, nmis } = reported;
    check(report.verdict == case.expect.verdict, "verdict of the report", case.expect.verdict.word(), text)?;
    check(report.segment == segment, "segment of the report", format_args!("{segment:?}"), text)?;
    check(engine.is_none_or(|engine| report.engine == engine), "engine of the report", format_args!("{engine:?}"), text)?;
    check(report.elfcorehdr == elfcorehdr, "elfcorehdr of the report", elfcorehdr.word(), text)?;
    check((report.nmis == 0) == (nmis == Nmis::None), "NMIs of the report", format_args!("{nmis:?}"), text)?;
    // Where there is a console it has said the same.
    let line = observed.console.iter().find_map(|line| line.text.split_once("report ").map(|(_, said)| said.trim_end()));
    check(line.is_none_or(|line| line == text.trim_end()), "report on the console", text, line.unwrap_or_default())?;
    check_eq("a verdict of its own", &(case.expect.verdict == Verdict::Ok), &(ending == Ending::Captured))
}

fn reset(observed: &Observed, vm: &mut Vm) -> Result<(), Error> {
    let failed: Vec<&str> = observed.harness.iter().map(String::as_str).filter(|line| line.starts_with("crash-kernel")).collect();
    check(failed.is_empty(), "the crash kernel", "a panic as ordered", failed.join("; "))?;
    let cause = vm.monitor.shutdown_cause()?;
    check(cause == ShutdownCause::guest_reset, "reason of the shutdown", "guest-reset", format_args!("{cause:?}"))
}

/// The announced delay has passed before the reset. How long the rest takes is not looked at.
fn waited(observed: &Observed, delay: Duration) -> Result<(), Error> {
    let announced = observed.console.iter().rfind(|line| line.text.contains("resetting in "));
    let Some((announced, ended)) = announced.zip(observed.ended_at) else { return Ok(()) };
    let text = announced.text.split_once("resetting in ").map_or("", |(_, rest)| rest);
    let said = text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    check_eq("announced delay in ms", &said, &(delay.as_millis() as u64))?;
    // The clock of the host and the guest's counter may differ by a little, and a line arrives late rather than early.
    let waited = ended.saturating_duration_since(announced.at);
    check(
        waited + Duration::from_millis(100) >= delay,
        "wait before the reset",
        format_args!("{delay:?}"),
        format_args!("{waited:?}"),
    )
}

/// Asks QEMU again and again until it is so, or the deadline passes.
fn await_state(vm: &mut Vm, what: &str, mut holds: impl FnMut(&mut Vm) -> Result<bool, Error>) -> Result<(), Error> {
    while !holds(vm)? {
        check(vm.deadline.left().is_some(), what, "before the deadline", "not so")?;
        thread::sleep(LOOK);
    }
    Ok(())
}

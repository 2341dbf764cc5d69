//! (6) Compares the run with what the case expects: the verdict, the words, and the machine's end.

use std::thread;
use std::time::{Duration, Instant};

use loader::request::Request;
use orders::Ending;

use super::case::{Arrangement, Case, Ended, Nmis, Reported};
use super::memory::Memory;
use super::{course, endless, trace, words};
use crate::error::{Error, check, check_eq};
use crate::evidence::report;
use crate::machine::vm::{Line, READ_LATENCY, RESET_SLACK, Vm};

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
            check!(
                is_endless(vm, memory)?,
                "where the CPU that panicked is: expected in an endless loop of the purgatory, \
                 found elsewhere"
            )?;
        }
        Ended::Spinning => await_endless_loop(vm, memory)?,
        _ => {}
    }
    observed.console.extend(vm.arrived_on_console());
    crash_kernel_panicked(observed)?;
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
        let purgatory = memory.block().purgatory;
        let span = purgatory.start.get()..purgatory.start.get() + purgatory.len.get();
        let executed = trace::executed(&vm.qemu_log()?, &span);
        let instructions = trace::instructions(&request.purgatory.bytes, &span, &executed)?;
        let mut found: Vec<_> = instructions.iter().filter_map(trace::needs_permission).collect();
        found.sort();
        found.dedup();
        check!(
            found == expected,
            "instructions that need a permission: expected {expected:?}, found {found:?}"
        )?;
    }
    Ok(())
}

fn booted(
    case: &Case,
    reported: Reported,
    ending: Ending,
    observed: &Observed,
    vm: &mut Vm,
) -> Result<(), Error> {
    let status = vm.exit_status()?;
    let found = status.and_then(Ending::from_exit_status);
    let failed: Vec<&str> = observed
        .harness
        .iter()
        .filter(|line| line.contains("FAILED"))
        .map(String::as_str)
        .collect();
    let what = format_args!("{found:?} (status {status:?}, {})", failed.join("; ")).to_string();
    check!(found == Some(ending), "end of the capture payload: expected {ending:?}, found {what}")?;
    let text = observed.harness.iter().find_map(|line| line.strip_prefix(REPORT));
    let text =
        text.ok_or_else(|| Error::unreadable("the payload's report", observed.harness.join("; ")))?;
    let report = report::parse(&format!("{}{text}", handoff::report::PARAMETER))?;
    let Reported { segment, engine, elfcorehdr, nmis } = reported;
    check!(
        report.verdict == case.expect.verdict,
        "verdict of the report: expected {}, found {text}",
        case.expect.verdict.word()
    )?;
    check!(report.segment == segment, "segment of the report: expected {segment:?}, found {text}")?;
    check!(
        engine.is_none_or(|engine| report.engine == engine),
        "engine of the report: expected {engine:?}, found {text}"
    )?;
    check!(
        report.elfcorehdr == elfcorehdr,
        "elfcorehdr of the report: expected {}, found {text}",
        elfcorehdr.word()
    )?;
    check!(
        (report.nmis == 0) == (nmis == Nmis::None),
        "NMIs of the report: expected {nmis:?}, found {text}"
    )?;
    let in_time = 1..=PATIENCE.as_micros() as u64;
    check!(
        in_time.contains(&report.microseconds),
        "microseconds in the purgatory: expected {in_time:?}, found {text}"
    )?;
    if !words::speaks(case) {
        return Ok(());
    }
    let line = observed
        .console
        .iter()
        .find_map(|line| line.text.split_once("report ").map(|(_, said)| said.trim_end()));
    check!(
        line == Some(text.trim_end()),
        "report on the console: expected {text}, found {}",
        line.unwrap_or_default()
    )
}

/// The crash kernel did what was ordered, to the end.
fn crash_kernel_panicked(observed: &Observed) -> Result<(), Error> {
    let failed: Vec<&str> = observed
        .harness
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with("crash-kernel"))
        .collect();
    check!(
        failed.is_empty(),
        "the crash kernel: expected a panic as ordered, found {}",
        failed.join("; ")
    )?;
    check!(
        observed.panicked_at.is_some(),
        "the crash kernel: expected a panic, found {}",
        observed.harness.join("; ")
    )
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
    let announced = observed
        .console
        .iter()
        .rfind(|line| line.text.contains("resetting in "))
        .map(|line| line.at);
    let (Some(from), Some(ended)) = (announced.or(observed.panicked_at), observed.ended_at) else {
        return check!(
            false,
            "the end of the machine: expected a panic, then a reset, found one of them was not seen"
        );
    };
    let waited = ended.saturating_duration_since(from);
    let in_time = delay.saturating_sub(READ_LATENCY)..=delay + RESET_SLACK;
    check!(
        in_time.contains(&waited),
        "wait before the reset: expected {in_time:?}, found {waited:?}"
    )
}

/// Waits until the CPU that panicked is in a loop of the purgatory that is never left.
pub fn await_endless_loop(vm: &mut Vm, memory: &Memory) -> Result<(), Error> {
    await_state(vm, "a CPU in an endless loop of the purgatory", |vm| is_endless(vm, memory))
}

fn is_endless(vm: &mut Vm, memory: &Memory) -> Result<bool, Error> {
    Ok(endless::never_left(memory, vm.monitor.instruction_pointer()?))
}

/// Asks QEMU again and again until it is so, or the deadline passes.
fn await_state(
    vm: &mut Vm,
    what: &str,
    mut holds: impl FnMut(&mut Vm) -> Result<bool, Error>,
) -> Result<(), Error> {
    while !holds(vm)? {
        check!(vm.deadline.left().is_some(), "{what}: expected before the deadline, found not so")?;
        thread::sleep(LOOK);
    }
    Ok(())
}

//! `[4]` One screen of plain English: what is known about a panic, and what to do next.
//!
//! It tells only what was seen, and names the rest as unknown.

use std::fmt::Write;

use handoff::Verdict;
use handoff::black_box::Stage;
use loader::image::mib;

use super::armed::STATE;
use super::panic::{Copies, Nothing, Outcome, Panic, Run};
use super::saved::{CAPTURE_DMESG, DMESG, Saved};
use super::utc;
use crate::health::last_dump::LastDump;

/// Columns of the first word.
const WIDTH: usize = 12;
/// Lines of the capture kernel's log.
const LAST_LINES: usize = 6;
/// Corrupt places.
const MOST_PLACES: usize = 3;

/// The panic in one line, for the journal.
pub fn headline(panic: &Panic) -> String {
    let line = panic.panic_line.as_deref().unwrap_or("the crashed kernel's message was lost");
    format!(
        "the machine panicked before this boot ({line}); the purgatory {}",
        purgatory(panic.run.as_ref())
    )
}

/// What the purgatory did: the rest of a sentence about it.
fn purgatory(run: Option<&Run>) -> String {
    let Some(run) = run else {
        return "left no intact record".into();
    };
    let verdict = run.verdict.as_deref().unwrap_or("no verdict");
    match run.stage() {
        Some(Stage::Entered) => "did not finish verification".into(),
        Some(Stage::Verified) => format!("verified the image ({verdict}), and recorded no more"),
        Some(Stage::Jumped) => format!("started the capture kernel ({verdict})"),
        Some(Stage::Refused) => format!("refused the image ({verdict})"),
        None => format!("recorded the unknown stage {:?}", run.stage),
    }
}

/// The whole story. `saved` and `dump` are `None` if there is no folder, or no search for a
/// dump yet.
pub fn tell(panic: &Panic, saved: Option<&Saved>, dump: Option<&LastDump>) -> String {
    let mut story = Story(String::new());
    story.when(panic);
    let line = panic.panic_line.as_deref();
    story.row(
        "panic",
        line.unwrap_or("unknown: the crashed kernel's log was lost or has no such line"),
    );
    story.run(panic);
    if let Some(log) = &panic.capture_log {
        let release = &log.release;
        let end = match &panic.capture_panic_line {
            Some(line) => format!("also panicked: {line}"),
            None => "ran".into(),
        };
        story.row("capture", &format!("Linux {release} {end}; its last lines were:"));
        let lines =
            saved.map(|saved| saved.last_lines(CAPTURE_DMESG, LAST_LINES)).unwrap_or_default();
        lines.iter().for_each(|line| story.row("", line));
    } else if panic.run.as_ref().is_some_and(|run| run.is_at(Stage::Jumped)) {
        let unknown = "its log was not found: it stopped early, or its memory was overwritten";
        story.row("capture", unknown);
    }
    if let Some(dump) = dump {
        story.row("dump", &dump_words(dump));
    }
    story.row("next", &next(panic, dump));
    panic.notes.iter().for_each(|note| story.row("note", note));
    if let Some(saved) = saved {
        story.files(panic, saved);
    }
    story.0
}

struct Story(String);

impl Story {
    fn row(&mut self, word: &str, text: &str) {
        writeln!(self.0, "{word:WIDTH$} {text}").expect("a string has room");
    }

    fn when(&mut self, panic: &Panic) {
        let found = utc::for_people(panic.harvested_at);
        let armed = utc::for_people(panic.arming.armed_at);
        match panic.panicked_at {
            Some(time) => {
                self.row("when", &format!("about {}, found {found}", utc::for_people(time)))
            }
            None => self.row("when", &format!("between {armed} and {found}")),
        }
        self.row("kernel", &format!("Linux {}, armed {armed}", panic.arming.boot.kernel_release));
    }

    fn run(&mut self, panic: &Panic) {
        let Some(run) = &panic.run else {
            let copies = lost(&panic.copies);
            return self
                .row("purgatory", &format!("copied the log, but its record was lost; {copies}"));
        };
        self.row("purgatory", &purgatory(Some(run)));
        if let Some(verdict) = run.verdict().filter(|verdict| *verdict != Verdict::Ok) {
            self.row("", verdict.sentence());
        }
        for place in run.places.iter().take(MOST_PLACES) {
            let tail = if place.zero_tail { "zero tail of " } else { "" };
            let (start, len) = (place.span.start, place.span.len);
            self.row("", &format!("corrupt: {tail}{}, {len} bytes at {start:#x}", place.region));
        }
        let more =
            u64::from(run.corrupt_places).saturating_sub(run.places.len().min(MOST_PLACES) as u64);
        if more > 0 {
            self.row("", &format!("and {more} more corrupt places"));
        }
        if let Some(exception) = &run.exception {
            let (vector, rip, address) = (exception.vector, exception.rip, exception.address);
            self.row("", &format!("exception {vector} at RIP {rip:#x}, address {address:#x}"));
        }
        let stages = [
            ("entered", Some(run.entered_us)),
            ("log copied", run.log_copied_us),
            ("verified", run.verified_us),
            (&run.stage, run.ended_us),
        ];
        let stages =
            stages.into_iter().filter_map(|(stage, us)| Some(format!("{stage} {}", time(us?))));
        self.row("", &stages.collect::<Vec<_>>().join(", "));
        if run.nmis > 0 {
            self.row("", &format!("{} non-maskable interrupts", run.nmis));
        }
    }

    fn files(&mut self, panic: &Panic, saved: &Saved) {
        self.row("files", &saved.folder.display().to_string());
        for (name, log) in [(DMESG, &panic.log), (CAPTURE_DMESG, &panic.capture_log)] {
            let Some(log) = log else { continue };
            let damaged = match log.damaged {
                0 => String::new(),
                count => format!(", {count} not shown"),
            };
            let times = if log.text_only { ", without times" } else { "" };
            self.row("", &format!("{name}: {} records{damaged}{times}", log.records));
        }
    }
}

/// A time since the purgatory's entry.
fn time(us: u64) -> String {
    format!("after {}.{:03} ms", us / 1000, us % 1000)
}

fn dump_words(dump: &LastDump) -> String {
    match dump {
        LastDump::Saved { path, len } => format!("saved: {path}, {} MiB", mib(*len)),
        LastDump::Incomplete { path } => format!("incomplete: {path}"),
        LastDump::NotFound { directory } => format!("none of that time in {directory}"),
        LastDump::Elsewhere { place } => {
            format!("unknown: dumps go to {place}, which was not accessed")
        }
    }
}

/// What the operator does next.
fn next(panic: &Panic, dump: Option<&LastDump>) -> String {
    if dump.is_some_and(LastDump::is_saved) {
        return "open the dump with crash or drgn".into();
    }
    let Some(run) = &panic.run else {
        return "read dmesg.txt; whether the capture kernel started is unknown".into();
    };
    match (run.stage(), run.verdict()) {
        (Some(Stage::Refused), Some(verdict)) => format!(
            "read dmesg.txt; docs/troubleshooting.md has the causes and remedies of {}",
            verdict.word()
        ),
        (Some(Stage::Jumped), _) if panic.capture_panic_line.is_some() => {
            "read capture-dmesg.txt for the panic of the capture kernel".into()
        }
        (Some(Stage::Jumped), _) if panic.capture_log.is_some() => {
            "read capture-dmesg.txt for the step that failed; kdump-loader status checks the dump \
             target"
                .into()
        }
        (Some(Stage::Jumped), _) => {
            "arm with a console on the capture kernel's command line (console=ttyS0), so that its \
             messages are kept"
                .into()
        }
        _ => {
            "read dmesg.txt; a watchdog or an operator may have reset the machine meanwhile".into()
        }
    }
}

fn lost(copies: &Copies) -> String {
    let Copies { reserved, intact, foreign, lost, unreadable } = copies;
    format!(
        "{reserved} reserved: {intact} intact, {lost} overwritten, {foreign} of another \
         image, {unreadable} unreadable"
    )
}

/// What to say if no panic is saved.
pub fn tell_nothing(outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else {
        return "no panic is recorded: no image with a black box was armed before this boot, or no \
                load has looked for records yet\n"
            .into();
    };
    let armed = utc::for_people(outcome.arming.armed_at);
    let because = match &outcome.nothing {
        None if outcome.found.is_some() => {
            return "the panic that was found is no longer kept\n".into();
        }
        None => {
            return "a panic was found, but could not be saved; the journal of that load has its \
                    story\n"
                .into();
        }
        Some(Nothing::Disarmed) => {
            return format!(
                "no panic is recorded; the image of {armed} was unloaded, or replaced by one \
                 without a black box, before the last reset\n"
            );
        }
        Some(Nothing::OtherMachine) => {
            format!(
                "no panic is recorded; /{STATE}/armed.json is of another machine (armed {armed})"
            )
        }
        Some(Nothing::NoBlackBox) => {
            format!("no panic is recorded; the image of {armed} had no black box")
        }
        Some(Nothing::Unreadable { why }) => {
            format!("unknown whether the machine panicked: armed {armed}, but {why}")
        }
        Some(Nothing::NoRecord { copies }) => format!(
            "armed {armed}, but no record: memory was cleared by the reset, or the \
             kernel never reached the purgatory\n{:WIDTH$} {}",
            "copies",
            lost(copies)
        ),
    };
    let overwrite = match outcome.memory_overwrite_request {
        Some(true) => "was asked to clear memory at a reset (MemoryOverwriteRequestControl is 1)",
        Some(false) => "was not asked to clear memory (MemoryOverwriteRequestControl is 0)",
        None => "has no MemoryOverwriteRequestControl; whether it clears memory is unknown",
    };
    format!("{because}\n{:WIDTH$} {overwrite}\n", "firmware")
}

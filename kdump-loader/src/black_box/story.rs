//! `[4]` One screen of plain English: what is known about a panic, and what to do next.
//!
//! It tells only what was seen, and names the rest as unknown.

use std::fmt::Write;

use handoff::Verdict;
use handoff::black_box::Stage;

use super::panic::{Copies, Panic, Run};
use super::saved::{CAPTURE_DMESG, DMESG, Saved};
use crate::health::last_dump::LastDump;
use capture_init::utc;

mod dump; // what became of the dump
mod nothing; // no panic to tell

pub use nothing::{NoPanic, nothing};

/// Columns of the first word.
const WIDTH: usize = 12;
/// Lines of the capture kernel's log.
const LAST_LINES: usize = 6;
/// Corrupt places.
const MOST_PLACES: usize = 3;

/// The panic in one line, for the journal.
pub fn headline(panic: &Panic) -> String {
    let line = panic.panic_line.as_deref().unwrap_or("its message is not in memory");
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

/// One word and what is known about it, in one line or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The word, in lower case.
    pub word: &'static str,
    /// The lines.
    pub lines: Vec<String>,
}

/// The whole story as text. `saved` and `dump` are `None` if there is no folder, or no search for a
/// dump yet.
pub fn tell(panic: &Panic, saved: Option<&Saved>, dump: Option<&LastDump>) -> String {
    text(&rows(panic, saved, dump))
}

/// The same as rows.
pub fn rows(panic: &Panic, saved: Option<&Saved>, dump: Option<&LastDump>) -> Vec<Row> {
    let mut story = Story(Vec::new());
    story.when(panic);
    let line = panic.panic_line.as_deref();
    story.row(
        "panic",
        line.unwrap_or("unknown: the crashed kernel's log was lost or has no such line"),
    );
    story.run(panic);
    story.capture(panic, saved);
    if let Some(dump) = dump {
        story.dump(panic, dump);
    }
    story.row("next", &next(panic, dump));
    panic.notes.iter().for_each(|note| story.row("note", note));
    if let Some(saved) = saved {
        story.files(panic, saved);
    }
    story.0
}

/// Rows as lines, with the words in a column.
fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { word, lines } in rows {
        for (index, line) in lines.iter().enumerate() {
            let word = if index == 0 { word } else { "" };
            writeln!(text, "{word:WIDTH$} {line}").expect("a string has room");
        }
    }
    text
}

struct Story(Vec<Row>);

impl Story {
    fn row(&mut self, word: &'static str, line: &str) {
        self.0.push(Row { word, lines: vec![line.to_owned()] });
    }

    /// A further line of the last row.
    fn line(&mut self, line: &str) {
        self.0.last_mut().expect("a row came before").lines.push(line.to_owned());
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
            self.line(verdict.sentence());
        }
        for place in run.places.iter().take(MOST_PLACES) {
            let tail = if place.zero_tail { "zero tail of " } else { "" };
            let (start, len) = (place.span.start, place.span.len);
            self.line(&format!("corrupt: {tail}{}, {len} bytes at {start:#x}", place.region));
        }
        let more =
            u64::from(run.corrupt_places).saturating_sub(run.places.len().min(MOST_PLACES) as u64);
        if more > 0 {
            self.line(&format!("and {more} more corrupt places"));
        }
        if let Some(exception) = &run.exception {
            let (vector, rip, address) = (exception.vector, exception.rip, exception.address);
            self.line(&format!("exception {vector} at RIP {rip:#x}, address {address:#x}"));
        }
        let stages = stages(run).map(|(stage, us)| format!("{stage} after {}", milliseconds(us)));
        self.line(&stages.collect::<Vec<_>>().join(", "));
        if run.nmis > 0 {
            self.line(&format!("{} non-maskable interrupts", run.nmis));
        }
    }

    fn capture(&mut self, panic: &Panic, saved: Option<&Saved>) {
        let Some(log) = &panic.capture_log else {
            if panic.run.as_ref().is_some_and(|run| run.is_at(Stage::Jumped)) {
                self.row(
                    "capture",
                    "its log was not found: it stopped early, or its memory was overwritten",
                );
            }
            return;
        };
        let last =
            saved.map(|saved| saved.last_lines(CAPTURE_DMESG, LAST_LINES)).unwrap_or_default();
        // A kernel can say a lot after the message that matters.
        let errors = || log.errors.iter().filter(|error| !last.contains(error));
        let release = &log.release;
        if errors().next().is_some() {
            self.row("capture", &format!("Linux {release} ran; errors before its last lines:"));
            errors().for_each(|error| self.line(error));
            self.line("its last lines were:");
        } else {
            self.row("capture", &format!("Linux {release} ran; its last lines were:"));
        }
        last.iter().for_each(|line| self.line(line));
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
            self.line(&format!("{name}: {} records{damaged}{times}", log.records));
        }
    }
}

/// The stages of a run with the microseconds since the purgatory's entry.
pub fn stages(run: &Run) -> impl Iterator<Item = (&str, u64)> {
    let stages = [
        ("entered", Some(run.entered_us)),
        ("log copied", run.log_copied_us),
        ("verified", run.verified_us),
        (&run.stage, run.ended_us),
    ];
    stages.into_iter().filter_map(|(stage, us)| Some((stage, us?)))
}

/// A time.
pub fn milliseconds(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
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
    let Copies { reserved, intact, foreign, later, lost, unreadable } = copies;
    let later = if *later > 0 { format!(", {later} of a later load") } else { String::new() };
    format!(
        "{reserved} reserved: {intact} intact, {lost} overwritten, {foreign} of another \
         image{later}, {unreadable} unreadable"
    )
}

//! The order of the purgatory's lines: everything that it must say, and nothing else.
//!
//! *On entry*: memory as the purgatory finds it, and how the case ends. *On exit*: every line has
//! its place, and no place is empty. `oracle.rs` checks differences, `words.rs` the details of a
//! case.

use handoff::block::DEFAULT_RESET_DELAY_MS;
use handoff::report::Elfcorehdr;
use handoff::{EngineId, Verdict};

use super::case::{Case, Ended};
use super::memory::Memory;
use super::oracle::{CORRUPT_AT, CORRUPT_IN};
use crate::error::{Error, check};
use crate::evidence::armed::{hex, regions};

/// What it says about a machine check: what it was reading, and what the CPU has noted.
const WHAT_FAILED: [&str; 2] = ["was verifying ", "bank "];

/// What it says if reading the kernel log raised an exception.
pub const LOG_FAILED: &str = "the kernel log cannot be read, and is not kept";

/// A place in the course.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// One of these lines.
    One(Vec<String>),
    /// A line that begins so.
    Beginning(&'static str),
    /// The same, or nothing.
    Perhaps(&'static str),
    /// Any number of differences.
    Differences,
}

/// Whether the verdict is one that only a sealed block leads to, so that memory was verified and
/// the policy obeyed.
pub fn is_proven(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Ok | Verdict::SegmentCorrupt | Verdict::ZeroTail)
}

/// The delay before a reset, in milliseconds: the block's, but no longer than the default as long
/// as nothing is proven.
pub fn delay_ms(case: &Case, memory: &Memory) -> u32 {
    let asked = memory.block().reset_delay_ms.get();
    if is_proven(case.expect.verdict) { asked } else { asked.min(DEFAULT_RESET_DELAY_MS) }
}

/// Looks at all lines of a purgatory that is not to be silent.
pub fn check_course(case: &Case, memory: &Memory, said: &[&str]) -> Result<(), Error> {
    let places = course(case, memory);
    check!(
        follows(said, &places),
        "the course of what the purgatory says: expected {places:#?}, found {}",
        said.join("\n")
    )
}

fn course(case: &Case, memory: &Memory) -> Vec<Place> {
    let verdict = case.expect.verdict;
    let mut places = Vec::new();
    if case.expect.says.contains(&LOG_FAILED) {
        places.push(Place::One(vec![LOG_FAILED.to_owned()]));
    }
    if is_proven(verdict) {
        places.extend([Place::One(announcements(memory)), Place::Differences]);
    } else if matches!(verdict, Verdict::Exception | Verdict::MachineCheck) {
        // It may be raised before, while or after memory is verified.
        places.extend([
            Place::Perhaps("verifying "),
            Place::Differences,
            Place::Beginning("exception "),
        ]);
        // As many as the case names, and no more.
        for beginning in WHAT_FAILED {
            let count = case.expect.says.iter().filter(|said| said.starts_with(beginning)).count();
            places.extend((0..count).map(|_| Place::Beginning(beginning)));
        }
    }
    let line = |text: String| Place::One(vec![text]);
    let number = verdict as u32;
    let sentence = line(format!("verdict {number:#x} {}: {}", verdict.word(), verdict.sentence()));
    match case.expect.ended {
        Ended::Booted(reported) | Ended::BootedNevertheless(reported, _) => {
            match reported.elfcorehdr {
                Elfcorehdr::Ok => {}
                Elfcorehdr::Restored => places.push(Place::Beginning("elfcorehdr was broken (")),
                Elfcorehdr::Broken => places.push(Place::Beginning("elfcorehdr is broken (")),
            }
            places.push(sentence);
            if matches!(case.expect.ended, Ended::BootedNevertheless(..)) {
                places.push(line("booting anyway, as configured".into()));
            }
            places.push(Place::Beginning("report "));
        }
        Ended::Halted | Ended::Spinning => {
            places.extend([sentence, line("halted, as configured".into())]);
        }
        Ended::Reset | Ended::ResetAtOnce | Ended::TripleFault => {
            let delay_ms = delay_ms(case, memory);
            places.extend([sentence, line(format!("resetting in {delay_ms} ms"))]);
        }
    }
    places
}

/// What it says before it verifies, for each engine.
fn announcements(memory: &Memory) -> Vec<String> {
    let block = memory.block();
    let (count, identity) = (regions(&block).len(), hex(&block.seal[..8]));
    let bytes: u64 = regions(&block).iter().map(|region| region.mem_len.get()).sum();
    let engines = EngineId::ALL.iter().map(|engine| engine.word());
    engines
        .map(|engine| {
            format!("verifying {bytes} bytes in {count} segments with {engine}, image {identity}")
        })
        .collect()
}

fn follows(said: &[&str], places: &[Place]) -> bool {
    let mut said = said.iter().peekable();
    let mut fits = |place: &Place| match place {
        Place::One(lines) => {
            said.next().is_some_and(|line| lines.iter().any(|expected| expected == line))
        }
        Place::Beginning(beginning) => said.next().is_some_and(|line| line.starts_with(beginning)),
        Place::Perhaps(beginning) => {
            said.next_if(|line| line.starts_with(beginning));
            true
        }
        Place::Differences => {
            while said
                .next_if(|line| line.contains(CORRUPT_AT) || line.contains(CORRUPT_IN))
                .is_some()
            {}
            true
        }
    };
    places.iter().all(&mut fits) && said.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> [Place; 4] {
        let verdict = Place::One(vec!["verdict 0x11".into(), "verdict 0x12".into()]);
        [
            Place::Perhaps("verifying "),
            Place::Differences,
            verdict,
            Place::Beginning("resetting in "),
        ]
    }

    #[test]
    fn every_line_has_its_place() {
        let all = [
            "verifying 7",
            "initrd is corrupt at 0x1-0x2: not zero",
            "verdict 0x12",
            "resetting in 300 ms",
        ];
        assert!(follows(&all, &places()));
        assert!(follows(&all[2..], &places()), "what may be left out was");
    }

    #[test]
    fn missing_strange_and_misplaced_lines_are_noticed() {
        assert!(!follows(&["verdict 0x11"], &places()), "no last line");
        assert!(!follows(&["resetting in 300 ms"], &places()), "no verdict");
        assert!(
            !follows(&["verdict 0x11", "resetting in 300 ms", "halted, as configured"], &places()),
            "one line too many"
        );
        assert!(
            !follows(&["hello", "verdict 0x11", "resetting in 300 ms"], &places()),
            "a strange line"
        );
        assert!(
            !follows(
                &["verdict 0x11", "initrd is corrupt at 0x1", "resetting in 300 ms"],
                &places()
            ),
            "out of order"
        );
        assert!(!follows(&["verdict 0x13", "resetting in 300 ms"], &places()), "another verdict");
    }
}

//! What to say if no panic is saved: what was armed, what was looked for, and what stays unknown.

use std::fmt;

use capture_init::utc;

use super::{Row, Story, lost, text};
use crate::black_box::armed::STATE;
use crate::black_box::panic::{Nothing, Outcome};

/// Why there is no story of a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPanic {
    /// The sentence.
    pub sentence: String,
    /// What else is known.
    pub rows: Vec<Row>,
}

impl fmt::Display for NoPanic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.sentence)?;
        out.write_str(&text(&self.rows))
    }
}

/// What to say of the last harvest.
pub fn nothing(outcome: Option<&Outcome>) -> NoPanic {
    let Some(outcome) = outcome else {
        let sentence = "no panic is recorded: no image with a black box was armed before this \
                        boot, or no load has looked for records yet";
        return NoPanic { sentence: sentence.into(), rows: Vec::new() };
    };
    let armed = utc::for_people(outcome.arming.armed_at);
    let mut story = Story(Vec::new());
    let sentence = match &outcome.nothing {
        None if outcome.found.is_some() => "the panic that was found is no longer kept".into(),
        None => "a panic was found, but could not be saved; the journal of that load has its story"
            .into(),
        Some(Nothing::Disarmed) => format!(
            "no panic is recorded; the image of {armed} was unloaded, or replaced by one without a \
             black box, before the last reset"
        ),
        Some(Nothing::Shutdown { began_at, .. }) => format!(
            "no panic is recorded; an orderly shutdown or reboot began {}, with the image of \
             {armed}",
            utc::for_people(*began_at)
        ),
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
        Some(Nothing::NoRecord { copies }) => {
            story.row("copies", &lost(copies));
            if copies.later > 0 {
                format!(
                    "the machine panicked, but not with the image of {armed}: the record is of a \
                     later load, which was interrupted or could not note it in \
                     /{STATE}/armed.json, or which another system on this machine made"
                )
            } else {
                format!(
                    "armed {armed}, but no record: memory was cleared by the reset, or the kernel \
                     never reached the purgatory"
                )
            }
        }
    };
    if !matches!(outcome.nothing, None | Some(Nothing::Disarmed | Nothing::Shutdown { .. })) {
        story.row(
            "firmware",
            match outcome.memory_overwrite_request {
                Some(true) => {
                    "was asked to clear memory at a reset (MemoryOverwriteRequestControl is 1)"
                }
                Some(false) => "was not asked to clear memory (MemoryOverwriteRequestControl is 0)",
                None => "has no MemoryOverwriteRequestControl; whether it clears memory is unknown",
            },
        );
    }
    NoPanic { sentence, rows: story.0 }
}

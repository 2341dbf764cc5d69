//! "Would a panic now leave a dump?": the answer, and the findings that decide it.
//!
//! *On entry* the results of [`crate::health`]. *On exit* one of four answers. Each finding has a
//! code for programs, a level, a message, and a remedy that works on this machine.

use std::fmt;

use serde::{Deserialize, Serialize};

mod code; // the table
pub mod advice; // allowed, but probably a mistake
pub mod recorded; // advice, as the record keeps it

pub use code::Code;

/// The effect of a finding on the dump, in ascending order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No effect on the answer.
    Note,
    /// The dump is incomplete, or a condition may prevent it.
    Warning,
    /// Whether there will be a dump is unknown.
    Unknown,
    /// There will be no dump.
    Error,
}

impl Level {
    /// Every level and its word.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Note, "note"),
        (Self::Warning, "warning"),
        (Self::Unknown, "unknown"),
        (Self::Error, "error"),
    ];

    /// The word in text and JSON.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A panic now would leave a complete dump, as far as the survey can tell.
    Yes,
    /// A panic now would leave a dump, with the limits that the findings name.
    YesBut,
    /// Unknown.
    CannotTell,
    /// A panic now would leave no dump.
    No,
}

impl Answer {
    /// The word in JSON and for Prometheus.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Yes, "yes"),
        (Self::YesBut, "yes_but"),
        (Self::CannotTell, "cannot_tell"),
        (Self::No, "no"),
    ];

    /// The most severe finding decides.
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.level).max() {
            None | Some(Level::Note) => Self::Yes,
            Some(Level::Warning) => Self::YesBut,
            Some(Level::Unknown) => Self::CannotTell,
            Some(Level::Error) => Self::No,
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// Its effect on the dump.
    pub level: Level,
    /// What was found, with its values.
    pub message: String,
    /// What to do, on this machine.
    pub remedy: Option<String>,
}

impl Finding {
    /// A finding with its code's level, without a remedy.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, level: code.level(), message: message.into(), remedy: None }
    }

    /// The same finding with a remedy.
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, level, message, remedy } = self;
        write!(out, "{}[{}]: {message}", level.word(), code.word())?;
        remedy.iter().try_for_each(|remedy| write!(out, "\n  help: {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_severe_finding_decides() {
        let finding = |code| Finding::new(code, "");
        let [note, warning, unknown, error] =
            [Code::ReloadDisabled, Code::NoConsole, Code::CannotLook, Code::NotArmed].map(finding);
        assert_eq!(Answer::of(&[]), Answer::Yes);
        assert_eq!(Answer::of(std::slice::from_ref(&note)), Answer::Yes);
        assert_eq!(Answer::of(&[warning.clone(), note]), Answer::YesBut);
        assert_eq!(Answer::of(&[warning.clone(), unknown.clone()]), Answer::CannotTell);
        assert_eq!(Answer::of(&[error, unknown, warning]), Answer::No);
    }

    #[test]
    fn words_in_json_match_the_tables() {
        for (answer, word) in Answer::ALL {
            assert_eq!(serde_json::to_value(answer).unwrap(), word);
        }
        for (level, word) in Level::ALL {
            assert_eq!((serde_json::to_value(level).unwrap(), level.word()), (word.into(), word));
        }
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
            assert_eq!(Code::of_word(code.word()), Some(*code));
        }
    }

    #[test]
    fn finding_reads_like_a_message_of_rustc() {
        let finding = Finding::new(Code::NotArmed, "no capture kernel is armed")
            .remedy("run kdump-loader reload");
        assert_eq!(
            finding.to_string(),
            "error[not_armed]: no capture kernel is armed\n  help: run kdump-loader reload"
        );
    }
}

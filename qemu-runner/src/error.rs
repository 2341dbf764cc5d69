//! Why a run failed, and whether that says anything about the kernel and the loader.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the host could not be used.
    #[error("cannot {action} {path}")]
    File {
        /// The operation.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Something that `cargo xtask setup` or `cargo xtask build` makes is absent.
    #[error("{0}")]
    Missing(String),
    /// The kernel lacks what a scenario needs.
    #[error("{0}")]
    Unfit(String),
    /// QEMU, its monitor, a program of the host, or what a peer is taken out of.
    #[error("{0}")]
    Host(String),
    /// The first kernel did not come up.
    #[error("the first kernel did not boot to user space")]
    NotUp(#[source] Box<Error>),
    /// The deadline passed.
    #[error(
        "the {} s of this run are over, waiting for {waiting_for}; the serial log is {log}",
        limit.as_secs()
    )]
    Deadline {
        /// What the runner waited for.
        waiting_for: String,
        /// How long the whole run could take.
        limit: Duration,
        /// The console's log.
        log: PathBuf,
    },
    /// A check failed, or the evidence for it cannot be read.
    #[error("{0}")]
    Failed(String),
    /// A scenario failed; with its timeline until then.
    #[error("{name} failed\n{story}")]
    Scenario {
        /// The scenario.
        name: String,
        /// Its timeline so far.
        story: String,
        /// Whether the kernel had panicked, as the scenario asks.
        panicked: bool,
        /// The cause.
        #[source]
        source: Box<Error>,
    },
}

impl Error {
    /// For `map_err` on an operation with a file of the host.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    /// The machine has said something that cannot be read as `what`.
    pub(crate) fn unreadable(what: &str, text: impl std::fmt::Display) -> Self {
        Self::Failed(format!("cannot read {what}: {text}"))
    }

    /// Whether it says nothing about the kernel and the loader: the machine, QEMU or the first
    /// kernel was not there to be tested. A deadline before the panic says nothing either. After
    /// the panic, the capture kernel has missed it.
    pub fn cannot_tell(&self) -> bool {
        match self {
            Self::File { .. } | Self::Missing(_) | Self::Unfit(_) => true,
            Self::Host(_) | Self::NotUp(_) => true,
            Self::Scenario { panicked, source, .. } => {
                source.cannot_tell() || !panicked && matches!(**source, Self::Deadline { .. })
            }
            Self::Deadline { .. } | Self::Failed(_) => false,
        }
    }

    /// What the kernel lacks, if that ended the run.
    pub fn unfit(&self) -> Option<&str> {
        match self {
            Self::Unfit(reason) => Some(reason),
            Self::Scenario { source, .. } => source.unfit(),
            _ => None,
        }
    }

    /// The error and its causes, one a line.
    pub fn chain(&self) -> String {
        with_causes(self, "\n  because ")
    }
}

/// The error and its causes, with this between them.
pub(crate) fn with_causes(error: &dyn std::error::Error, between: &str) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// `check!(holds, "what: expected …, found …")`: `Ok` if it holds, or else [`Error::Failed`].
macro_rules! check {
    ($holds:expr, $($message:tt)+) => {
        if $holds { Ok(()) } else { Err($crate::error::Error::Failed(format!($($message)+))) }
    };
}

/// `check_eq!(found, expected, "what")`: `Ok` if both are equal, or else [`Error::Failed`].
macro_rules! check_eq {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) if *found == *expected => Ok(()),
            (found, expected) => Err($crate::error::Error::Failed(format!(
                "{}: expected {expected:?}, found {found:?}",
                format_args!($($what)+)
            ))),
        }
    };
}
/// What was said must contain all of these words.
pub(crate) fn expect_words(what: &str, said: &str, words: &[&str]) -> Result<(), Error> {
    let all = words.iter().all(|word| said.contains(word));
    check!(all, "{what}: expected the words {words:?}, found {said}")
}

pub(crate) use {check, check_eq};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_tells_something_after_the_panic_only() {
        let failed = |panicked, source| Error::Scenario {
            name: "capture".into(),
            story: String::new(),
            panicked,
            source: Box::new(source),
        };
        let deadline = || Error::Deadline {
            waiting_for: String::new(),
            limit: Duration::ZERO,
            log: PathBuf::new(),
        };
        assert!(failed(false, deadline()).cannot_tell() && !failed(true, deadline()).cannot_tell());
        assert!(failed(false, Error::NotUp(Box::new(deadline()))).cannot_tell());
        let check: Result<(), Error> = check_eq!(1, 2, "a");
        assert!(!failed(false, check.unwrap_err()).cannot_tell());
    }

    #[test]
    fn a_failed_check_says_what_was_expected_and_found() {
        let error: Result<(), Error> = check_eq!("6.1", "6.12", "OSRELEASE");
        let cause = error.unwrap_err().to_string();
        assert_eq!(cause, "OSRELEASE: expected \"6.12\", found \"6.1\"");
        assert!(matches!(check!(1 > 2, "{}", 1), Err::<(), _>(Error::Failed(_))));
    }
}

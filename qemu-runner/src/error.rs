//! Why a run failed, and whether that tells anything about the kernel and the loader.
//!
//! It knows no other module: those that read evidence wrap their errors in [`Error::Evidence`].

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the host could not be used.
    #[error("cannot {action} {path}")]
    File {
        /// The operation.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The manifest of assets is not one that `cargo xtask setup` writes.
    #[error("{path} cannot be parsed; `cargo xtask setup` rewrites it")]
    Manifest {
        /// Where it is.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// Something that `cargo xtask setup` or `cargo xtask build` makes is absent.
    #[error("{0}")]
    Missing(String),
    /// The kernel lacks what a scenario needs.
    #[error("{0}")]
    Unfit(String),
    /// The first kernel did not come up.
    #[error("the first kernel did not boot to user space")]
    NotUp(#[source] Box<Error>),
    /// QEMU did not start, or ended before it could be spoken to.
    #[error("QEMU did not start: {reason}")]
    Launch {
        /// Its stderr, or why it could not start.
        reason: String,
    },
    /// The deadline passed.
    #[error("the {} s of this run are over, waiting for {waiting_for}; the serial log is {log}", limit.as_secs())]
    Deadline {
        /// What the runner waited for.
        waiting_for: String,
        /// How long the whole run could take.
        limit: Duration,
        /// The console's log.
        log: PathBuf,
    },
    /// QEMU ended, or the guest reset itself, when that was not expected.
    #[error("the machine ended while the runner waited for {waiting_for}; the serial log is {log}")]
    Gone {
        /// What the runner waited for.
        waiting_for: String,
        /// The console's log.
        log: PathBuf,
    },
    /// A QMP command failed.
    #[error("QMP: {command}")]
    Monitor {
        /// The command.
        command: String,
        /// The cause.
        #[source]
        source: qapi::ExecuteError,
    },
    /// The monitor's socket failed.
    #[error("QMP: cannot {action}")]
    MonitorSocket {
        /// The operation.
        action: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A command failed in the guest.
    #[error("in the guest, `{command}` ended with {status}: {output}")]
    GuestCommand {
        /// The shell command.
        command: String,
        /// Its exit status.
        status: i32,
        /// Its output, both streams.
        output: String,
    },
    /// A program of the host failed.
    #[error("`{command}` ended with {status}: {output}")]
    HostProgram {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Its output, both streams.
        output: String,
    },
    /// The guest printed something that cannot be parsed.
    #[error("cannot parse {what}: {text:?}")]
    Unintelligible {
        /// What the runner waited for.
        what: &'static str,
        /// What was said.
        text: String,
    },
    /// Evidence that cannot be read: the module that reads it says why.
    #[error(transparent)]
    Evidence(Box<dyn std::error::Error + Send + Sync>),
    /// The loader could not build the image of a bare-metal case.
    #[error("the loader refuses the image")]
    Image(#[source] Box<loader::Error>),
    /// The purgatory of a peer cannot be used.
    #[error("the purgatory of {name} cannot be used")]
    Peer {
        /// The peer.
        name: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A check failed.
    #[error("{what}: expected {expected}, found {found}")]
    Check {
        /// What was looked at.
        what: String,
        /// What must be.
        expected: String,
        /// What is.
        found: String,
    },
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

    /// Whether it tells nothing about the kernel and the loader: the machine, QEMU or the first
    /// kernel was not there to be tested. Before the panic, a deadline tells nothing either. After
    /// it, the capture kernel has missed it.
    pub fn cannot_tell(&self) -> bool {
        match self {
            Self::File { .. } | Self::Manifest { .. } | Self::Missing(_) => true,
            Self::Unfit(_) | Self::NotUp(_) | Self::Peer { .. } => true,
            Self::Launch { .. }
            | Self::Monitor { .. }
            | Self::MonitorSocket { .. }
            | Self::HostProgram { .. } => true,
            Self::Scenario { panicked, source, .. } => {
                source.cannot_tell() || !panicked && matches!(**source, Self::Deadline { .. })
            }
            _ => false,
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
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str("\n  because ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Lets `?` turn the error of a module that reads evidence into an [`Error`], which need not know
/// the module.
macro_rules! evidence {
    ($error:ty) => {
        impl From<$error> for $crate::error::Error {
            fn from(error: $error) -> Self {
                Self::Evidence(Box::new(error))
            }
        }
    };
}
pub(crate) use evidence;

/// `found` must be `expected`.
pub(crate) fn check_eq<T: PartialEq + Display>(
    what: impl Display,
    found: &T,
    expected: &T,
) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Check {
        what: what.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// `holds` must be true; `expected` and `found` say it in words.
pub(crate) fn check(
    holds: bool,
    what: impl Display,
    expected: impl Display,
    found: impl Display,
) -> Result<(), Error> {
    if holds {
        return Ok(());
    }
    Err(Error::Check {
        what: what.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_check_says_both_values() {
        let error = check_eq("OSRELEASE", &"6.1", &"6.12").unwrap_err();
        assert_eq!(error.to_string(), "OSRELEASE: expected 6.12, found 6.1");
        assert!(check_eq("OSRELEASE", &"6.12", &"6.12").is_ok());
        assert!(check(false, "a", "b", "c").is_err());
    }

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
        assert!(!failed(false, check_eq("a", &1, &2).unwrap_err()).cannot_tell());
    }

    #[test]
    fn chain_names_every_cause() {
        let cause = Error::file("read", Path::new("/nowhere"))(io::Error::other("disk on fire"));
        let story = "0.00 s started".into();
        let error = Error::Scenario {
            name: "capture".into(),
            story,
            panicked: false,
            source: Box::new(cause),
        };
        let text = error.chain();
        assert!(
            text.contains("capture failed")
                && text.contains("/nowhere")
                && text.contains("disk on fire"),
            "{text}"
        );
    }
}

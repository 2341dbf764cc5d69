//! "If it panics now, do I get a dump?": the answer, and everything that is found wrong.
//!
//! *On entry* what [`crate::survey`] has looked at. *On exit* one word, and a sentence with a remedy for every finding.

use std::fmt;

use serde::Serialize;

use crate::outdated::Reason;

/// From this percentage of the crash region on, an image that grows a little does not fit any more.
pub const NEARLY_FULL: u64 = 90;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// There will be a dump, with less in it or less said than there could be.
    But,
    /// Whether there will be one cannot be told.
    CannotTell,
    /// There will be none.
    No,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A panic now would leave a complete dump, as far as can be seen.
    Yes,
    /// It would leave one, but.
    YesBut,
    /// Nobody knows.
    CannotTell,
    /// It would leave none.
    No,
}

impl Answer {
    /// The word in JSON and for Prometheus.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Yes, "yes"), (Self::YesBut, "yes_but"), (Self::CannotTell, "cannot_tell"), (Self::No, "no")];

    /// The worst of the findings decides.
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(Finding::severity).max() {
            None => Self::Yes,
            Some(Severity::But) => Self::YesBut,
            Some(Severity::CannotTell) => Self::CannotTell,
            Some(Severity::No) => Self::No,
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// No image is armed.
    NotArmed,
    /// No memory is reserved for one.
    NoCrashRegion,
    /// Loading was switched off, so that none can be armed either.
    LoadDisabled,
    /// Something that the answer depends on cannot be read.
    CannotLook {
        /// The error.
        message: String,
    },
    /// The armed image is not what would be armed now.
    Outdated(Reason),
    /// The kernel does not fit its next rewrite into the elfcorehdr, and would drop it.
    HeaderFull {
        /// How many program headers fit.
        fit: u64,
        /// How many the machine needs.
        needed: u64,
    },
    /// The image fills the crash region.
    NearlyFull {
        /// How much of it.
        percent: u64,
    },
    /// The purgatory can say nothing.
    NoConsole,
    /// The kernel's own purgatory verifies the image.
    KernelsPurgatory,
    /// What was said when the image was armed.
    Advice {
        /// The sentence.
        sentence: String,
    },
    /// The last reload did not succeed.
    ReloadFailed {
        /// What it said.
        message: String,
    },
    /// An event waits, and no reload has taken it.
    EventWaits,
    /// A reload has begun and not ended, and none is running.
    ReloadInterrupted,
    /// The config cannot be used, so the next reload will fail.
    ConfigUnusable {
        /// The error.
        message: String,
    },
    /// Another service arms, too.
    OtherService {
        /// Its unit.
        unit: String,
    },
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NotArmed | Self::NoCrashRegion | Self::LoadDisabled => Severity::No,
            Self::CannotLook { .. } => Severity::CannotTell,
            _ => Severity::But,
        }
    }

    /// The word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotArmed => "not_armed",
            Self::NoCrashRegion => "no_crash_region",
            Self::LoadDisabled => "load_disabled",
            Self::CannotLook { .. } => "cannot_look",
            Self::Outdated(reason) => match reason {
                Reason::NotArmed | Reason::Forced => "outdated",
                Reason::Unknown { .. } => "unknown_image",
                Reason::MemoryCame { .. } => "memory_missing",
                Reason::MemoryLeft { .. } => "memory_stale",
                Reason::BlockRemoved { .. } => "memory_removed",
                Reason::CpuCame { .. } => "cpu_missing",
                Reason::FileChanged { .. } => "file_changed",
                Reason::OptionChanged { .. } | Reason::CallChanged => "config_changed",
            },
            Self::HeaderFull { .. } => "header_full",
            Self::NearlyFull { .. } => "region_nearly_full",
            Self::NoConsole => "no_console",
            Self::KernelsPurgatory => "kernels_purgatory",
            Self::Advice { .. } => "advice",
            Self::ReloadFailed { .. } => "reload_failed",
            Self::EventWaits => "event_waits",
            Self::ReloadInterrupted => "reload_interrupted",
            Self::ConfigUnusable { .. } => "config_unusable",
            Self::OtherService { .. } => "other_service",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RELOAD: &str = "run kdump-loader reload";
        match self {
            Self::NotArmed => write!(out, "no capture kernel is armed: {RELOAD}, or load"),
            Self::NoCrashRegion => {
                write!(out, "no memory is reserved for one: boot the running kernel with crashkernel=256M on its command line")
            }
            Self::LoadDisabled => {
                write!(out, "kernel.kexec_load_disabled is 1, so none can be armed until the machine is rebooted")
            }
            Self::CannotLook { message } => write!(out, "{message}"),
            Self::Outdated(reason) => write!(out, "{reason}: {RELOAD}"),
            Self::HeaderFull { fit, needed } => write!(
                out,
                "the elfcorehdr has room for {fit} program headers and the machine needs {needed}, so the kernel cannot keep it current: {RELOAD} \
                 --force"
            ),
            Self::NearlyFull { percent } => write!(
                out,
                "the image fills {percent} % of the crash region: a slightly larger one will be refused, and the capture kernel has little memory \
                 to run in; boot with a larger crashkernel="
            ),
            Self::NoConsole => write!(
                out,
                "the purgatory has no console, so if it refuses the image it does so in silence: name one with --console, or console=ttyS0 on the \
                 capture kernel's command line"
            ),
            Self::KernelsPurgatory => {
                write!(out, "the kernel's own purgatory verifies the image, and stops in silence if it was changed")
            }
            Self::Advice { sentence } => write!(out, "{sentence}"),
            Self::ReloadFailed { message } => write!(out, "the last reload failed: {message}"),
            Self::EventWaits => write!(
                out,
                "CPUs or memory came or went, and no reload has looked at it yet: {RELOAD}, and see that kdump-loader-reload.path runs if that \
                 stays"
            ),
            Self::ReloadInterrupted => write!(out, "a reload was interrupted before it was done: {RELOAD}"),
            Self::ConfigUnusable { message } => write!(out, "the next reload will fail: {message}"),
            Self::OtherService { unit } => write!(
                out,
                "{unit} also arms capture kernels, and who is last wins: hold it back (kdump-loader service install --mask-conflicts), or remove \
                 this loader's config"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_finding_decides() {
        let (but, unknown) = (Finding::NoConsole, Finding::CannotLook { message: String::new() });
        assert_eq!(Answer::of(&[]), Answer::Yes);
        assert_eq!(Answer::of(std::slice::from_ref(&but)), Answer::YesBut);
        assert_eq!(Answer::of(&[but.clone(), unknown.clone()]), Answer::CannotTell);
        assert_eq!(Answer::of(&[Finding::NotArmed, unknown, but]), Answer::No);
    }

    #[test]
    fn words_in_json_are_those_of_the_table() {
        for (answer, word) in Answer::ALL {
            assert_eq!(serde_json::to_value(answer).unwrap(), word);
        }
    }
}

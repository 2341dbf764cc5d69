//! Decides what to do: one action, and warnings about options without effect.

use std::ffi::{OsStr, OsString};

use loader::cmdline;
use loader::request::Console;

use crate::options::Options;

use super::getopt::{self, Line, Typed};
use super::options::{Fate, Meaning, SystemCall, TYPES};

/// One thing to do.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Print the options.
    Help,
    /// Print the version.
    Version,
    /// Print the size of the crash region.
    PrintRegionSize,
    /// Exit with a status that says whether a capture kernel is armed.
    Status,
    /// Disarm.
    Unload(SystemCall),
    /// Arm.
    Load(Box<Load>),
    /// Run another kexec, for this reason.
    PassOn(String),
}

/// What to arm, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// The options of the image. Those that kexec-tools lacks keep their defaults.
    pub options: Options,
    /// The required format of the kernel's file, by its name in [`loader::kernel`].
    pub format: Option<&'static str>,
    /// The system call.
    pub call: SystemCall,
    /// Lowest address of the image.
    pub mem_min: u64,
    /// Highest address of the image.
    pub mem_max: u64,
    /// Print the image before it is armed.
    pub debug: bool,
}

/// What to do, and what to warn about first.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Options and files without effect.
    pub remarks: Vec<String>,
}

/// Why a command line is rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be parsed.
    #[error(transparent)]
    Word(#[from] getopt::Error),
    /// An option is not supported.
    #[error("--{option} {reason}")]
    Rejected {
        /// The option.
        option: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// There is nothing to arm.
    #[error("-p needs the file of a capture kernel; to disarm, use -p -u")]
    NoKernel,
    /// A value is invalid.
    #[error("--{option} {value:?} is not {expected}")]
    Value {
        /// Which option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is valid.
        expected: &'static str,
    },
}

/// Decides from the arguments after the program's name.
pub fn decide(words: impl IntoIterator<Item = OsString>) -> Result<Decision, Error> {
    let Line { options, files, error } = getopt::parse(words);
    // In the given order, and before later arguments are checked, as in kexec-tools.
    if let Some(action) = options.iter().find_map(at_once) {
        return Ok(Decision { action, remarks: Vec::new() });
    }
    if let Some(error) = error {
        return Err(error.into());
    }
    if let Some(because) = about_reboots(&options) {
        return Ok(Decision { action: Action::PassOn(because), remarks: Vec::new() });
    }
    if let Some(typed) = options.iter().find(|typed| typed.opt.fate == Fate::Rejected) {
        return Err(Error::Rejected { option: typed.opt.long, reason: typed.opt.here });
    }
    let ignored = options.iter().filter(|typed| typed.opt.fate == Fate::Ignored);
    let mut remarks: Vec<_> =
        ignored.map(|typed| format!("--{} {}", typed.opt.long, typed.opt.here)).collect();
    let action = action(&options, files, &mut remarks)?;
    Ok(Decision { action, remarks })
}

fn at_once(typed: &Typed) -> Option<Action> {
    match typed.opt.fate {
        Fate::Supported(Meaning::Help) => Some(Action::Help),
        Fate::Supported(Meaning::Version) => Some(Action::Version),
        Fate::Supported(Meaning::PrintRegionSize) => Some(Action::PrintRegionSize),
        _ => None,
    }
}

/// Why the call concerns reboots, if it does.
fn about_reboots(options: &[Typed]) -> Option<String> {
    if let Some(typed) = options.iter().find(|typed| typed.opt.fate == Fate::PassedOn) {
        return Some(format!("--{} {}", typed.opt.long, typed.opt.here));
    }
    let panic = has(options, Meaning::LoadPanic);
    match (panic || has(options, Meaning::Status), has(options, Meaning::Unload)) {
        (true, _) => None,
        (false, true) => Some("--unload without --load-panic is for reboots".into()),
        (false, false) => {
            Some("without --load-panic, --unload or --status, the call is for reboots".into())
        }
    }
}

fn has(options: &[Typed], meaning: Meaning) -> bool {
    options.iter().any(|typed| typed.opt.fate == Fate::Supported(meaning))
}

fn action(
    options: &[Typed],
    files: Vec<OsString>,
    remarks: &mut Vec<String>,
) -> Result<Action, Error> {
    if has(options, Meaning::Status) {
        return Ok(Action::Status);
    }
    let mut load = Load {
        options: Options::default(),
        format: None,
        call: SystemCall::Auto,
        mem_min: 0,
        mem_max: u64::MAX,
        debug: false,
    };
    let mut serial = None;
    let mut last = Meaning::Unload;
    for Typed { opt, value } in options {
        let Fate::Supported(meaning) = opt.fate else { continue };
        let value = value.as_deref().unwrap_or_default();
        let is_not = |expected| Error::Value {
            option: opt.long,
            value: value.to_string_lossy().into_owned(),
            expected,
        };
        match meaning {
            Meaning::Call(call) => load.call = call,
            Meaning::Type => {
                load.format = Some(
                    format(value).ok_or_else(|| is_not("bzImage64, bzImage, elf-x86_64 or uki"))?,
                )
            }
            Meaning::MemMin => {
                load.mem_min =
                    number(value).ok_or_else(|| is_not("an address such as 0x10000000"))?
            }
            Meaning::MemMax => {
                load.mem_max =
                    number(value).ok_or_else(|| is_not("an address such as 0x20000000"))?
            }
            // Invalid UTF-8 becomes U+FFFD, which is rejected later, with other invalid characters.
            Meaning::CommandLine => {
                load.options.append = Some(value.to_string_lossy().into_owned())
            }
            Meaning::ReuseCommandLine => load.options.reuse_cmdline = true,
            Meaning::Initrd => load.options.initrd = Some(value.into()),
            Meaning::NoEfi => load.options.noefi = true,
            Meaning::Serial => {
                serial = Some(
                    port(value)
                        .ok_or_else(|| is_not("ttyS0 to ttyS3 or an I/O port such as 0x3f8"))?,
                )
            }
            Meaning::ConsoleSerial => serial = serial.or(cmdline::legacy_port("ttyS0")),
            Meaning::Verbose => load.debug = true,
            Meaning::LoadPanic | Meaning::Unload => last = meaning,
            // The default, done already, or the action itself.
            Meaning::Hotplug
            | Meaning::Help
            | Meaning::Version
            | Meaning::PrintRegionSize
            | Meaning::Status => {}
        }
    }
    load.options.console = serial.map_or(Console::Auto, Console::Port);
    let mut files = files.into_iter();
    let kernel = files.next();
    // `-p -u` and `-u -p` disarm. `-u -p FILE` replaces the image; kexec-tools disarms and then
    // arms.
    if has(options, Meaning::Unload) && (kernel.is_none() || last == Meaning::Unload) {
        return Ok(Action::Unload(load.call));
    }
    load.options.kernel = kernel.ok_or(Error::NoKernel)?.into();
    remarks.extend(files.map(|file| {
        format!(
            "{} is ignored: the capture kernel is {}",
            file.display(),
            load.options.kernel.display()
        )
    }));
    if load.call == SystemCall::FileLoad {
        remarks.extend(without_effect(options));
    }
    Ok(Action::Load(Box::new(load)))
}

/// Options that kexec_file_load(2) does not support.
fn without_effect(options: &[Typed]) -> impl Iterator<Item = String> {
    const PLACED_BY_US: [Meaning; 5] =
        [Meaning::MemMin, Meaning::MemMax, Meaning::NoEfi, Meaning::Serial, Meaning::ConsoleSerial];
    let typed = options.iter().filter(|typed| {
        PLACED_BY_US.iter().any(|&meaning| typed.opt.fate == Fate::Supported(meaning))
    });
    typed.map(|typed| {
        format!("--{} has no effect: with kexec_file_load, the kernel decides", typed.opt.long)
    })
}

fn format(value: &OsStr) -> Option<&'static str> {
    TYPES.iter().find(|(name, _)| value == *name).map(|(_, format)| *format)
}

/// Parses as `strtoul` with base 0: decimal, 0x… or 0….
fn number(text: &OsStr) -> Option<u64> {
    let text = text.to_str()?;
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

fn port(value: &OsStr) -> Option<u16> {
    let text = value.to_str()?;
    cmdline::legacy_port(text).or_else(|| cmdline::hexadecimal_port(text))
}

#[cfg(test)]
mod tests;

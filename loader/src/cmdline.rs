//! `[6]` The capture kernel's command line: the caller's parameters, those that the loader adds,
//! and room for the purgatory's report.
//!
//! *On entry*
//! * the caller's parameters and the elfcorehdr's address.
//!
//! *On exit*
//! * the bytes as the kernel will read them, not longer than it reads;
//! * the offset of the field that the purgatory fills in after verification.

use std::ffi::CString;

use handoff::report;

mod base; // [6a] the caller's parameters
mod parameter; // [6b] one parameter
mod settings; // [6c] parameters that the loader looks up
mod running_only; // [6d] parameters that a capture kernel must not get
mod console; // [6e] the serial console

pub use base::Base;
pub(crate) use console::console_port;
pub use console::{hexadecimal_port, legacy_port};
use parameter::{parameters, same_name};
pub use running_only::{Row, Values, Weight};
pub use settings::{
    cpu_limit, every_word, has_parameter, of_module, starts_one_cpu, value, values, written,
};

/// A finished command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Its bytes: the line, a NUL, and the report's field if it did not fit before the NUL.
    pub bytes: Vec<u8>,
    /// Where the purgatory writes its report; `None` if it makes none.
    pub report: Option<ReportField>,
}

/// The place of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportField {
    /// Offset of its field of [`report::FIELD_LEN`] spaces in the command line's bytes.
    pub offset: usize,
    /// By how many bytes the line is too long for the field. If it is not 0, the field is after the
    /// NUL, where nothing reads it.
    pub lacking: usize,
}

/// Bytes that kexec_file_load(2) reserves for `elfcorehdr=0x… ` (MAX_ELFCOREHDR_STR_LEN,
/// arch/x86/kernel/kexec-bzimage64.c).
const KERNELS_ELFCOREHDR_LEN: usize = 30;
/// Bytes that it reserves for `dmcryptkeys=` (`MAX_DMCRYPTKEYS_STR_LEN`, the same file since Linux
/// 6.16).
const KERNELS_DMCRYPTKEYS_LEN: usize = 31;
/// Parameters that only the loader may pass, each with the reason.
const OURS: [(&str, &str); 2] = [
    ("elfcorehdr", "the loader decides where the elfcorehdr goes"),
    ("purgatory.report", "the purgatory fills it in"),
];

/// Composes the command line for a kernel that reads `cmdline_size` bytes: `base`, `elfcorehdr=`,
/// `acpi_rsdp=` if given, and the report's field if the purgatory `reports`. If everything but the
/// report's field fits, the field goes after the NUL.
pub(crate) fn compose(
    base: &[u8],
    cmdline_size: u32,
    elfcorehdr: u64,
    acpi_rsdp: Option<u64>,
    reports: bool,
) -> Result<CommandLine, Error> {
    let base = legible(base)?;
    let (parameters, end) = parameters(base);
    let ours = |(name, reason): (&str, &'static str)| {
        let word = parameters.iter().find(|word| same_name(word.name(), name.as_bytes()))?;
        Some(Error::Ours { word: text(word.text), reason })
    };
    if let Some(error) = OURS.into_iter().find_map(ours) {
        return Err(error);
    }
    let (kernels, inits) = base.split_at(end);
    // An open quote would include everything after it (`next_arg`, lib/cmdline.c).
    if kernels.iter().filter(|&&byte| byte == b'"').count() % 2 != 0 {
        return Err(Error::OpenQuote {
            at: kernels.iter().rposition(|&byte| byte == b'"').expect("an odd number of them"),
        });
    }

    let mut added = format!("elfcorehdr={elfcorehdr:#x}");
    added += &acpi_rsdp.map(|address| format!(" acpi_rsdp={address:#x}")).unwrap_or_default();
    let line = |report: bool| {
        let mut line = trimmed(kernels).to_vec();
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(added.as_bytes());
        line.extend_from_slice(if report { report::PARAMETER.as_bytes() } else { b"" });
        let offset = line.len();
        line.resize(offset + if report { report::FIELD_LEN } else { 0 }, b' ');
        if !inits.is_empty() {
            line.push(b' ');
            line.extend_from_slice(inits);
        }
        line.push(0);
        (line, offset)
    };
    // The NUL counts, as in `bzImage64_load` (arch/x86/kernel/kexec-bzimage64.c).
    let size = cmdline_size as usize;
    let mut lacking = 0;
    if reports {
        let (bytes, offset) = line(true);
        lacking = bytes.len().saturating_sub(size);
        if lacking == 0 {
            return Ok(CommandLine { bytes, report: Some(ReportField { offset, lacking }) });
        }
    }
    let (mut bytes, _) = line(false);
    fits(base, bytes.len(), cmdline_size)?;
    if !reports {
        return Ok(CommandLine { bytes, report: None });
    }
    // The purgatory writes its report in any case. The kernel reads nothing after the NUL.
    let offset = bytes.len();
    bytes.resize(offset + report::FIELD_LEN, b' ');
    Ok(CommandLine { bytes, report: Some(ReportField { offset, lacking }) })
}

/// Checks the command line `base` for kexec_file_load(2) and a kernel that reads `cmdline_size`
/// bytes. The running kernel will put `elfcorehdr=` before it, and `dmcryptkeys=` if it passes
/// keys.
pub(crate) fn for_kernel(
    base: &[u8],
    cmdline_size: u32,
    dm_crypt_keys: bool,
) -> Result<CString, Error> {
    let base = legible(base)?;
    let (name, reason) = OURS[0];
    if let Some(word) =
        parameters(base).0.iter().find(|word| same_name(word.name(), name.as_bytes()))
    {
        return Err(Error::Ours { word: text(word.text), reason });
    }
    let keys = if dm_crypt_keys { KERNELS_DMCRYPTKEYS_LEN } else { 0 };
    fits(base, base.len() + 1 + KERNELS_ELFCOREHDR_LEN + keys, cmdline_size)?;
    Ok(CString::new(base).expect("a legible line has no NUL"))
}

/// Checks that the kernel reads all `needed` bytes of a line.
fn fits(base: &[u8], needed: usize, cmdline_size: u32) -> Result<(), Error> {
    match needed.checked_sub(cmdline_size as usize) {
        None | Some(0) => Ok(()),
        Some(excess) => Err(Error::TooLong {
            needed,
            cmdline_size,
            base: base.len(),
            added: needed - base.len(),
            excess,
        }),
    }
}

/// The line without white space around it, if it has no byte at which the kernel would stop or
/// split.
fn legible(base: &[u8]) -> Result<&[u8], Error> {
    let base = trimmed(base);
    match base.iter().position(|&byte| byte.is_ascii_control() && byte != b'\t') {
        Some(at) => Err(Error::Character { character: base[at].into(), at }),
        None => Ok(base),
    }
}

/// The line without spaces and tabs around it.
fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

/// A command line as text, for messages and JSON. Each byte that is not UTF-8 becomes `\x` and two
/// hexadecimal digits.
pub fn text(line: &[u8]) -> String {
    let part = |chunk: std::str::Utf8Chunk<'_>| {
        let escaped: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        chunk.valid().to_owned() + &escaped
    };
    line.utf8_chunks().map(part).collect()
}

/// Why a command line is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than the kernel reads.
    #[error(
        "the command line needs {needed} bytes ({base} given, {added} added by the loader), but \
         this kernel reads {cmdline_size}: shorten it by {excess}"
    )]
    TooLong {
        /// Bytes of the whole line, with its NUL.
        needed: usize,
        /// Bytes that the kernel reads.
        cmdline_size: u32,
        /// Bytes from the caller.
        base: usize,
        /// Bytes that the loader adds.
        added: usize,
        /// Bytes that must go.
        excess: usize,
    },
    /// It has a control character. The kernel would stop at a NUL, and split words at others.
    #[error(
        "the command line contains the control character {character:?} at byte {at}: remove it"
    )]
    Character {
        /// The character.
        character: char,
        /// Its offset in bytes.
        at: usize,
    },
    /// It opens a quote and never closes it.
    #[error(
        "the command line opens a quote at byte {at} and never closes it: add the closing quote"
    )]
    OpenQuote {
        /// The quote's offset in bytes.
        at: usize,
    },
    /// It has a parameter that only the loader may pass.
    #[error("the command line already contains {word}, but {reason}: remove it")]
    Ours {
        /// The parameter.
        word: String,
        /// Why.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests;

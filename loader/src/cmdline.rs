//! [6a] The capture kernel's command line: the caller's words, what the loader must add, and room for the purgatory's report.
//!
//! *On entry:* the caller's words and the elfcorehdr's address. *On exit:* the bytes as the kernel will read them, no longer than it
//! reads, and the offset of the field that the purgatory fills in after verification.

use std::ffi::CString;

use handoff::block::HIGHEST_CONSOLE_PORT;
use handoff::report;

/// A finished command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Its bytes, ending in NUL.
    pub bytes: Vec<u8>,
    /// Where in `bytes` the report's field of [`report::FIELD_LEN`] spaces begins, if there is one.
    pub report_offset: Option<usize>,
}

/// What ends the kernel's parameters: everything after it is init's (`parse_args`, kernel/params.c).
const END_OF_PARAMETERS: &str = "--";
/// Room that kexec_file_load(2) keeps for `elfcorehdr=0x… ` (MAX_ELFCOREHDR_STR_LEN, arch/x86/kernel/kexec-bzimage64.c).
const KERNELS_ELFCOREHDR_LEN: usize = 30;
/// Parameters that only the loader may give, each with its reason.
const OURS: [(&str, &str); 2] =
    [("elfcorehdr", "the loader decides where the elfcorehdr lies"), ("purgatory.report", "the purgatory fills it in")];

/// The command line `base` with `elfcorehdr=`, `acpi_rsdp=` where one is given, and the report's field if the purgatory `reports`, for
/// a kernel that reads `cmdline_size` bytes.
pub fn compose(
    base: &str,
    cmdline_size: u32,
    elfcorehdr: u64,
    acpi_rsdp: Option<u64>,
    reports: bool,
) -> Result<CommandLine, Error> {
    let base = legible(base)?;
    let words = words(base);
    let end = words.iter().position(|word| word.text == END_OF_PARAMETERS);
    let (parameters, _) = words.split_at(end.unwrap_or(words.len()));
    for (name, reason) in OURS {
        if let Some(word) = parameters.iter().find(|word| word.name() == name) {
            return Err(Error::Ours { word: word.text.to_owned(), reason });
        }
    }
    let (kernels, inits) = match end {
        Some(end) => base.split_at(words[end].at),
        None => (base, ""),
    };
    // An open quote would swallow what follows it (`next_arg`, lib/cmdline.c).
    if kernels.matches('"').count() % 2 != 0 {
        return Err(Error::OpenQuote { at: kernels.rfind('"').expect("an odd number of them") });
    }

    let mut line = kernels.trim_end_matches([' ', '\t']).to_owned();
    line += &format!(" elfcorehdr={elfcorehdr:#x}");
    line += &acpi_rsdp.map(|address| format!(" acpi_rsdp={address:#x}")).unwrap_or_default();
    line += if reports { report::PARAMETER } else { "" };
    let leading = line.len() - line.trim_start_matches(' ').len();
    line.drain(..leading);
    let report_offset = reports.then_some(line.len());
    line += &" ".repeat(if reports { report::FIELD_LEN } else { 0 });
    if !inits.is_empty() {
        line.push(' ');
        line += inits;
    }
    let needed = line.len() + 1;
    // As `bzImage64_load` has it (arch/x86/kernel/kexec-bzimage64.c): the NUL counts.
    match needed.checked_sub(cmdline_size as usize) {
        None | Some(0) => {}
        Some(excess) => {
            return Err(Error::TooLong { needed, cmdline_size, base: base.len(), added: needed - base.len(), excess });
        }
    }
    let mut bytes = line.into_bytes();
    bytes.push(0);
    Ok(CommandLine { bytes, report_offset })
}

/// The command line `base` for a kernel that reads `cmdline_size` bytes, when the running kernel puts `elfcorehdr=` before it.
pub fn for_kernel(base: &str, cmdline_size: u32) -> Result<CString, Error> {
    let base = legible(base)?;
    let (name, reason) = OURS[0];
    if let Some(word) = words(base).iter().take_while(|word| word.text != END_OF_PARAMETERS).find(|word| word.name() == name) {
        return Err(Error::Ours { word: word.text.to_owned(), reason });
    }
    let needed = base.len() + 1 + KERNELS_ELFCOREHDR_LEN;
    if let Some(excess @ 1..) = needed.checked_sub(cmdline_size as usize) {
        return Err(Error::TooLong { needed, cmdline_size, base: base.len(), added: needed - base.len(), excess });
    }
    Ok(CString::new(base).expect("a legible line has no NUL"))
}

/// The line without white space around it, if the kernel would read all of it.
fn legible(base: &str) -> Result<&str, Error> {
    let base = base.trim_matches([' ', '\t']);
    match base.char_indices().find(|&(_, character)| forbidden(character)) {
        Some((at, character)) => Err(Error::Character { character, at }),
        None => Ok(base),
    }
}

/// The running kernel's command line as the base of a capture kernel's: without what only concerns the running one, and with `append`.
pub fn reuse(running: &str, append: &str) -> String {
    /// `crashkernel` would take memory from the little there is; `BOOT_IMAGE` names the running kernel's file; the others are ours.
    const DROPPED: [&str; 4] = ["crashkernel", "BOOT_IMAGE", "elfcorehdr", "purgatory.report"];
    let words = words(running);
    let end = words.iter().position(|word| word.text == END_OF_PARAMETERS).unwrap_or(words.len());
    let (parameters, inits) = words.split_at(end);
    let kept = parameters.iter().filter(|word| !DROPPED.contains(&word.name())).map(|word| word.text);
    let appended = Some(append.trim()).filter(|append| !append.is_empty());
    kept.chain(appended).chain(inits.iter().map(|word| word.text)).collect::<Vec<_>>().join(" ")
}

/// The base that was asked for: of the running kernel if it is to be reused, else what was given, else what the capture kernel brings along.
pub fn chosen(running: &str, reuse: bool, given: Option<&str>, brought: Option<String>) -> String {
    match given {
        _ if reuse => self::reuse(running, given.unwrap_or_default()),
        Some(given) => given.to_owned(),
        None => brought.unwrap_or_default(),
    }
}

/// The first I/O port of the 8250 that the kernel's console or early console is on; of several, the last named, as for /dev/console.
pub fn console_port(line: &str) -> Option<u16> {
    let words = words(line);
    let parameters = words.iter().take_while(|word| word.text != END_OF_PARAMETERS);
    parameters.filter_map(|word| port_of(word.name(), word.value()?)).last()
}

/// Whether the kernel is given the parameter `name`, with a value or without.
pub fn has_parameter(line: &str, name: &str) -> bool {
    let words = words(line);
    words.iter().take_while(|word| word.text != END_OF_PARAMETERS).any(|word| word.name() == name)
}

fn port_of(name: &str, value: &str) -> Option<u16> {
    let mut parts = value.split(',');
    let first = parts.next()?;
    match name {
        "console" | "earlycon" if matches!(first, "uart8250" | "uart") => {
            if parts.next()? == "io" {
                hexadecimal_port(parts.next()?)
            } else {
                None
            }
        }
        "console" => legacy_port(first),
        "earlyprintk" => value.strip_prefix("serial").or_else(|| value.strip_prefix("ttyS")).and_then(early_port),
        _ => None,
    }
}

/// Where the four legacy ports are, by name (`SERIAL_PORT_DFNS`, arch/x86/include/asm/serial.h).
pub fn legacy_port(device: &str) -> Option<u16> {
    Some(match device {
        "ttyS0" => 0x3f8,
        "ttyS1" => 0x2f8,
        "ttyS2" => 0x3e8,
        "ttyS3" => 0x2e8,
        _ => return None,
    })
}

/// What follows `serial` or `ttyS` in `earlyprintk=`: `,0xPORT`, or the number of a device, of which the kernel knows two here and takes the
/// first for any other (`early_serial_init`, arch/x86/kernel/early_printk.c).
fn early_port(rest: &str) -> Option<u16> {
    let device = rest.strip_prefix(',').unwrap_or(rest).split(',').next()?;
    if device.starts_with("0x") {
        return hexadecimal_port(device);
    }
    let number = device.strip_prefix("ttyS").unwrap_or(device);
    legacy_port(if number == "1" { "ttyS1" } else { "ttyS0" })
}

/// The first port of a UART, as `0xPORT`.
pub fn hexadecimal_port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("0x")?;
    if digits.starts_with('+') {
        return None;
    }
    u16::from_str_radix(digits, 16).ok().filter(|&port| (1..=HIGHEST_CONSOLE_PORT).contains(&port))
}

/// One word of a command line, with the quotes in it.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    at: usize,
    text: &'a str,
}

impl<'a> Word<'a> {
    /// What stands before the first `=`, without the quote that may stand before it.
    fn name(&self) -> &'a str {
        let unquoted = self.text.trim_start_matches('"');
        unquoted.split_once('=').map_or(unquoted.trim_end_matches('"'), |(name, _)| name)
    }

    /// What stands after it, without the quotes around it.
    fn value(&self) -> Option<&'a str> {
        Some(self.text.split_once('=')?.1.trim_matches('"'))
    }
}

/// Splits as `next_arg` does (lib/cmdline.c): at white space, except between double quotes.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        if character.is_ascii_whitespace() && !quoted {
            words.extend(start.take().map(|start| Word { at: start, text: &line[start..at] }));
            continue;
        }
        start.get_or_insert(at);
        quoted ^= character == '"';
    }
    words.extend(start.map(|start| Word { at: start, text: &line[start..] }));
    words
}

/// The kernel would stop at NUL and break words at other control characters; U+FFFD is what is left of bytes that were no text.
fn forbidden(character: char) -> bool {
    (character.is_control() && character != '\t') || character == char::REPLACEMENT_CHARACTER
}

/// Why there is no command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel would cut it.
    #[error(
        "the command line needs {needed} bytes ({base} given, {added} added by the loader), but this kernel reads {cmdline_size}; \
         shorten it by {excess}"
    )]
    TooLong {
        /// Bytes with everything, the NUL included.
        needed: usize,
        /// Bytes that the kernel reads.
        cmdline_size: u32,
        /// Bytes that were given.
        base: usize,
        /// Bytes that the loader adds.
        added: usize,
        /// By how much it must become shorter.
        excess: usize,
    },
    /// A character that the kernel would not take for itself.
    #[error("the command line contains {character:?} at byte {at}; take it out")]
    Character {
        /// Which.
        character: char,
        /// Where.
        at: usize,
    },
    /// A quote is never closed.
    #[error("the command line opens a quote at byte {at} that nothing closes; close it")]
    OpenQuote {
        /// Where.
        at: usize,
    },
    /// A parameter that the loader itself appends.
    #[error("the command line already contains {word}, but {reason}; take it out")]
    Ours {
        /// The parameter.
        word: String,
        /// Why it may not be there.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests;

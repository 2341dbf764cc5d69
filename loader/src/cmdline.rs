//! [6a] The capture kernel's command line: the caller's words, what the loader must add, and room for the purgatory's report.
//!
//! *On entry:* the caller's words and the elfcorehdr's address. *On exit:* the bytes as the kernel will read them, no longer than it
//! reads, and the offset of the field that the purgatory fills in after verification.

use handoff::report;

/// A finished command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Its bytes, ending in NUL.
    pub bytes: Vec<u8>,
    /// Where in `bytes` the report's field of [`report::FIELD_LEN`] spaces begins.
    pub report_offset: usize,
}

/// What ends the kernel's parameters: everything after it is init's (`parse_args`, kernel/params.c).
const END_OF_PARAMETERS: &str = "--";
/// Parameters that only the loader may give, each with its reason.
const OURS: [(&str, &str); 2] =
    [("elfcorehdr", "the loader decides where the elfcorehdr lies"), ("purgatory.report", "the purgatory fills it in")];

/// The command line `base` with `elfcorehdr=`, `acpi_rsdp=` where one is given, and the report's field, for a kernel that reads
/// `cmdline_size` bytes.
pub fn compose(base: &str, cmdline_size: u32, elfcorehdr: u64, acpi_rsdp: Option<u64>) -> Result<CommandLine, Error> {
    let base = base.trim_matches([' ', '\t']);
    if let Some((at, character)) = base.char_indices().find(|&(_, character)| forbidden(character)) {
        return Err(Error::Character { character, at });
    }
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
    line += report::PARAMETER;
    let leading = line.len() - line.trim_start_matches(' ').len();
    line.drain(..leading);
    let report_offset = line.len();
    line += &" ".repeat(report::FIELD_LEN);
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

/// The first I/O port of the 8250 that the kernel's console or early console is on; of several, the last named, as for /dev/console.
pub fn console_port(line: &str) -> Option<u16> {
    let words = words(line);
    let parameters = words.iter().take_while(|word| word.text != END_OF_PARAMETERS);
    parameters.filter_map(|word| port_of(word.name(), word.value()?)).last()
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

/// Where the four legacy ports are (`SERIAL_PORT_DFNS`, arch/x86/include/asm/serial.h).
fn legacy_port(device: &str) -> Option<u16> {
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

fn hexadecimal_port(text: &str) -> Option<u16> {
    // A UART has eight ports, the last of which must exist too.
    const LAST_FIRST_PORT: u16 = 0xfff8;
    let digits = text.strip_prefix("0x")?;
    if digits.starts_with('+') {
        return None;
    }
    u16::from_str_radix(digits, 16).ok().filter(|&port| (1..=LAST_FIRST_PORT).contains(&port))
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Debian's.
    const CMDLINE_SIZE: u32 = 2047;

    fn composed(base: &str) -> String {
        let line = compose(base, CMDLINE_SIZE, 0x2f00_0000, None).unwrap();
        let (nul, text) = line.bytes.split_last().unwrap();
        assert_eq!(*nul, 0);
        let text = str::from_utf8(text).unwrap();
        let field = " ".repeat(report::FIELD_LEN);
        assert_eq!(&text[line.report_offset..][..report::FIELD_LEN], field, "{base}");
        assert!(text[..line.report_offset].ends_with(report::PARAMETER), "{base}");
        text.replace(&field, "<FIELD>")
    }

    #[test]
    fn parameters_are_appended_before_those_of_init() {
        for (base, expected) in [
            ("quiet", "quiet elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
            ("", "elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
            ("  a=1\tb  ", "a=1\tb elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
            ("quiet -- --verbose x", "quiet elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- --verbose x"),
            ("-- x", "elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- x"),
            ("a=\"b -- c\" d", "a=\"b -- c\" d elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
            ("a --b", "a --b elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
            ("a -- elfcorehdr=1 \"", "a elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- elfcorehdr=1 \""),
        ] {
            assert_eq!(composed(base), expected);
        }
    }

    #[test]
    fn rsdp_is_passed_where_it_is_given() {
        let line = compose("quiet", CMDLINE_SIZE, 0x1_2f00_0000, Some(0x3ffd_e014)).unwrap();
        assert!(line.bytes.starts_with(b"quiet elfcorehdr=0x12f000000 acpi_rsdp=0x3ffde014 purgatory.report="));
    }

    #[test]
    fn line_of_exactly_the_size_passes_and_one_byte_more_is_refused_with_both_numbers() {
        let added = composed("x").replace("<FIELD>", &" ".repeat(report::FIELD_LEN)).len(); // and the NUL, instead of the x
        let longest = "x".repeat(CMDLINE_SIZE as usize - added);
        let line = compose(&longest, CMDLINE_SIZE, 0x2f00_0000, None).unwrap();
        assert_eq!(line.bytes.len(), CMDLINE_SIZE as usize);
        let error = compose(&format!("{longest}xyz"), CMDLINE_SIZE, 0x2f00_0000, None).unwrap_err();
        let expected = Error::TooLong { needed: 2050, cmdline_size: 2047, base: longest.len() + 3, added, excess: 3 };
        assert_eq!(error, expected);
        let text = error.to_string();
        assert!(text.contains("needs 2050") && text.contains("reads 2047") && text.contains("shorten it by 3"), "{text}");
    }

    #[test]
    fn what_the_kernel_would_misread_is_refused() {
        let ours = |word: &str, index: usize| Error::Ours { word: word.into(), reason: OURS[index].1 };
        for (base, error) in [
            ("a\0b", Error::Character { character: '\0', at: 1 }),
            ("a b\nc", Error::Character { character: '\n', at: 3 }),
            ("é\u{7f}", Error::Character { character: '\u{7f}', at: 2 }),
            ("x=\u{fffd}", Error::Character { character: '\u{fffd}', at: 2 }),
            ("a=\"b c", Error::OpenQuote { at: 2 }),
            ("a elfcorehdr=0x1000", ours("elfcorehdr=0x1000", 0)),
            ("\"elfcorehdr=0x1000\"", ours("\"elfcorehdr=0x1000\"", 0)),
            ("purgatory.report=ok b", ours("purgatory.report=ok", 1)),
        ] {
            assert_eq!(compose(base, CMDLINE_SIZE, 0, None), Err(error), "{base:?}");
        }
        assert!(compose("root=LABEL=é crash.elfcorehdr=1", CMDLINE_SIZE, 0, None).is_ok());
    }

    #[test]
    fn reuse_drops_what_concerns_the_running_kernel_only() {
        for (running, append, expected) in [
            ("BOOT_IMAGE=/vmlinuz ro crashkernel=256M quiet", "nr_cpus=1", "ro quiet nr_cpus=1"),
            ("crashkernel=512M,high crashkernel=72M,low a", "", "a"),
            ("elfcorehdr=0x1 purgatory.report=ok,engine:soft   a", " b ", "a b"),
            ("a=\"x crashkernel=1M y\" \"crashkernel=2M\" b", "", "a=\"x crashkernel=1M y\" b"),
            ("ro -- crashkernel=mine", "irqpoll", "ro irqpoll -- crashkernel=mine"),
            ("nocrashkernel=1 crashkernel", "", "nocrashkernel=1"),
            ("", "", ""),
        ] {
            assert_eq!(reuse(running, append), expected, "{running:?} and {append:?}");
        }
    }

    #[test]
    fn last_serial_console_is_found() {
        for (line, port) in [
            ("console=ttyS0", Some(0x3f8)),
            ("console=ttyS1,115200n8", Some(0x2f8)),
            ("console=ttyS2 console=tty0", Some(0x3e8)),
            ("console=ttyS0 console=ttyS3", Some(0x2e8)),
            ("console=ttyS4", None),
            ("console=ttyS10", None),
            ("console=ttyS", None),
            ("console=tty0", None),
            ("console", None),
            ("console=uart8250,io,0x1000,9600", Some(0x1000)),
            ("console=uart,io,0x3f8", Some(0x3f8)),
            ("console=uart8250,mmio,0xfe000000", None),
            ("console=uart8250,io,0x10000", None),
            ("console=uart8250,io,0xfff9", None),
            ("console=uart8250,io,0x0", None),
            ("console=uart8250,io", None),
            ("earlycon=uart8250,io,0x2f8,115200", Some(0x2f8)),
            ("earlycon", None),
            ("earlycon=ttyS0", None),
            ("earlyprintk=serial", Some(0x3f8)),
            ("earlyprintk=serial,keep", Some(0x3f8)),
            ("earlyprintk=serial,ttyS1,115200", Some(0x2f8)),
            ("earlyprintk=serial,0xe000,115200", Some(0xe000)),
            ("earlyprintk=ttyS1,115200", Some(0x2f8)),
            ("earlyprintk=ttyS2", Some(0x3f8)),
            ("earlyprintk=vga", None),
            ("earlyprintk", None),
            ("xconsole=ttyS0", None),
            ("a=\"console=ttyS0\"", None),
            ("\"console=ttyS0\"", Some(0x3f8)),
            ("quiet -- console=ttyS0", None),
        ] {
            assert_eq!(console_port(line), port, "{line}");
        }
    }

    proptest! {
        #[test]
        fn composed_line_fits_and_keeps_every_word(base in "[a-z=\" -]{0,120}", size in 0..400u32) {
            if let Ok(line) = compose(&base, size, 0x1000, None) {
                prop_assert!(line.bytes.len() <= size as usize);
                let text = str::from_utf8(&line.bytes[..line.bytes.len() - 1]).unwrap();
                let names: Vec<_> = words(text).iter().map(|word| word.text.to_owned()).collect();
                prop_assert!(words(base.trim()).iter().all(|word| names.iter().any(|name| name == word.text)), "{}", text);
                let end = names.iter().position(|name| name == "--").unwrap_or(names.len());
                prop_assert!(names[..end].iter().any(|name| name == "elfcorehdr=0x1000"), "{}", text);
            }
        }
    }
}

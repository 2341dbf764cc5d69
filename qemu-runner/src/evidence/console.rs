//! The purgatory's console lines as types. Each starts with [`PREFIX`].

use std::ops::Range;

use handoff::Verdict;

use crate::error::Error;

/// What every line of the purgatory starts with.
pub const PREFIX: &str = "purgatory: ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Verifying,
    /// A segment is not what was loaded.
    Corrupt {
        segment: String,
        /// The damaged leaf or tail, physical.
        span: Range<u64>,
    },
    /// The load-time copy of the elfcorehdr was put back.
    Restored,
    Verdict(Verdict),
    /// After so many milliseconds.
    Resetting(u32),
    Halted,
    /// It boots the capture kernel although something is wrong.
    Booting,
    Remark(String),
}

/// What the purgatory says in `line`; `None` when the line is somebody else's.
///
/// The kernel that crashed may have been interrupted in the middle of a line, so the prefix need
/// not stand at the start.
pub fn parse(line: &str) -> Result<Option<Said>, Error> {
    let Some((_, said)) = line.split_once(PREFIX) else { return Ok(None) };
    let error = || Error::unreadable("a line of the purgatory", line);
    let said = if said.starts_with("verifying ") {
        Said::Verifying
    } else if said.starts_with("ok: ") {
        Said::Verdict(Verdict::Ok)
    } else if let Some(rest) = said.strip_prefix("verdict ") {
        Said::Verdict(verdict(rest).ok_or_else(error)?)
    } else if said.starts_with("elfcorehdr was broken") {
        Said::Restored
    } else if let Some((segment, rest)) = said.split_once(" is corrupt at ") {
        Said::Corrupt { segment: segment.to_owned(), span: span(rest).ok_or_else(error)? }
    } else if let Some(rest) = said.strip_prefix("resetting in ") {
        let number = rest.split(' ').next().and_then(|number| number.parse().ok());
        Said::Resetting(number.ok_or_else(error)?)
    } else if said.starts_with("halted") {
        Said::Halted
    } else if said.starts_with("booting anyway") {
        Said::Booting
    } else {
        Said::Remark(said.to_owned())
    };
    Ok(Some(said))
}

/// `0x30 segment-corrupt: …`; number and word must be the same verdict's.
fn verdict(text: &str) -> Option<Verdict> {
    let (number, rest) = text.split_once(' ')?;
    let (word, _) = rest.split_once(':')?;
    let verdict = Verdict::from_wire(u32::try_from(hexadecimal(number)?).ok()?)?;
    (verdict.word() == word).then_some(verdict)
}

/// `0xSTART-0xEND: …`; the console names the last address, the range one past it.
fn span(text: &str) -> Option<Range<u64>> {
    let (span, _) = text.split_once(':')?;
    let (start, last) = span.split_once('-')?;
    Some(hexadecimal(start)?..hexadecimal(last)?.checked_add(1)?)
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Said {
        parse(line).unwrap().unwrap()
    }

    #[test]
    fn verdicts_are_read_by_number_and_word() {
        for verdict in Verdict::ALL {
            let (number, word) = (*verdict as u32, verdict.word());
            let line = format!("purgatory: verdict {number:#04x} {word}: {}", verdict.sentence());
            assert_eq!(said(&line), Said::Verdict(*verdict));
        }
        assert!(parse("purgatory: verdict 0x30 ok: all is well").is_err());
        assert!(parse("purgatory: verdict 0x99 new-word: what").is_err());
    }

    #[test]
    fn every_line_that_scenarios_wait_for_is_told_from_the_others() {
        let (segment, span) = ("initrd".to_owned(), 0x10_0000..0x14_0000);
        for (line, expected) in [
            (
                "initrd is corrupt at 0x100000-0x13ffff: expected aa",
                Said::Corrupt { segment, span },
            ),
            ("resetting in 500 ms", Said::Resetting(500)),
            ("halted", Said::Halted),
            ("booting anyway, as configured", Said::Booting),
            ("elfcorehdr was broken (magic); restored", Said::Restored),
            ("ok: every segment is as it was loaded (7 us)", Said::Verdict(Verdict::Ok)),
            ("verifying 9 bytes in 2 segments with soft", Said::Verifying),
        ] {
            assert_eq!(said(&format!("[    1.0] half a line{PREFIX}{line}")), expected);
        }
        assert!(parse("purgatory: initrd is corrupt at here").is_err());
        let kernels = parse("[    1.0] Command line: purgatory.report=ok");
        assert_eq!(kernels.unwrap(), None, "a line of the kernel");
    }
}

//! The purgatory's console lines as types. Each starts with [`PREFIX`].

use std::ops::Range;

use handoff::Verdict;

/// What every line of the purgatory starts with.
pub const PREFIX: &str = "purgatory: ";

/// A line of the purgatory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The verification has begun.
    Verifying,
    /// A segment is not what was loaded.
    Corrupt {
        /// Its name.
        segment: String,
        /// The damaged leaf or tail, physical.
        span: Range<u64>,
    },
    /// The load-time copy of the elfcorehdr was put back.
    Restored,
    /// How it ended.
    Verdict(Verdict),
    /// It is going to reset the machine, after so many milliseconds.
    Resetting(u32),
    /// It has stopped forever.
    Halted,
    /// It boots the capture kernel although something is wrong.
    Booting,
    /// Anything else.
    Remark(String),
}

/// A line of the purgatory that cannot be parsed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the purgatory printed a line that cannot be parsed: {line:?}")]
pub struct Error {
    /// The line.
    pub line: String,
}

crate::error::evidence!(Error);

/// What the purgatory says in `line`; `None` when the line is somebody else's.
///
/// The kernel that crashed may have been interrupted in the middle of a line, so the prefix need
/// not stand at the start.
pub fn parse(line: &str) -> Result<Option<Said>, Error> {
    let Some((_, said)) = line.split_once(PREFIX) else { return Ok(None) };
    let error = || Error { line: line.to_owned() };
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

    #[test]
    fn verdicts_are_read_by_number_and_word() {
        let said = parse("purgatory: verdict 0x30 segment-corrupt: a segment was changed").unwrap();
        assert_eq!(said, Some(Said::Verdict(Verdict::SegmentCorrupt)));
        for verdict in Verdict::ALL {
            let line = format!(
                "purgatory: verdict {:#04x} {}: {}",
                *verdict as u32,
                verdict.word(),
                verdict.sentence()
            );
            assert_eq!(parse(&line), Ok(Some(Said::Verdict(*verdict))));
        }
        assert!(parse("purgatory: verdict 0x30 ok: all is well").is_err());
        assert!(parse("purgatory: verdict 0x99 new-word: what").is_err());
    }

    #[test]
    fn corrupt_segment_is_read_with_its_span() {
        let line = "purgatory: initrd is corrupt at 0x100000-0x13ffff: expected aa found bb";
        let span = 0x10_0000..0x14_0000;
        assert_eq!(parse(line), Ok(Some(Said::Corrupt { segment: "initrd".into(), span })));
        assert!(parse("purgatory: initrd is corrupt at here").is_err());
    }

    #[test]
    fn endings_are_told_apart() {
        assert_eq!(parse("purgatory: resetting in 500 ms"), Ok(Some(Said::Resetting(500))));
        assert_eq!(parse("purgatory: halted"), Ok(Some(Said::Halted)));
        assert_eq!(parse("purgatory: booting anyway, as configured"), Ok(Some(Said::Booting)));
        assert_eq!(
            parse("purgatory: elfcorehdr was broken (magic); restored"),
            Ok(Some(Said::Restored))
        );
        assert_eq!(
            parse("purgatory: ok: every segment is as it was loaded (7 us)"),
            Ok(Some(Said::Verdict(Verdict::Ok)))
        );
        assert_eq!(
            parse("purgatory: verifying 9 bytes in 2 segments with soft"),
            Ok(Some(Said::Verifying))
        );
    }

    #[test]
    fn kernel_lines_are_not_the_purgatorys() {
        assert_eq!(parse("[    1.0] Command line: purgatory.report=ok"), Ok(None));
        assert_eq!(parse("[    1.0] half a linepurgatory: halted"), Ok(Some(Said::Halted)));
    }
}

//! Reads the purgatory's report: the inverse of [`Report::write`].

use handoff::report::{Elfcorehdr, FIELD_LEN, Report};
use handoff::{EngineId, RegionKind, Verdict};

/// The report in the field. The field must match the purgatory's output byte for byte.
pub fn parse(field: &[u8; FIELD_LEN]) -> Result<Report, &'static str> {
    let mut parts = field.trim_ascii_end().split(|&byte| byte == b',').peekable();
    let word = parts.next().unwrap_or_default();
    let verdict = Verdict::ALL
        .iter()
        .copied()
        .find(|verdict| verdict.word().as_bytes() == word)
        .ok_or("no verdict's word")?;
    let segment = match parts.next_if(|part| part.starts_with(b"segment:")) {
        Some(part) => Some(
            one_of(&RegionKind::ALL, |kind| kind.name(), value(part, "segment:"))
                .ok_or("no segment's name")?,
        ),
        None => None,
    };
    let mut next = |name: &str| {
        parts.next().and_then(|part| part.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
    };
    let engine = next("engine")
        .and_then(|word| one_of(EngineId::ALL, |engine| engine.word(), word))
        .ok_or("no engine's word")?;
    let microseconds = next("us").and_then(decimal).ok_or("no microseconds")?;
    let nmis = next("nmi")
        .and_then(decimal)
        .and_then(|nmis| u32::try_from(nmis).ok())
        .ok_or("no number of NMIs")?;
    let fates = [Elfcorehdr::Ok, Elfcorehdr::Restored, Elfcorehdr::Broken];
    let elfcorehdr = next("elfcorehdr").and_then(|word| one_of(&fates, |fate| fate.word(), word));
    let elfcorehdr = elfcorehdr.ok_or("no word for the elfcorehdr")?;
    let report = Report { verdict, segment, engine, microseconds, nmis, elfcorehdr };

    let mut expected = [0; FIELD_LEN];
    report.fill(&mut expected);
    if *field == expected { Ok(report) } else { Err("more than a report, or one in another form") }
}

fn value<'f>(part: &'f [u8], name: &str) -> &'f [u8] {
    part.get(name.len()..).unwrap_or_default()
}

fn one_of<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, found: &[u8]) -> Option<T> {
    all.iter().copied().find(|&one| word(one).as_bytes() == found)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let value = digit.checked_sub(b'0').filter(|&value| value < 10)?;
        number.checked_mul(10)?.checked_add(value.into())
    })
}

//! Parses `crashkernel=` as the kernel does (`parse_crashkernel` and its callees,
//! kernel/crash_reserve.c).

/// The parameter.
const NAME: &str = "crashkernel=";
/// Suffixes of a value (`suffix_tbl`). `,cma` exists since Linux 6.17; an older kernel treats such
/// a value as a plain one that it cannot read.
const HIGH: &str = ",high";
const LOW: &str = ",low";
const CMA: &str = ",cma";
/// The kernel rounds RAM up to a multiple of this before it compares it with a range
/// (`parse_crashkernel_mem`).
const RANGE_STEP: u64 = 128 << 20;

/// The form of the value that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `SIZE[@BASE]`.
    Plain,
    /// `START-[END]:SIZE[,…][@BASE]`.
    Ranges,
    /// `SIZE,high`, perhaps with `SIZE,low` beside it.
    High,
    /// Only `,low` or `,cma`, which reserve nothing by themselves.
    Companion,
}

/// The value that decides, with every word that takes part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its form.
    pub kind: Kind,
    /// The words, as on the command line.
    pub words: String,
}

/// The memory that a value requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Bytes.
    pub size: u64,
    /// A fixed address; 0 for none.
    pub base: u64,
    /// Bytes below 4 GiB, if the value says so.
    pub low: Option<u64>,
}

/// Why the kernel cannot read a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It is `auto`.
    Auto,
    /// It is not a size, or it ends in `,cma`, which this kernel does not know.
    NoSize,
}

/// The value that decides: the last plain one, or else the last with `,high`, or else one with
/// `,low` or `,cma`. `None` if there is no value.
pub fn choose(command_line: &str) -> Option<Choice> {
    let word = |value: &str| format!("{NAME}{value}");
    if let Some(value) = last_plain(command_line) {
        let kind = if value.contains(':') { Kind::Ranges } else { Kind::Plain };
        return Some(Choice { kind, words: word(value) });
    }
    let low = last(command_line, LOW);
    if let Some(high) = last(command_line, HIGH) {
        let words = [Some(high), low].into_iter().flatten().map(word).collect::<Vec<_>>().join(" ");
        return Some(Choice { kind: Kind::High, words });
    }
    let alone = low.or_else(|| last(command_line, CMA))?;
    Some(Choice { kind: Kind::Companion, words: word(alone) })
}

/// Bytes of CMA that the command line requests in addition.
pub fn cma(command_line: &str) -> Option<u64> {
    suffixed(last(command_line, CMA)?, CMA).filter(|&size| size > 0)
}

/// The last word that requests CMA.
pub(crate) fn cma_word(command_line: &str) -> Option<String> {
    last(command_line, CMA).map(|value| format!("{NAME}{value}"))
}

/// The request of the value that decides, on a machine with `ram` bytes of memory.
pub fn read(kind: Kind, command_line: &str, ram: u64) -> Result<Asked, Defect> {
    let suffix = |suffix| {
        last(command_line, suffix)
            .map(|value| suffixed(value, suffix).ok_or(Defect::NoSize))
            .transpose()
    };
    match kind {
        Kind::Companion => Ok(Asked::default()),
        Kind::High => {
            let size = suffix(HIGH)?.ok_or(Defect::NoSize)?;
            Ok(Asked { size, base: 0, low: suffix(LOW)? })
        }
        Kind::Plain | Kind::Ranges => {
            let value = last_plain(command_line).ok_or(Defect::NoSize)?;
            if value == "auto" {
                return Err(Defect::Auto);
            }
            let asked = if kind == Kind::Ranges { ranges(value, ram) } else { simple(value) };
            asked.ok_or(Defect::NoSize)
        }
    }
}

fn values(command_line: &str) -> impl DoubleEndedIterator<Item = &str> {
    command_line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(NAME))
}

fn last<'a>(command_line: &'a str, suffix: &str) -> Option<&'a str> {
    values(command_line).rfind(|value| value.ends_with(suffix))
}

fn last_plain(command_line: &str) -> Option<&str> {
    values(command_line)
        .rfind(|value| ![HIGH, LOW, CMA].iter().any(|suffix| value.ends_with(suffix)))
}

fn suffixed(value: &str, suffix: &str) -> Option<u64> {
    let (size, rest) = size(value)?;
    (rest == suffix).then_some(size)
}

fn simple(value: &str) -> Option<Asked> {
    let (size, rest) = size(value)?;
    match rest.strip_prefix('@') {
        Some(base) => {
            Some(Asked { size, base: self::size(base).map_or(0, |(base, _)| base), low: None })
        }
        None => rest.is_empty().then_some(Asked { size, ..Asked::default() }),
    }
}

/// The first range that includes `ram` decides. Later ranges are not parsed.
fn ranges(value: &str, ram: u64) -> Option<Asked> {
    let ram = ram.checked_next_multiple_of(RANGE_STEP)?;
    let mut rest = value;
    loop {
        let (start, after) = size(rest)?;
        let after = after.strip_prefix('-')?;
        let (end, after) = if after.starts_with(':') { (u64::MAX, after) } else { size(after)? };
        let (size, after) = self::size(after.strip_prefix(':')?)?;
        if end <= start || size >= ram {
            return None;
        }
        if (start..end).contains(&ram) {
            let base = after.split_once('@').map_or(Some((0, "")), |(_, base)| self::size(base))?;
            return Some(Asked { size, base: base.0, low: None });
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Some(Asked::default()),
        }
    }
}

/// A number and its unit, and the rest (`memparse`, lib/cmdline.c).
fn size(text: &str) -> Option<(u64, &str)> {
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let len = digits.find(|digit: char| !digit.is_digit(radix)).unwrap_or(digits.len());
    let number = u64::from_str_radix(&digits[..len], radix).ok()?;
    let rest = &digits[len..];
    let shift = match rest.bytes().next().map(|unit| unit.to_ascii_uppercase()) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        Some(b'P') => 50,
        Some(b'E') => 60,
        _ => return Some((number, rest)),
    };
    Some((number.checked_mul(1 << shift)?, &rest[1..]))
}

//! /proc/iomem.
//!
//! * An address is in one of the lists if and only if a line of that name contains it.
//! * Lists ascend, and no two ranges of a list touch.
//! * A text is rejected if and only if a line of one of these names is malformed, nothing is System
//!   RAM, or every address is hidden. Other lines may hold any bytes.

use loader::machine::{Error, fuzzing};

use crate::{Answer, Seed};

/// Names of the lists and of the lines that go into each; the last pair matches as a prefix.
const NAMES: [(&str, &[&str]); 7] = [
    ("Crash kernel", &["Crash kernel"]),
    ("ACPI Tables", &["ACPI Tables"]),
    ("ACPI Non-volatile Storage", &["ACPI Non-volatile Storage"]),
    ("Reserved", &["Reserved", "reserved"]),
    ("Persistent Memory", &["Persistent Memory"]),
    ("Persistent Memory (legacy)", &["Persistent Memory (legacy)"]),
    (RAM, &[]),
];
const RAM: &str = "System RAM";

/// Checks one text.
pub fn check(data: &[u8]) -> Answer {
    let lines = read(data);
    let ranges_of = |name| {
        lines
            .iter()
            .flatten()
            .filter(move |line| line.list == Some(name))
            .map(|line| (line.start, line.end))
    };
    let hidden = lines
        .as_ref()
        .is_some_and(|lines| lines.iter().all(|line| (line.start, line.end) == (0, 1)));
    let ram = joined(ranges_of(RAM).collect());
    match fuzzing::iomem(data) {
        Ok(lists) => {
            assert!(lines.is_some(), "a line is malformed");
            assert!(!hidden && !ram.is_empty());
            for (name, list) in lists {
                let found: Vec<(u128, u128)> =
                    list.iter().map(|range| (range.start().into(), range.end().into())).collect();
                assert_eq!(found, joined(ranges_of(name).collect()), "{name}");
            }
            Answer::Taken
        }
        Err(error) => {
            let expected = if hidden && !ram.is_empty() { "hidden" } else { "garbled" };
            let found = match error {
                Error::Hidden { .. } => "hidden",
                Error::Garbled { .. } => "garbled",
                other => panic!("{other}"),
            };
            assert_eq!(found, expected);
            assert!(
                lines.is_none() || ram.is_empty() || hidden,
                "rejected although no rule is broken: {error}"
            );
            Answer::Refused
        }
    }
}

struct Line {
    list: Option<&'static str>,
    start: u128,
    /// One past the last address.
    end: u128,
}

/// Every line that can be read; `None` if a line of one of the names cannot.
fn read(text: &[u8]) -> Option<Vec<Line>> {
    text.split(|&byte| byte == b'\n')
        .filter_map(|line| read_line(line).transpose())
        .collect::<Result<_, ()>>()
        .ok()
}

/// `Ok(None)` for a line that does not matter, `Err` for a malformed one.
fn read_line(line: &[u8]) -> Result<Option<Line>, ()> {
    let line = line.trim_ascii_start();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (range, name) = match line.windows(3).position(|window| window == b" : ") {
        Some(at) => (&line[..at], &line[at + 3..]),
        // Without the separator there is no range, but a name may follow the first word.
        None => (
            &b""[..],
            line.iter()
                .position(|&byte| byte == b' ')
                .map_or(&b""[..], |at| line[at..].trim_ascii_start()),
        ),
    };
    let exact = NAMES
        .iter()
        .find(|(_, names)| names.iter().any(|exact| exact.as_bytes() == name))
        .map(|(list, _)| *list);
    let list = exact.or_else(|| name.starts_with(RAM.as_bytes()).then_some(RAM));
    match (read_range(range), list) {
        (Some((start, end)), list) => Ok(Some(Line { list, start, end })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(()),
    }
}

fn read_range(range: &[u8]) -> Option<(u128, u128)> {
    let dash = range.iter().position(|&byte| byte == b'-')?;
    let (start, last) = (hexadecimal(&range[..dash])?, hexadecimal(&range[dash + 1..])?);
    let end = last + 1;
    // An empty range is valid. One that is backwards or exceeds 64 bits is malformed.
    (start <= end && end < 1 << 64).then_some((start, end))
}

/// A hexadecimal number of 64 bits, without prefix or sign, with any number of leading zeroes.
pub fn hexadecimal(digits: &[u8]) -> Option<u128> {
    let add = |value: u128, &digit: &u8| {
        let value = value * 16 + u128::from((digit as char).to_digit(16)?);
        (value < 1 << 64).then_some(value)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// The union of `ranges`, found by testing every stretch between two borders.
fn joined(ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    let mut borders: Vec<u128> = ranges.iter().flat_map(|&(start, end)| [start, end]).collect();
    borders.sort_unstable();
    borders.dedup();
    let mut union: Vec<(u128, u128)> = Vec::new();
    for stretch in borders.windows(2) {
        if !ranges.iter().any(|&(start, end)| start <= stretch[0] && stretch[1] <= end) {
            continue;
        }
        match union.last_mut() {
            Some(last) if last.1 == stretch[0] => last.1 = stretch[1],
            _ => union.push((stretch[0], stretch[1])),
        }
    }
    union
}

const TREE: &str = "\
00001000-0009fbff : System RAM
0009fc00-0009ffff : reserved
00100000-3ffddfff : System RAM
  01800000-027fffff : Kernel code
  2f000000-3affffff : Crash kernel
3ffde000-3ffdefff : ACPI Tables
3ffdf000-3ffdffff : ACPI Non-volatile Storage
3ffe0000-3fffffff : Reserved
140000000-147ffffff : System RAM (virtio_mem)
180000000-187ffffff : Persistent Memory
188000000-18fffffff : Persistent Memory (legacy)
";

/// The file of a machine, the same for an unprivileged user, and unusual ones.
pub fn seeds() -> Vec<Seed> {
    vec![
        Seed::taken("machine", TREE),
        Seed::taken(
            "nested",
            "0-fff : System RAM\n  100-1ff : System RAM (kmem)\n1000-1fff : System RAM\r\n",
        ),
        Seed::refused(
            "hidden",
            "00000000-00000000 : System RAM\n  00000000-00000000 : Crash kernel\n",
        ),
        Seed::refused("backwards", "2000-1000 : System RAM\n"),
        Seed::refused("everything", "0-ffffffffffffffff : System RAM\n"),
        Seed::taken("leftover", b"0-fff : System RAM\n2000-ffffffffffffffff : \xff\xfe\n\x80\n"),
        Seed::refused("without-separator", "0-fff : System RAM\n1000-1fff Crash kernel\n"),
        Seed::refused("nothing", ""),
    ]
}

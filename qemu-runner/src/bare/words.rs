//! What the purgatory must say for its case, line by line.
//!
//! A case's words are the beginning of a line. `…` matches anything. Braces give a number that only
//! this image has:
//!
//! * `{initrd+ffff}`: the physical address so many (hexadecimal) bytes after a region's start,
//! * `{@name+2}`: the same after the start of the purgatory's function with this in its mangled
//!   name,
//! * `{#name+2}`: its distance from the purgatory's start.

use std::collections::BTreeMap;

use handoff::RegionKind;

use super::case::Case;
use super::memory::Memory;
use super::{course, oracle};
use crate::error::{Error, check};
use crate::evidence::console::PREFIX;
use crate::machine::vm::Line;

const ANYTHING: char = '…';

pub fn speaks(case: &Case) -> bool {
    !case.expect.says.is_empty()
}

/// Looks at all that the purgatory said on the console.
pub fn check_words(case: &Case, memory: &Memory, console: &[Line]) -> Result<(), Error> {
    // An exception ends a line that may not have begun.
    let lines = console.iter().map(|line| line.text.trim_end()).filter(|line| !line.is_empty());
    let (said, strange): (Vec<_>, Vec<_>) =
        lines.map(|line| line.strip_prefix(PREFIX).ok_or(line)).partition(Result::is_ok);
    let said: Vec<&str> = said.into_iter().flatten().collect();
    check!(
        strange.is_empty(),
        "the console: expected only lines of the purgatory, found {strange:?}"
    )?;
    if !speaks(case) {
        return check!(
            said.is_empty(),
            "a console that must be silent: expected nothing, found {}",
            said.join("; ")
        );
    }
    course::check_course(case, memory, &said)?;
    // Before the seal has been found to hold nothing is verified, so nothing can differ.
    let differences = if course::is_proven(case.expect.verdict) {
        oracle::differences(memory)
    } else {
        BTreeMap::new()
    };
    oracle::check_differences(&differences, &said)?;
    let mut rest = said.iter();
    for wanted in case.expect.says {
        let wanted = filled_in(wanted, |place| number(place, memory));
        check!(
            rest.any(|line| begins(line, &wanted)),
            "the console, in order: expected {wanted}, found {}",
            said.join("; ")
        )?;
    }
    Ok(())
}

/// Whether `line` begins with `pattern`, in which [`ANYTHING`] may stand.
fn begins(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    true
}

/// `text` with every pair of braces replaced by the number that `number` gives for what is in it.
fn filled_in(text: &str, number: impl Fn(&str) -> u64) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (place, after) = behind.split_once('}').expect("a place ends with a brace");
        filled.push_str(&format!("{before}{:#x}", number(place)));
        rest = after;
    }
    filled + rest
}

/// The number that a place in braces stands for.
fn number(place: &str, memory: &Memory) -> u64 {
    let (name, offset) = place.split_once('+').unwrap_or((place, "0"));
    let offset = u64::from_str_radix(offset, 16).expect("an offset is hexadecimal");
    let kind = || {
        RegionKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .expect("a place begins with a region's name")
    };
    let start = match (name.strip_prefix('@'), name.strip_prefix('#')) {
        (Some(function), _) => memory.function(function),
        (_, Some(function)) => memory.function(function) - memory.block().purgatory.start.get(),
        _ => memory.start(kind()),
    };
    start + offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_the_beginning_of_a_line_with_anything_in_between() {
        let line = "exception 14 error 0x2 at rip 0x1146 rsp 0xfee01000 cr2 0xfee00ff8: the stack";
        assert!(begins(line, "exception 14 error 0x2 at rip 0x1146"));
        assert!(begins(line, "exception 14 … cr2 0xfee00ff8"));
        assert!(begins(line, "exception 14 … cr2 …: the stack"));
        assert!(!begins(line, "error 0x2"));
        assert!(!begins(line, "exception 14 … cr2 0x0"));
        assert!(!begins(line, "exception 14 … cr2 … rsp"), "in this order");
    }

    #[test]
    fn braces_are_filled_with_numbers_in_hexadecimal() {
        let number = |place: &str| if place == "initrd" { 0x1000 } else { 0x1fff };
        assert_eq!(
            filled_in("at {initrd}-{initrd+fff}: not zero", number),
            "at 0x1000-0x1fff: not zero"
        );
        assert_eq!(filled_in("verdict 0x0 ok", number), "verdict 0x0 ok");
    }
}

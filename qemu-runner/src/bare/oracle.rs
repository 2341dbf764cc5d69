//! What a verifier must say of damaged memory, computed from the memory itself: every leaf and
//! every zero tail that differs.
//!
//! *On entry*: memory as the purgatory finds it, with a valid block.
//! *On exit*: all lines that name a difference.

use std::collections::{BTreeMap, BTreeSet};

use handoff::{DIGEST_LEN, PAGE_SIZE, RegionKind};
use purgatory::verify::PRINTED_PER_SEGMENT;

use super::memory::{Memory, sha256};
use crate::error::{Error, check, check_eq};
use crate::evidence::armed::{hex, regions};

/// How many differences of one region are printed; the others are counted.
const PRINTED: usize = PRINTED_PER_SEGMENT as usize;
/// What stands in every line that names a difference.
pub const CORRUPT_AT: &str = " is corrupt at ";
/// What stands in the line that counts those that were not printed.
pub const CORRUPT_IN: &str = " is corrupt in ";

/// The lines of all differences, printed or not, by region.
pub fn differences(memory: &Memory) -> BTreeMap<&'static str, BTreeSet<String>> {
    let block = memory.block();
    let leaf_size = block.leaf_size.get() as usize;
    let table = memory.read(block.leaf_table.start.get(), block.leaf_table.len.get() as usize);
    let mut expected = table.chunks(DIGEST_LEN);
    let mut lines: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for region in regions(&block) {
        let name = RegionKind::from_wire(region.kind.get()).expect("a block that holds").name();
        let (start, file_len, len) =
            (region.start.get(), region.file_len.get() as usize, region.mem_len.get() as usize);
        let mut say = |line: String| _ = lines.entry(name).or_default().insert(line);
        let (file, tail) = memory.read(start, len).split_at(file_len);
        for (leaf, expected) in file.chunks(leaf_size).zip(&mut expected) {
            let found = sha256(leaf);
            if found != expected {
                let first = start + (leaf.as_ptr() as u64 - file.as_ptr() as u64);
                let last = first + leaf.len() as u64 - 1;
                say(format!(
                    "{name}{CORRUPT_AT}{first:#x}-{last:#x}: expected {} found {}",
                    hex(expected),
                    hex(&found)
                ));
            }
        }
        if let Some(offset) = tail.iter().position(|&byte| byte != 0) {
            let first = start + (file_len + offset) as u64;
            let last = (first | (PAGE_SIZE - 1)).min(start + len as u64 - 1);
            say(format!("{name}{CORRUPT_AT}{first:#x}-{last:#x}: not zero"));
        }
    }
    lines
}

/// The purgatory names these differences and no others; of a region with many it names some and
/// counts the rest.
pub fn check_differences(
    expected: &BTreeMap<&'static str, BTreeSet<String>>,
    said: &[&str],
) -> Result<(), Error> {
    let found: Vec<&str> = said.iter().copied().filter(|line| line.contains(CORRUPT_AT)).collect();
    let known = |line: &&&str| expected.values().any(|lines| lines.contains(**line));
    let unknown = found.iter().find(|line| !known(line));
    let all: Vec<&str> = expected.values().flatten().map(String::as_str).collect();
    check!(
        unknown.is_none(),
        "a difference that the purgatory names: expected one of {all:?}, found {}",
        unknown.unwrap_or(&"")
    )?;
    let distinct: BTreeSet<&str> = found.iter().copied().collect();
    check_eq!(found.len() - distinct.len(), 0, "differences named twice")?;
    for (name, lines) in expected {
        let named = found.iter().filter(|line| lines.contains(**line)).count();
        check_eq!(named, lines.len().min(PRINTED), "differences named in {name}")?;
    }
    let counted = said.iter().filter(|line| line.contains(CORRUPT_IN));
    let mut counted: Vec<String> = counted.map(ToString::to_string).collect();
    let many = expected.iter().filter(|(_, lines)| lines.len() > PRINTED);
    let rest = |name, count| format!("{name}{CORRUPT_IN}{count} more places");
    let mut must: Vec<_> = many.map(|(name, lines)| rest(name, lines.len() - PRINTED)).collect();
    counted.sort();
    must.sort();
    check_eq!(counted, must, "differences that are only counted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five() -> BTreeMap<&'static str, BTreeSet<String>> {
        let lines =
            (1..=5).map(|leaf| format!("initrd is corrupt at {leaf:#x}-{leaf:#x}: not zero"));
        BTreeMap::from([("initrd", lines.collect())])
    }

    #[test]
    fn four_of_five_differences_are_named_and_one_is_counted() {
        let lines = five();
        let mut said: Vec<&str> = lines["initrd"].iter().skip(1).map(String::as_str).collect();
        said.push("initrd is corrupt in 1 more places");
        check_differences(&lines, &said).unwrap();
        check_differences(&lines, &said[..4]).unwrap_err();
        check_differences(&lines, &said[1..]).unwrap_err();
    }

    #[test]
    fn difference_that_is_none_or_named_twice_is_noticed() {
        let lines = five();
        let said: Vec<&str> = lines["initrd"].iter().map(String::as_str).take(4).collect();
        let counted = "initrd is corrupt in 1 more places";
        check_differences(
            &lines,
            &[said[0], said[1], said[2], "kernel is corrupt at 0x1-0x1: not zero", counted],
        )
        .unwrap_err();
        check_differences(&lines, &[said[0], said[1], said[2], said[2], counted]).unwrap_err();
        check_differences(&BTreeMap::new(), &["verdict 0x0 ok"]).unwrap();
        check_differences(&BTreeMap::new(), &said[..1]).unwrap_err();
    }
}

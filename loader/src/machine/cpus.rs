//! `[1c]` The CPUs: what they can do, how many there can be, and where each saves its registers.

pub(super) mod confidential; // whether this is a confidential guest

use super::source::{CPUINFO, CRASH_NOTES, CRASH_NOTES_SIZE, Found, Tree, quoted};
use super::{CpuFacts, CrashNotes, Error, Measured, PHYSICAL_BITS};
use crate::phys::PhysRange;

/// The flags in /proc/cpuinfo that the SHA-NI engine requires, besides SSE2, which every x86-64 CPU
/// has.
const SHA_NI_FLAGS: [&str; 3] = ["sha_ni", "ssse3", "sse4_1"];

/// Reads /proc/cpuinfo, and all evidence of a confidential guest.
pub(super) fn read(tree: Tree<'_>, measured: &Measured) -> Result<CpuFacts, Error> {
    let file = tree.required(&CPUINFO)?;
    let facts = parse_cpuinfo(&file, measured.tsc_khz)?;
    let flags = flags(&file)?;
    let confidential = confidential::find(|flag| everywhere(&flags, flag), tree, &measured.cpuid)?;
    Ok(CpuFacts { confidential, ..facts })
}

/// Reads /proc/cpuinfo. A capability counts only if every CPU has it, because any of them may run
/// the purgatory.
pub(super) fn parse_cpuinfo(file: &Found, tsc_khz: u32) -> Result<CpuFacts, Error> {
    let text = file.text()?;
    let flags = flags(file)?;
    let everywhere = |flag: &str| everywhere(&flags, flag);

    let mut physical_bits = None;
    for line in values(text, "address sizes") {
        let number = line
            .split_once(" bits physical")
            .map(|(bits, _)| bits)
            .filter(|bits| !bits.starts_with('+'));
        let bits = number.and_then(|bits| bits.parse().ok());
        let bits = bits
            .filter(|bits| PHYSICAL_BITS.contains(bits))
            .ok_or_else(|| file.garbled(quoted(line)))?;
        physical_bits = Some(physical_bits.map_or(bits, |narrowest: u32| narrowest.min(bits)));
    }
    let physical_bits = physical_bits.ok_or_else(|| file.garbled("no line `address sizes`"))?;

    Ok(CpuFacts {
        sha_ni: SHA_NI_FLAGS.into_iter().all(everywhere),
        gbpages: everywhere("pdpe1gb"),
        la57: everywhere("la57"),
        physical_bits,
        confidential: confidential::by_flags(everywhere),
        tsc_khz,
    })
}

/// The values of all lines with the key `wanted`.
fn values<'a>(text: &'a str, wanted: &'static str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        (key.trim_end() == wanted).then(|| value.trim())
    })
}

/// The flags of each CPU.
fn flags(file: &Found) -> Result<Vec<Vec<&str>>, Error> {
    let text = file.text()?;
    let flags: Vec<Vec<&str>> =
        values(text, "flags").map(|line| line.split_ascii_whitespace().collect()).collect();
    if flags.is_empty() {
        return Err(file.garbled(if text.is_empty() { "nothing" } else { "no line `flags`" }));
    }
    Ok(flags)
}

fn everywhere(flags: &[Vec<&str>], flag: &str) -> bool {
    flags.iter().all(|flags| flags.contains(&flag))
}

/// How many CPUs a list like `0-3,8` names.
pub(super) fn parse_possible(file: &Found) -> Result<u32, Error> {
    let text = file.text()?;
    let count = text.split(',').try_fold(0u32, |count, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|_| !digits.starts_with('+'));
        let (first, last) = (number(first)?, number(last)?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    });
    count.ok_or_else(|| file.garbled(quoted(text)))
}

/// The register buffers of the CPUs that are present. CPU numbers can have gaps.
pub(super) fn read_crash_notes(tree: Tree<'_>) -> Result<Vec<CrashNotes>, Error> {
    let notes = read_notes_of(tree, &tree.numbers(&CRASH_NOTES)?)?;
    if notes.is_empty() {
        // There is no directory at all, so the error names the file of the first CPU.
        tree.required_at(&CRASH_NOTES, 0)?;
    }
    Ok(notes)
}

/// The register buffers of these CPUs, except CPUs that were removed after they were listed.
pub(super) fn read_notes_of(tree: Tree<'_>, numbers: &[u32]) -> Result<Vec<CrashNotes>, Error> {
    let read_one = |cpu| match read_notes(tree, cpu) {
        Err(Error::Missing { .. }) if !tree.has_number(&CRASH_NOTES, cpu) => None,
        notes => Some(notes),
    };
    numbers.iter().filter_map(|&cpu| read_one(cpu)).collect()
}

fn read_notes(tree: Tree<'_>, cpu: u32) -> Result<CrashNotes, Error> {
    let address = tree.required_at(&CRASH_NOTES, cpu)?;
    let size = tree.required_at(&CRASH_NOTES_SIZE, cpu)?;
    let range = PhysRange::with_len(address.hexadecimal()?, size.decimal()?);
    let range = range
        .filter(|range| !range.is_empty())
        .ok_or_else(|| size.garbled("an impossible size"))?;
    Ok(CrashNotes { cpu, range })
}

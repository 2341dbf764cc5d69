//! /sys/kernel/vmcoreinfo: `0x` and an address, one blank, and a size, both hexadecimal
//! (`vmcoreinfo_show`, kernel/ksysfs.c). It is accepted if and only if it has this form, the range
//! is not empty, and its end fits 64 bits.

use loader::machine::fuzzing;

use crate::iomem::hexadecimal;
use crate::{Answer, Seed};

/// Checks one file.
pub fn check(data: &[u8]) -> Answer {
    let expected = read(data);
    let found =
        fuzzing::vmcoreinfo(data).ok().map(|range| (range.start().into(), range.end().into()));
    assert_eq!(found, expected, "start and end");
    if found.is_some() { Answer::Taken } else { Answer::Refused }
}

/// Start and end.
fn read(data: &[u8]) -> Option<(u128, u128)> {
    let line = data.strip_suffix(b"\n").unwrap_or(data);
    let blank = line.iter().position(|&byte| byte == b' ')?;
    let (address, size) = (&line[..blank], &line[blank + 1..]);
    let start = hexadecimal(address.strip_prefix(b"0x")?)?;
    // Linux writes no prefix here, but it would not be ambiguous.
    let len = hexadecimal(size.strip_prefix(b"0x").unwrap_or(size))?;
    let end = start + len;
    (len > 0 && end < 1 << 64).then_some((start, end))
}

/// The file as Linux writes it, and similar ones.
pub fn seeds() -> Vec<Seed> {
    vec![
        Seed::taken("linux-6.12", b"0x0000000001824000 1024\n"),
        Seed::taken("without-line-feed", b"0x17ffff000 1000"),
        Seed::refused("wraps", b"0xffffffffffffffff 1024\n"),
        Seed::refused("empty", b"0x0000000001824000 0\n"),
    ]
}

//! Ports for signals out of the machine.
//!
//! * SMBIOS: the KCS interface is that of the first IPMI structure that has one in I/O space. The
//!   part of the table that a snapshot keeps has the same answer.
//! * /proc/ioports: the port is that of the first line that names the pvpanic device and a port.
//!
//! An input is 0 and an SMBIOS table, or another byte and the text of /proc/ioports.

use loader::machine::fuzzing;
use loader::machine::signals::Kcs;

use crate::{Answer, Seed};

const IPMI: u8 = 38;
const END: u8 = 127;
/// Bytes of a structure's header.
const HEADER: usize = 4;
const DEVICE: &str = "QEMU0001:";

/// Checks one table, or one text.
pub fn check(data: &[u8]) -> Answer {
    let is_found = match data.split_first() {
        None => false,
        Some((0, table)) => check_smbios(table),
        Some((_, text)) => check_ioports(&String::from_utf8_lossy(text)),
    };
    if is_found { Answer::Taken } else { Answer::Refused }
}

fn check_smbios(table: &[u8]) -> bool {
    let (found, kept) = fuzzing::smbios(table);
    let structures: Vec<_> = ipmi_structures(table);
    let numbers = |kcs: Kcs| (u128::from(kcs.port), u128::from(kcs.spacing));
    assert_eq!(found.map(numbers), structures.iter().find_map(|structure| kcs(structure)));
    assert_eq!(kept, structures.concat(), "what a snapshot keeps");
    assert_eq!(fuzzing::smbios(&kept), (found, kept.clone()), "the snapshot means something else");
    found.is_some()
}

/// Every IPMI structure, with its strings: up to the first pair of zeroes after the formatted part.
fn ipmi_structures(table: &[u8]) -> Vec<&[u8]> {
    let (mut at, mut found) = (0, Vec::new());
    while at + 1 < table.len() {
        let (kind, formatted) = (table[at], usize::from(table[at + 1]));
        if kind == END || formatted < HEADER {
            break;
        }
        let mut end = at + formatted;
        while end + 1 < table.len() && table[end..end + 2] != [0, 0] {
            end += 1;
        }
        if end + 1 >= table.len() {
            break;
        }
        if kind == IPMI {
            found.push(&table[at..end + 2]);
        }
        at = end + 2;
    }
    found
}

/// Port and spacing of an IPMI structure (SMBIOS 3.7 §7.39).
fn kcs(structure: &[u8]) -> Option<(u128, u128)> {
    let len = usize::from(structure[1]);
    if len < 16 || structure[4] != 1 {
        return None;
    }
    let base =
        structure[8..16].iter().rev().fold(0u128, |base, &byte| base * 256 + u128::from(byte));
    if base > 0xffff {
        return None;
    }
    let (mut port, mut spacing) = (base / 2 * 2, 1);
    if len >= 18 {
        let modifier = structure[16];
        spacing = match modifier / 64 {
            0 => 1,
            1 => 4,
            2 => 16,
            _ => return None,
        };
        if base % 2 == 0 {
            return None;
        }
        port += u128::from(modifier / 16 % 2);
    }
    (port > 0 && port + spacing <= 0xffff).then_some((port, spacing))
}

fn check_ioports(text: &str) -> bool {
    let found = fuzzing::pvpanic(text);
    assert_eq!(found.map(u128::from), text.lines().find_map(pvpanic));
    found.is_some()
}

/// The port of `  0505-0505 : QEMU0001:00`.
fn pvpanic(line: &str) -> Option<u128> {
    let blank = line.find(" : ")?;
    if !line[blank + 3..].starts_with(DEVICE) {
        return None;
    }
    let ports = line[..blank].trim_start();
    let first = &ports[..ports.find('-')?];
    let digits = first.strip_prefix("0x").unwrap_or(first);
    let port = digits.bytes().try_fold(0u128, |port, byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(port * 16 + u128::from(digit)).filter(|&port| port <= 0xffff)
    });
    port.filter(|&port| port > 0 && !digits.is_empty())
}

/// An IPMI structure with this interface, base address and modifier, and another one before it.
fn table(interface: u8, base: u64, modifier: u8) -> Vec<u8> {
    let mut table = vec![0, 1, 6, 0, 0, 1, 2];
    table.extend(b"vendor\0serial\0\0");
    table.extend([IPMI, 0x12, 1, 0, interface, 0x20, 0x20, 0xff]);
    table.extend(base.to_le_bytes());
    table.extend([modifier, 0, 0, 0, END, 4, 2, 0, 0, 0]);
    table
}

/// QEMU's table and ports, and others.
pub fn seeds() -> Vec<Seed> {
    vec![
        Seed::taken("kcs", table(1, 0xca3, 1)),
        Seed::taken("kcs-spacing", table(1, 0xca3, 0x91)),
        Seed::refused("ssif", table(4, 0x20, 0)),
        Seed::refused("memory", table(1, 0xfed0_0000, 1)),
        Seed::taken("pvpanic", b"i0000-0cf7 : PCI Bus 0000:00\n  0505-0505 : QEMU0001:00\n"),
        Seed::refused("hidden", b"i0000-0000 : PCI Bus 0000:00\n  0000-0000 : QEMU0001:00\n"),
    ]
}

//! `[1j]` Ports through which the purgatory can signal a panic out of the machine.
//!
//! *On entry* /proc/ioports, and the SMBIOS table. *On exit* the ports that the machine has. What
//! cannot be read counts as absent, because a dump needs no signal.

use super::source::{DMI, IOPORTS, Tree, parse_hexadecimal};

/// The ACPI name of the pvpanic device (docs/specs/pvpanic.rst of QEMU). Linux 6.12 and 7.3 name
/// its port after it before any driver is loaded.
const PVPANIC: &str = "QEMU0001:";

/// An IPMI device (SMBIOS 3.7 §7.39).
const TYPE_IPMI: u8 = 38;
/// Interface type 1: keyboard controller style.
const KCS: u8 = 1;
/// Length of the structure with the base address modifier.
const LEN_WITH_MODIFIER: usize = 0x12;
/// Type 127 ends the table.
const TYPE_END: u8 = 127;
/// Bytes of a structure's header: type, length, handle.
const HEADER_LEN: usize = 4;

/// Ports for signals out of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalPorts {
    /// The pvpanic device.
    pub pvpanic: Option<u16>,
    /// The KCS interface to the baseboard management controller.
    pub kcs: Option<Kcs>,
}

/// A KCS interface (IPMI v2.0, chapter 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kcs {
    /// I/O port of the data register.
    pub port: u16,
    /// Bytes from the data register to the status register: 1, 4 or 16.
    pub spacing: u16,
}

pub(super) fn read(tree: Tree<'_>) -> SignalPorts {
    let ioports = tree.optional(&IOPORTS).ok().flatten();
    let dmi = tree.optional(&DMI).ok().flatten();
    SignalPorts {
        pvpanic: ioports.and_then(|file| pvpanic(&String::from_utf8_lossy(&file.bytes))),
        kcs: dmi.and_then(|file| kcs(&file.bytes)),
    }
}

/// The port of the line `0505-0505 : QEMU0001:00`. Without privileges all ports are shown as 0.
pub(super) fn pvpanic(ioports: &str) -> Option<u16> {
    ioports.lines().find_map(|line| {
        let (ports, _) = line.split_once(" : ").filter(|(_, name)| name.starts_with(PVPANIC))?;
        let (first, _) = ports.trim_start().split_once('-')?;
        parse_hexadecimal(first)?.try_into().ok().filter(|&port: &u16| port > 0)
    })
}

/// The first KCS interface in I/O space (as `dmi_decode_ipmi`, drivers/char/ipmi/ipmi_dmi.c).
pub(super) fn kcs(table: &[u8]) -> Option<Kcs> {
    structures(table).filter(|structure| structure[0] == TYPE_IPMI).find_map(|structure| {
        let formatted = structure.get(..usize::from(structure[1]))?;
        let base = u64::from_le_bytes(*formatted.get(8..)?.first_chunk()?);
        let (spacing, odd) = match formatted.get(0x10) {
            Some(modifier) if formatted.len() >= LEN_WITH_MODIFIER => {
                // Bit 0 of the base address says that it is a port.
                let spacing = [1, 4, 16].get(usize::from(modifier >> 6)).filter(|_| base & 1 == 1);
                (*spacing?, modifier >> 4 & 1)
            }
            // In tables of older versions, bit 0 cannot be relied on.
            _ => (1, 0),
        };
        let port = u16::try_from(base).ok()? & !1 | u16::from(odd);
        let fits = u64::from(port) + u64::from(spacing) <= u64::from(u16::MAX);
        (formatted[4] == KCS && port > 0 && fits).then_some(Kcs { port, spacing })
    })
}

/// The structures of the table that describe IPMI devices. The others, which hold serial numbers,
/// are of no use to the loader, and a snapshot must not have them.
pub(super) fn ipmi_structures(table: &[u8]) -> Vec<u8> {
    let found = structures(table).filter(|structure| structure[0] == TYPE_IPMI);
    found.flatten().copied().collect()
}

/// The structures of the table, each with its strings, which two NULs end.
fn structures(mut table: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let formatted = usize::from(*table.get(1)?);
        if formatted < HEADER_LEN || table[0] == TYPE_END {
            return None;
        }
        let strings = table.get(formatted..)?.windows(2).position(|pair| pair == [0, 0])?;
        let (structure, rest) = table.split_at(formatted + strings + 2);
        table = rest;
        Some(structure)
    })
}

#[cfg(test)]
mod tests;

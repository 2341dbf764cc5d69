//! Ports of devices, as QEMU and SMBIOS describe them.

use super::*;
use crate::machine::example;

/// The structure of the example, with these bytes in place of its own.
fn ipmi(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut structure = example::IPMI.to_vec();
    changes.iter().for_each(|&(at, byte)| structure[at] = byte);
    structure
}

#[test]
fn ports_of_the_example_are_found() {
    let expected = SignalPorts { pvpanic: Some(0x505), kcs: Some(Kcs { port: 0xca2, spacing: 1 }) };
    assert_eq!(example::machine().signals, expected);
}

#[test]
fn pvpanic_is_the_port_of_its_acpi_device_alone() {
    assert_eq!(pvpanic("0505-0505 : QEMU0002:00\n0cf8-0cff : PCI conf1\n"), None);
    assert_eq!(pvpanic("  0600-0600 : QEMU0001:00\n"), Some(0x600));
    assert_eq!(pvpanic("  0000-0000 : QEMU0001:00\n"), None, "as an unprivileged user sees it");
    assert_eq!(pvpanic("QEMU0001:00\nodd : QEMU0001:00\n"), None);
    assert_eq!(pvpanic("10505-10505 : QEMU0001:00\n"), None);
}

#[test]
fn kcs_has_its_port_and_its_spacing() {
    let found = |changes: &[_]| kcs(&ipmi(changes));
    let at = |port, spacing| Some(Kcs { port, spacing });
    assert_eq!(found(&[(0x10, 0x41)]), at(0xca2, 4));
    assert_eq!(found(&[(0x10, 0x91)]), at(0xca3, 16), "bit 4 is bit 0 of the port");
    assert_eq!(found(&[(0x10, 0xc1)]), None, "a reserved spacing");
    assert_eq!(found(&[(8, 0xa2)]), None, "memory, not ports");
    assert_eq!(found(&[(4, 4)]), None, "SSIF");
    assert_eq!(found(&[(10, 1)]), None, "beyond I/O space");
    assert_eq!(found(&[(8, 1), (9, 0)]), None, "port 0");
    assert_eq!(
        found(&[(8, 0xff), (9, 0xff), (0x10, 0x41)]),
        None,
        "the status register is outside"
    );
    let mut old = ipmi(&[(1, 16), (8, 0xa2)]);
    old.drain(16..18);
    assert_eq!(kcs(&old), at(0xca2, 1), "an old table, whose bit 0 means nothing");
}

#[test]
fn only_ipmi_structures_are_kept_and_none_after_the_end() {
    let serial_number = [&[1, 4, 0, 1][..], b"secret\0\0"].concat();
    let end = [127, 4, 0, 2, 0, 0];
    let table = [&serial_number, &ipmi(&[]), &serial_number, &end[..], &ipmi(&[])].concat();
    assert_eq!(ipmi_structures(&table), ipmi(&[]));
    assert_eq!(ipmi_structures(&ipmi(&[])), ipmi(&[]), "a snapshot's table is left as it is");
}

#[test]
fn damaged_table_ends_the_search() {
    let table = [ipmi(&[(4, 4)]), ipmi(&[])].concat();
    for len in 0..table.len() {
        kcs(&table[..len]);
    }
    for (at, byte) in [(1, 0), (1, 3), (1, 255)] {
        assert_eq!(kcs(&ipmi(&[(at, byte)])), None);
    }
}

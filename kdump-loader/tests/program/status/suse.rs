//! The dump of openSUSE's program: its settings, and which copy of them counts.

use super::{said, told};
use crate::fixture::status::Debian;

/// makedumpfile in an initrd, new enough for the machine's kernel.
const MAKEDUMPFILE: (&str, &[u8]) =
    ("usr/sbin/makedumpfile", b"\x7fELF makedumpfile: version 1.7.8 (released on");

/// A machine whose initrd has openSUSE's program. Its settings are on the machine, and those of
/// `copies` in the initrd.
fn suse(settings: &str, copies: &[(&str, &[u8])]) -> Debian {
    let machine = Debian::new();
    let program: (&str, &[u8]) = ("kdump/kdump-save", b"");
    machine.write("etc/sysconfig/kdump", settings);
    machine.initrd(&[&[program, MAKEDUMPFILE][..], copies].concat());
    machine
}

#[test]
fn dump_format_none_saves_only_a_log() {
    let none = "KDUMP_SAVEDIR=\"/var/crash\"\nKDUMP_DUMPFORMAT=\"none\"\n";
    let machine = suse(none, &[]);
    assert_eq!(told(&machine), "no: saver_missing");
    assert!(said(&machine).contains("KDUMP_DUMPFORMAT is none in /etc/sysconfig/kdump"));
    assert_eq!(told(&suse("", &[("etc/kdump.conf", none.as_bytes())])), "no: saver_missing");
    assert_eq!(told(&suse("KDUMP_DUMPFORMAT=raw\n", &[])), "yes:");
}

#[test]
fn copy_of_the_settings_in_the_initrd_counts() {
    let sftp: &[u8] = b"KDUMP_SAVEDIR='sftp://host/dumps'\n";
    for path in ["etc/sysconfig/kdump", "etc/kdump.conf"] {
        let machine = suse("KDUMP_SAVEDIR=\"/var/crash\"\n", &[(path, sftp)]);
        assert_eq!(told(&machine), "yes_but: target_on_network", "{path}");
        assert!(said(&machine).contains("to sftp://host/dumps"), "{path}");
    }
    let local: &[u8] = b"KDUMP_SAVEDIR='/srv/crash'\n";
    let both = [("etc/kdump.conf", local), ("etc/sysconfig/kdump", sftp)];
    assert!(said(&suse("", &both)).contains("to /srv/crash"), "the newer program reads the first");
}

#[test]
fn several_places_are_not_taken_for_one_directory() {
    let machine = suse("KDUMP_SAVEDIR=\"file:///var/crash ssh://user@host/x\"\n", &[]);
    assert_eq!(told(&machine), "yes_but: target_unknown");
    assert!(said(&machine).contains("KDUMP_SAVEDIR in /etc/sysconfig/kdump names several places"));
    assert_eq!(told(&suse("KDUMP_SAVEDIR=\"file:/x\"\n", &[])), "yes_but: target_unknown");
}

#[test]
fn command_that_replaces_the_program_has_an_unknown_target() {
    assert_eq!(told(&suse("KDUMP_TRANSFER=\"scp\"\n", &[])), "yes_but: target_unknown");
}

#[test]
fn space_that_must_stay_free_is_not_for_the_dump() {
    assert_eq!(told(&suse("KDUMP_FREE_DISK_SIZE=0\n", &[])), "yes:");
    let machine = suse("KDUMP_FREE_DISK_SIZE=100000000000\n", &[]);
    assert_eq!(told(&machine), "no: target_full");
    assert!(said(&machine).contains("besides the 100000000000 MiB"), "{}", said(&machine));
}

#[test]
fn note_that_names_no_program_is_no_saver() {
    for note in ["", "\n", "  \nmine\n"] {
        let machine = Debian::new();
        machine.initrd(&[("etc/kdump-loader/saver", note.as_bytes())]);
        assert_eq!(told(&machine), "cannot_tell: saver_unknown", "{note:?}");
    }
}

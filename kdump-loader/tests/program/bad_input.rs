//! Errors before the system call: exit status 1, nothing on standard output, and a message with the
//! value, the limit and the remedy.

use std::fs;

use crate::fixture::machine::OPTIONAL;
use crate::fixture::{Fixture, NONE, assert_says, example, program, run};

fn kernel_refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let fixture = Fixture::new();
    fixture.spoil("vmlinuz", change);
    let message = fixture.refusal(NONE);
    assert_says(&message, &["vmlinuz"]);
    message
}

#[test]
fn missing_files_are_named() {
    for name in ["vmlinuz", "initrd", "purgatory.elf"] {
        let fixture = Fixture::new();
        fs::remove_file(fixture.path(name)).unwrap();
        assert_says(&fixture.refusal(NONE), &[name, "No such file"]);
    }
}

#[test]
fn empty_kernel_is_rejected() {
    assert_says(&kernel_refusal(Vec::clear), &["empty"]);
}

#[test]
fn kernel_truncated_at_any_field_is_rejected() {
    // Offsets of the setup header's fields (boot.rst), of the setup code and of the payload.
    let fields = [
        0x1f1, 0x1f4, 0x1fe, 0x200, 0x202, 0x206, 0x211, 0x22c, 0x230, 0x234, 0x236, 0x238, 0x250,
        0x258, 0x260,
    ];
    let ends = fields.into_iter().flat_map(|field| [field, field + 1]).chain([
        0x264,
        1023,
        1024,
        1024 + 99_999,
    ]);
    for len in ends {
        assert_says(&kernel_refusal(|bytes| bytes.truncate(len)), &["truncated"]);
    }
}

#[test]
fn file_that_is_not_a_kernel_is_rejected() {
    assert_says(&kernel_refusal(|bytes| *bytes = b"#!/bin/sh\n".repeat(200)), &["bzImage"]);
}

#[test]
fn kernel_of_32_bits_is_rejected() {
    assert_says(&kernel_refusal(|bytes| bytes[0x236] &= !1), &["32-bit", "amd64"]);
}

#[test]
fn kernel_of_an_old_boot_protocol_is_rejected() {
    let message = kernel_refusal(|bytes| bytes[0x206] = 0x0b);
    assert_says(&message, &["2.11", "2.12"]);
}

#[test]
fn kernel_that_needs_more_than_the_region_is_rejected() {
    let message = kernel_refusal_of_region(|bytes| {
        bytes[0x260..0x264].copy_from_slice(&(400u32 << 20).to_le_bytes())
    });
    assert_says(&message, &["too small", "201326592 bytes (192 MiB)", "crashkernel="]);
}

fn kernel_refusal_of_region(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let fixture = Fixture::new();
    fixture.spoil("vmlinuz", change);
    fixture.refusal(NONE)
}

#[test]
fn region_that_is_too_small_is_rejected_with_a_sufficient_size() {
    let fixture = Fixture::new();
    fixture.edit_snapshot("proc/iomem", "2f000000-3affffff : Crash", "2f000000-2f3fffff : Crash");
    assert_says(
        &fixture.refusal(NONE),
        &["0x2f000000-0x2f3fffff", "too small", "4194304 bytes (4 MiB)", "crashkernel=144M"],
    );
}

#[test]
fn initrd_that_does_not_fit_is_rejected() {
    let fixture = Fixture::new();
    // The file is sparse, so it needs no disk space.
    fs::File::create(fixture.path("initrd")).unwrap().set_len(190 << 20).unwrap();
    assert_says(&fixture.refusal(NONE), &["too small", "crashkernel="]);
}

#[test]
fn initrd_that_is_empty_or_an_elf_file_is_rejected() {
    let fixture = Fixture::new();
    fixture.write("initrd", b"");
    assert_says(&fixture.refusal(NONE), &["initrd", "empty"]);
    fixture.write("initrd", b"\x7fELF and more");
    assert_says(&fixture.refusal(NONE), &["initrd", "ELF magic", "7f 45 4c 46", "cpio"]);
}

#[test]
fn command_line_is_rejected_one_byte_above_the_limit() {
    let fixture = Fixture::new();
    let longest = (0..2048)
        .rev()
        .find(|&len| fixture.plan(["--append", &"a".repeat(len)]).code == Some(0))
        .unwrap();
    let message = fixture.refusal(["--append", &"a".repeat(longest + 1)]);
    assert_says(&message, &["2047"]);
    assert!(longest > 1700, "{longest}: the loader's own words take no more than 300 bytes");
}

#[test]
fn engine_that_the_machine_lacks_is_rejected() {
    let fixture = Fixture::new();
    fixture.edit_snapshot("proc/cpuinfo", " sha_ni", "");
    assert_says(&fixture.refusal(["--engine", "sha-ni"]), &["sha-ni", "use soft or auto"]);
}

#[test]
fn hidden_addresses_are_rejected() {
    let fixture = Fixture::new();
    let path = fixture.path("snapshot/proc/iomem");
    let text = fs::read_to_string(&path).unwrap();
    let hide = |line: &str| {
        let indent = &line[..line.len() - line.trim_start().len()];
        format!("{indent}00000000-00000000 : {}\n", line.split_once(" : ").unwrap().1)
    };
    fs::write(path, text.lines().map(hide).collect::<String>()).unwrap();
    assert_says(&fixture.refusal(NONE), &["proc/iomem", "root"]);
}

#[test]
fn machine_without_a_reservation_gets_a_remedy() {
    let fixture = Fixture::new();
    fixture.edit_snapshot("proc/iomem", "  2f000000-3affffff : Crash kernel\n", "");
    fixture.edit_snapshot("proc/cmdline", " crashkernel=192M", "");
    assert_says(&fixture.refusal(NONE), &["crashkernel=256M", "reboot"]);
}

#[test]
fn file_that_is_not_a_purgatory_is_rejected() {
    let fixture = Fixture::new();
    fixture.write("purgatory.elf", b"");
    assert_says(&fixture.refusal(NONE), &["purgatory.elf", "not an ELF file", "cargo xtask build"]);
    // An executable ELF file for this machine.
    fs::copy(env!("CARGO_BIN_EXE_kdump-loader"), fixture.path("purgatory.elf")).unwrap();
    assert_says(&fixture.refusal(NONE), &["purgatory.elf", "relocations in section"]);
    fixture.write(
        "purgatory.elf",
        &example::Elf { handoff_name: ".other", ..example::purgatory() }.bytes(),
    );
    assert_says(&fixture.refusal(NONE), &[".handoff"]);
}

#[test]
fn truncated_purgatory_is_rejected() {
    let fixture = Fixture::new();
    fixture.spoil("purgatory.elf", |bytes| bytes.truncate(5000));
    assert_says(&fixture.refusal(NONE), &["purgatory.elf", "damaged"]);
}

#[test]
fn purgatory_whose_text_begins_with_its_elf_header_is_rejected() {
    let fixture = Fixture::new();
    let mut elf = example::purgatory();
    elf.text[..4].copy_from_slice(b"\x7fELF");
    fixture.write("purgatory.elf", &elf.bytes());
    assert_says(&fixture.refusal(NONE), &["segment purgatory", "ELF magic"]);
}

#[test]
fn damaged_snapshot_is_rejected_with_the_name_of_the_file() {
    // Only the first and last entry of the EFI runtime map are damaged, which is enough.
    let in_the_middle =
        |name: &str| (1..10).any(|number| name.contains(&format!("runtime-map/{number}/")));
    let files = Fixture::snapshot_files();
    for name in files.keys().filter(|name| !in_the_middle(name)) {
        for damage in [Damage::Missing, Damage::Empty, Damage::Garbage] {
            let fixture = Fixture::new();
            let path = fixture.path("snapshot").join(name);
            match damage {
                Damage::Missing => fs::remove_file(&path).unwrap(),
                Damage::Empty => fs::write(&path, b"").unwrap(),
                Damage::Garbage => fs::write(&path, b"\xff\xfe nonsense \x00").unwrap(),
            }
            let result = fixture.plan(NONE);
            if may_be(damage, name) {
                assert_eq!(result.code, Some(0), "{name}, {damage:?}: {}", result.stderr);
            } else {
                assert_eq!(result.code, Some(1), "{name}, {damage:?}: {}", result.stderr);
                assert_says(&result.stderr, &[name]);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Missing,
    Empty,
    Garbage,
}

/// Whether an image can be built with this damage.
fn may_be(damage: Damage, name: &str) -> bool {
    // An empty file is an empty list. Lockdown is checked by the kernel anyway.
    const EMPTY: [&str; 5] = [
        "proc/cmdline",
        "sys/kernel/kexec/crash_cma_ranges",
        "sys/kernel/security/lockdown",
        "sys/firmware/efi/systab",
        "kdump-loader/cpuid",
    ];
    // The running kernel's command line is not reused.
    const GARBAGE: [&str; 2] = ["proc/cmdline", "sys/kernel/security/lockdown"];
    // A dump needs no kernel log and no signal.
    const FOR_BLACK_BOX: [&str; 3] =
        ["proc/ioports", "sys/firmware/dmi/tables/DMI", "kdump-loader/printk_ring"];
    match damage {
        _ if FOR_BLACK_BOX.contains(&name) => true,
        Damage::Missing => OPTIONAL.contains(&name),
        Damage::Empty => EMPTY.contains(&name),
        Damage::Garbage => GARBAGE.contains(&name),
    }
}

#[test]
fn snapshot_without_memory_layout_is_rejected() {
    for name in [
        "proc/iomem",
        "proc/kcore",
        "proc/cpuinfo",
        "sys/kernel/vmcoreinfo",
        "kdump-loader/tsc_khz",
    ] {
        let fixture = Fixture::new();
        fs::remove_file(fixture.path("snapshot").join(name)).unwrap();
        assert_says(&fixture.refusal(NONE), &[name]);
    }
}

#[test]
fn missing_snapshot_is_rejected() {
    let fixture = Fixture::new();
    fs::remove_dir_all(fixture.path("snapshot")).unwrap();
    assert_says(&fixture.refusal(NONE), &["snapshot"]);
}

#[test]
fn inspecting_an_unknown_file_is_rejected() {
    let fixture = Fixture::new();
    let result = run(program().arg("inspect").arg(fixture.path("initrd")));
    assert_eq!(result.code, Some(1));
    assert_says(&result.stderr, &["kdump-loader: error: ", "initrd"]);
}

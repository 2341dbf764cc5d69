//! Files that are refused, and the messages.

use std::fs;

use proptest::prelude::*;

use super::super::example::{self, KCORE_LOADS, OPTIONAL};
use super::super::*;
use super::{read, read_with};

#[test]
fn missing_file_is_named_unless_it_is_optional() {
    let tree = example::tree();
    for (gone, content) in example::files() {
        let path = tree.path().join(&gone);
        fs::remove_file(&path).unwrap();
        match Machine::read(tree.path(), None) {
            Ok(_) => assert!(OPTIONAL.contains(&&*gone), "{gone} was not missed"),
            Err(Error::Missing { path, .. }) => {
                assert!(!OPTIONAL.contains(&&*gone), "{gone} was missed");
                assert!(path.ends_with(&gone), "{path:?} for {gone}");
            }
            Err(error) => panic!("{gone}: {error}"),
        }
        fs::write(path, content).unwrap();
    }
}

#[test]
fn garbled_file_is_named_with_what_it_should_hold() {
    // Any text is a command line, and a lockdown state that cannot be read is none. Without the
    // others there is no signal and no kernel log, which a dump does not need.
    const FREE: [&str; 5] = [
        "proc/cmdline",
        "sys/kernel/security/lockdown",
        "proc/ioports",
        "sys/firmware/dmi/tables/DMI",
        "kdump-loader/printk_ring",
    ];
    const MAY_BE_EMPTY: [&str; 2] = ["crash_cma_ranges", "cpuid"];
    let tree = example::tree();
    for (garbled, content) in
        example::files().into_iter().filter(|(path, _)| !FREE.contains(&&**path))
    {
        let path = tree.path().join(&garbled);
        for garbage in ["", "\u{1}garbage\n", "0xfffffffffffffffff 1\n", "-1\n", "+1\n"] {
            fs::write(&path, garbage).unwrap();
            match Machine::read(tree.path(), None) {
                Err(Error::Garbled { path, .. }) => {
                    assert!(path.ends_with(&garbled), "{path:?} for {garbled}")
                }
                // Without lines there are no ranges, and no tables.
                Ok(_) => {
                    let may_be_empty = garbled.ends_with("systab")
                        || garbage.is_empty()
                            && MAY_BE_EMPTY.iter().any(|name| garbled.ends_with(name));
                    assert!(may_be_empty, "{garbled} with {garbage:?} was taken");
                }
                Err(error) => panic!("{garbled} with {garbage:?}: {error}"),
            }
        }
        fs::write(&path, content).unwrap();
    }
    let message = read_with("sys/kernel/crash_elfcorehdr_size", "many\n").unwrap_err().to_string();
    assert!(
        message.contains(
            "crash_elfcorehdr_size must hold a decimal number of bytes, but holds \"many\""
        ),
        "{message}"
    );
}

#[test]
fn impossible_numbers_are_refused() {
    for (path, content) in [
        ("sys/kernel/vmcoreinfo", "0xffffffffffffffff 1024\n"),
        ("sys/kernel/vmcoreinfo", "0x1824000 0\n"),
        ("sys/kernel/vmcoreinfo", "0x1824000 0x1024 7\n"),
        ("sys/kernel/vmcoreinfo", "0x0x1824000 1024\n"),
        ("sys/devices/system/cpu/possible", "3-0\n"),
        ("sys/devices/system/cpu/possible", "0-4294967295\n"),
        ("sys/devices/system/cpu/possible", "0-4294967294,0-4294967294\n"),
        ("sys/devices/system/cpu/cpu2/crash_notes_size", "0\n"),
        ("sys/devices/system/cpu/cpu2/crash_notes_size", "18446744073709551615\n"),
        ("proc/sys/kernel/kexec_load_disabled", "2\n"),
        ("proc/meminfo", "MemFree: 1 kB\n"),
        ("proc/meminfo", "MemTotal: 0 kB\n"),
        ("proc/meminfo", "MemTotal: +1 kB\n"),
        ("proc/meminfo", "MemTotal: 18446744073709551615 kB\n"),
        ("sys/firmware/efi/runtime-map/3/type", "0x100000000\n"),
        ("sys/kernel/kexec/crash_cma_ranges", "2000-1000\n"),
        ("proc/iomem", "00001000-00000fff : System RAM\n"),
        ("proc/iomem", "00000000-ffffffffffffffff : System RAM\n"),
        ("proc/iomem", "00100000-3fffffff : Reserved\n"),
        ("proc/cpuinfo", "flags : fpu\naddress sizes : 31 bits physical\n"),
        ("proc/cpuinfo", "flags : fpu\naddress sizes : 53 bits physical\n"),
        ("proc/cpuinfo", "flags : fpu\naddress sizes : +40 bits physical\n"),
        ("proc/cpuinfo", "flags : fpu\n"),
        ("kdump-loader/tsc_khz", "0\n"),
    ] {
        match read_with(path, content) {
            Err(Error::Garbled { path: named, .. }) => {
                assert!(named.ends_with(path), "{named:?} for {path}")
            }
            other => panic!("{path} with {content:?}: {:?}", other.map(drop)),
        }
    }
}

#[test]
fn zero_addresses_ask_for_root() {
    let hidden = "00000000-00000000 : Reserved\n\
                  00000000-00000000 : System RAM\n  00000000-00000000 : Crash kernel\n";
    let error = read_with("proc/iomem", hidden).unwrap_err();
    assert!(matches!(error, Error::Hidden { .. }), "{error:?}");
    assert!(error.to_string().contains("run as root"), "{error}");
}

#[test]
fn error_without_a_crash_region_has_the_remedy() {
    let mut files = example::files();
    files.insert("proc/iomem".into(), b"00100000-3ffddfff : System RAM\n".to_vec());
    let refused = read(&files).unwrap().crash_region().unwrap_err();
    assert!(refused.to_string().contains("booted with crashkernel=192M"), "{refused}");
    files.insert("proc/cmdline".into(), b"quiet\n".to_vec());
    let none = read(&files).unwrap().crash_region().unwrap_err();
    assert!(none.to_string().contains("add crashkernel="), "{none}");
}

#[test]
fn kcore_must_show_one_text_and_one_direct_map() {
    let [vmalloc, text, modules, low, ram, vmemmap] = KCORE_LOADS;
    let moved = (ram.0 + 0x1000, ram.1, ram.2);
    for (loads, complaint) in [
        (vec![vmalloc, low, ram], "0 segments of kernel text"),
        (vec![text, text, low, ram], "2 segments of kernel text"),
        (vec![vmalloc, text, modules, vmemmap], "0 segments of RAM"),
        (vec![text, low, moved], "2 segments of RAM that do not form one direct map"),
        (vec![(text.0, text.1, 0), ram], "kernel text of 0x0 bytes"),
        (vec![(text.0, text.1, u64::MAX), ram], "kernel text of"),
    ] {
        let mut files = example::files();
        files.insert("proc/kcore".into(), example::kcore(&loads));
        let error = read(&files).unwrap_err();
        assert!(
            matches!(error, Error::Garbled { .. }) && error.to_string().contains(complaint),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn kcore_cut_or_changed_anywhere_is_read_or_refused(
        cut in 0..700usize,
        at in 0..500usize,
        byte: u8,
    ) {
        let mut bytes = example::kcore(&KCORE_LOADS);
        bytes[at] = byte;
        bytes.truncate(cut);
        let headers = kcore::read_headers(&mut &*bytes).unwrap();
        prop_assert!(headers.len() <= bytes.len());
        let found = source::Found { path: "kcore".into(), bytes: headers, expected: "a core" };
        if let Ok(kcore) = kcore::parse(&found) {
            prop_assert!(
                kcore.text_len > 0 && kcore.text_virt.checked_add(kcore.text_len).is_some()
            );
        }
    }

    #[test]
    fn iomem_of_any_text_is_read_or_refused(
        text in "([ 0-9a-f-]{0,12}( : )?(System RAM|Crash kernel|Reserved)?\n?){0,6}",
    ) {
        let found =
            source::Found { path: "iomem".into(), bytes: text.into_bytes(), expected: "lines" };
        if let Ok(iomem) = iomem::parse(&found) {
            prop_assert!(!iomem.system_ram.is_empty() && iomem.system_ram.is_sorted());
        }
    }
}

/// The example's /proc/iomem with these lines after it.
fn read_with_lines(lines: &[u8]) -> Result<Machine, Error> {
    let mut files = example::files();
    files.get_mut("proc/iomem").unwrap().extend_from_slice(lines);
    read(&files)
}

#[test]
fn irrelevant_line_is_skipped_with_any_content() {
    for line in [
        &b"fe000000-fe000fff : \xff\xfe\x80 left by a driver\n"[..],
        b"fe000000-ffffffffffffffff : PCI Bus 0000:00\n",
        b"fffffffffffffffff-0 : odd\n",
        b"2000-1000 : backwards\n",
        b"\xff\xff : PCI Bus\n",
        b"\x00\x01\x02\n",
        b"not a line\n",
        b" : \n",
        b"\n",
    ] {
        assert_eq!(read_with_lines(line).unwrap(), example::machine(), "{}", line.escape_ascii());
    }
}

#[test]
fn damaged_relevant_line_is_quoted_in_the_error() {
    for (line, quoted) in [
        (
            &b"150000000-ffffffffffffffff : System RAM\n"[..],
            "150000000-ffffffffffffffff : System RAM",
        ),
        (b"  2000-1000 : Crash kernel\n", "2000-1000 : Crash kernel"),
        (b"2000-zzzz : System RAM (kmem)\n", "2000-zzzz"),
        (b"\xff-2000 : Reserved\n", "-2000 : Reserved"),
        (b"00002000-00003fff System RAM\n", "00002000-00003fff System RAM"),
        (b"+2000-3000 : ACPI Tables\n", "+2000-3000"),
    ] {
        let message = read_with_lines(line).unwrap_err().to_string();
        assert!(
            message.contains("proc/iomem") && message.contains(quoted),
            "{}: {message}",
            line.escape_ascii()
        );
    }
}

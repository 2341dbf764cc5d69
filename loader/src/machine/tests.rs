use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::example::{self, KCORE_LOADS, NOTES, TSC_KHZ};
use super::*;

/// Files without which a machine can be read.
const OPTIONAL: [&str; 8] = [
    "sys/kernel/kexec/crash_cma_ranges",
    "sys/kernel/crash_elfcorehdr_size",
    "sys/kernel/security/lockdown",
    "sys/devices/system/cpu/crash_hotplug",
    "sys/devices/system/memory/crash_hotplug",
    "sys/firmware/efi/systab",
    "sys/firmware/efi/fw_vendor",
    "sys/firmware/efi/config_table",
];

fn range(start: u64, end: u64) -> PhysRange {
    PhysRange::new(start, end).unwrap()
}

fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Machine, Error> {
    let dir = TempDir::new().unwrap();
    example::plant(dir.path(), files);
    Machine::read(dir.path(), None)
}

/// The example with one file changed.
fn read_with(path: &str, content: &str) -> Result<Machine, Error> {
    let mut files = example::files();
    files.insert(path.into(), content.into());
    read(&files)
}

#[test]
fn every_fact_of_the_example_is_read() {
    let machine = example::machine();
    let ram = [range(0x1000, 0x9fc00), range(0x10_0000, 0x3ffd_e000), range(0x1_0000_0000, 0x1_1000_0000)];
    assert_eq!(machine.system_ram[..3], ram);
    assert_eq!(machine.system_ram[3..], [range(0x1_4000_0000, 0x1_4800_0000)]);
    assert_eq!(machine.crash_regions, [range(0x2f00_0000, 0x3b00_0000)]);
    assert_eq!(machine.crash_region().unwrap(), range(0x2f00_0000, 0x3b00_0000));
    assert_eq!(machine.crash_cma, [range(0x2000_0000, 0x2100_0000)]);
    assert_eq!(machine.acpi_tables, [range(0x3ffd_e000, 0x3ffd_f000)]);
    assert_eq!(machine.acpi_nvs, [range(0x3ffd_f000, 0x3ffe_0000)]);
    let reserved = [range(0, 0x1000), range(0x9fc00, 0xa_0000), range(0x3ffe_0000, 0x4000_0000), range(0xb000_0000, 0xc000_0000)];
    assert_eq!(machine.reserved, reserved);
    assert_eq!(machine.pmem, [range(0x1_8000_0000, 0x1_8800_0000)]);
    assert_eq!(machine.pram, [range(0x1_8800_0000, 0x1_9000_0000)]);
    let kcore = Kcore {
        text_virt: 0xffff_ffff_9b80_0000,
        text_phys: 0x180_0000,
        text_len: 0x1a0_0000,
        page_offset: 0xffff_9000_0000_0000,
    };
    assert_eq!(machine.kcore, kcore);
    assert_eq!(machine.vmcoreinfo, range(0x182_4000, 0x182_5024));
    let notes = |cpu, start| CrashNotes { cpu, range: range(start, start + 368) };
    assert_eq!(machine.crash_notes, [notes(0, 0x2ec1_d5c0), notes(2, 0x2ed1_d5c0)]);
    assert_eq!(machine.possible_cpus, 4);
    assert_eq!(machine.elfcorehdr_size, Some(917_616));
    assert_eq!(machine.boot_params.len(), 4096);
    assert_eq!(machine.command_line, "BOOT_IMAGE=/vmlinuz root=/dev/vda1 console=ttyS0 crashkernel=192M");
    let cpu = CpuFacts { sha_ni: true, gbpages: true, la57: false, physical_bits: 40, confidential: None, tsc_khz: TSC_KHZ };
    assert_eq!(machine.cpu, cpu);
    let kexec = KexecState {
        crash_loaded: true,
        crash_size: 192 << 20,
        crash_hotplug_cpu: Some(true),
        crash_hotplug_memory: Some(false),
        load_disabled: false,
        lockdown: Some("integrity".into()),
    };
    assert_eq!(machine.kexec, kexec);
    let efi = machine.efi.unwrap();
    assert_eq!(
        (efi.fw_vendor, efi.config_table, efi.smbios, efi.acpi_rsdp),
        (0x3f9e_c018, 0x3f9e_ba98, 0x3f9c_a000, 0x3ffd_e014)
    );
}

#[test]
fn efi_runtime_map_is_in_numeric_order() {
    let map = example::machine().efi.unwrap().runtime_map;
    let addresses: Vec<_> = map.iter().map(|descriptor| descriptor.phys_addr).collect();
    assert_eq!(addresses, (0..11).map(|number| 0x3f00_0000 + number * 0x1000).collect::<Vec<_>>());
    let last = EfiMemoryDescriptor {
        kind: 6,
        phys_addr: 0x3f00_a000,
        virt_addr: 0xffff_fffe_ff00_a000,
        num_pages: 1,
        attribute: 0x8000_0000_0000_000f,
    };
    assert_eq!(map[10], last);
}

#[test]
fn missing_file_is_named_unless_it_is_optional() {
    let tree = example::tree();
    for (gone, content) in example::files() {
        let path = tree.path().join(&gone);
        fs::remove_file(&path).unwrap();
        match Machine::read(tree.path(), None) {
            Ok(_) => assert!(OPTIONAL.contains(&&*gone), "nobody missed {gone}"),
            // The newest place is named, at which Linux 6.12 does not have it yet.
            Err(Error::Missing { path, .. }) => {
                assert!(!OPTIONAL.contains(&&*gone), "{gone} was missed");
                assert!(
                    path.ends_with(&gone) || path.ends_with(gone.replace("kexec_crash_", "kexec/crash_")),
                    "{path:?} for {gone}"
                );
            }
            Err(error) => panic!("{gone}: {error}"),
        }
        fs::write(path, content).unwrap();
    }
}

#[test]
fn garbled_file_is_named_with_what_it_should_hold() {
    // Any text is a command line, and a lockdown state that cannot be read is none.
    const FREE: [&str; 2] = ["proc/cmdline", "sys/kernel/security/lockdown"];
    let tree = example::tree();
    for (garbled, content) in example::files().into_iter().filter(|(path, _)| !FREE.contains(&&**path)) {
        let path = tree.path().join(&garbled);
        for garbage in ["", "\u{1}garbage\n", "0xfffffffffffffffff 1\n", "-1\n", "+1\n"] {
            fs::write(&path, garbage).unwrap();
            match Machine::read(tree.path(), None) {
                Err(Error::Garbled { path, .. }) => assert!(path.ends_with(&garbled), "{path:?} for {garbled}"),
                // No lines at all are no ranges, and no tables.
                Ok(_) => {
                    let may_be_empty = garbled.ends_with("systab") || garbage.is_empty() && garbled.ends_with("crash_cma_ranges");
                    assert!(may_be_empty, "{garbled} with {garbage:?} was taken");
                }
                Err(error) => panic!("{garbled} with {garbage:?}: {error}"),
            }
        }
        fs::write(&path, content).unwrap();
    }
    let message = read_with("sys/kernel/kexec_crash_size", "many\n").unwrap_err().to_string();
    assert!(message.contains("kexec_crash_size should hold a decimal number of bytes, but holds \"many\""), "{message}");
}

#[test]
fn impossible_numbers_are_refused() {
    for (path, content) in [
        ("sys/kernel/vmcoreinfo", "0xffffffffffffffff 1024\n"),
        ("sys/kernel/vmcoreinfo", "0x1824000 0\n"),
        ("sys/kernel/vmcoreinfo", "0x1824000 0x1024 7\n"),
        ("sys/devices/system/cpu/possible", "3-0\n"),
        ("sys/devices/system/cpu/possible", "0-4294967295\n"),
        ("sys/devices/system/cpu/possible", "0-4294967294,0-4294967294\n"),
        ("sys/devices/system/cpu/cpu2/crash_notes_size", "0\n"),
        ("sys/devices/system/cpu/cpu2/crash_notes_size", "18446744073709551615\n"),
        ("sys/kernel/kexec_crash_loaded", "2\n"),
        ("sys/firmware/efi/runtime-map/3/type", "0x100000000\n"),
        ("sys/kernel/kexec/crash_cma_ranges", "2000-1000\n"),
        ("proc/iomem", "00001000-00000fff : System RAM\n"),
        ("proc/iomem", "00000000-ffffffffffffffff : System RAM\n"),
        ("proc/iomem", "00100000-3fffffff : Reserved\n"),
        ("proc/cpuinfo", "flags : fpu\naddress sizes : 31 bits physical\n"),
        ("proc/cpuinfo", "flags : fpu\naddress sizes : 53 bits physical\n"),
        ("proc/cpuinfo", "flags : fpu\n"),
        ("kdump-loader/tsc_khz", "0\n"),
    ] {
        match read_with(path, content) {
            Err(Error::Garbled { path: named, .. }) => assert!(named.ends_with(path), "{named:?} for {path}"),
            other => panic!("{path} with {content:?}: {:?}", other.map(drop)),
        }
    }
}

#[test]
fn zero_addresses_ask_for_root() {
    let hidden = "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n  00000000-00000000 : Crash kernel\n";
    let error = read_with("proc/iomem", hidden).unwrap_err();
    assert!(matches!(error, Error::Hidden { .. }), "{error:?}");
    assert!(error.to_string().contains("run as root"), "{error}");
}

#[test]
fn machine_without_crash_region_is_told_the_remedy() {
    let mut files = example::files();
    files.insert("proc/iomem".into(), b"00100000-3ffddfff : System RAM\n".to_vec());
    let refused = read(&files).unwrap().crash_region().unwrap_err();
    assert!(refused.to_string().contains("although the running kernel was booted with crashkernel=192M"), "{refused}");
    files.insert("proc/cmdline".into(), b"quiet\n".to_vec());
    let none = read(&files).unwrap().crash_region().unwrap_err();
    assert!(none.to_string().contains("add crashkernel="), "{none}");
}

#[test]
fn highest_crash_region_is_the_one_for_images() {
    let iomem = "00100000-3fffffff : System RAM\n  1f000000-2effffff : Crash kernel\n\
                 100000000-17fffffff : System RAM\n  170000000-17fffffff : Crash kernel\n";
    let machine = read_with("proc/iomem", iomem).unwrap();
    assert_eq!(machine.crash_regions, [range(0x1f00_0000, 0x2f00_0000), range(0x1_7000_0000, 0x1_8000_0000)]);
    assert_eq!(machine.crash_region().unwrap(), range(0x1_7000_0000, 0x1_8000_0000));
}

#[test]
fn new_place_of_the_kexec_files_is_known_and_preferred() {
    let mut files = example::files();
    files.insert("sys/kernel/kexec/crash_loaded".into(), b"0\n".to_vec());
    files.insert("sys/kernel/kexec/crash_elfcorehdr_size".into(), b"4096\n".to_vec());
    let size = files.remove("sys/kernel/kexec_crash_size").unwrap();
    files.insert("sys/kernel/kexec/crash_size".into(), size);
    let machine = read(&files).unwrap();
    assert_eq!((machine.kexec.crash_loaded, machine.elfcorehdr_size, machine.kexec.crash_size), (false, Some(4096), 192 << 20));
}

#[test]
fn capability_counts_only_if_every_cpu_has_it() {
    for (flag, of) in [("sha_ni", "sha_ni"), ("ssse3", "sha_ni"), ("sse4_1", "sha_ni"), ("pdpe1gb", "gbpages")] {
        let files = example::files();
        let cpuinfo = str::from_utf8(&files["proc/cpuinfo"]).unwrap();
        let (first, second) = cpuinfo.split_once("\n\n").unwrap();
        let cpu = read_with("proc/cpuinfo", &format!("{first}\n\n{}", second.replace(flag, ""))).unwrap().cpu;
        assert_eq!((cpu.sha_ni, cpu.gbpages), (of != "sha_ni", of != "gbpages"), "without {flag}");
    }
}

#[test]
fn only_guests_are_confidential() {
    for (flags, confidential) in [
        ("sev sev_es sev_snp", None),
        ("hypervisor sev sev_es", Some("sev_es")),
        ("hypervisor sev sev_es sev_snp", Some("sev_snp")),
        ("hypervisor tdx_guest", Some("tdx_guest")),
        ("hypervisor la57", None),
    ] {
        let cpuinfo = format!("flags : fpu {flags}\naddress sizes : 46 bits physical, 48 bits virtual\n");
        let cpu = read_with("proc/cpuinfo", &cpuinfo).unwrap().cpu;
        assert_eq!(cpu.confidential.as_deref(), confidential, "{flags}");
        assert_eq!(cpu.la57, flags.contains("la57"));
    }
}

#[test]
fn machine_without_efi_has_none_and_one_without_runtime_has_an_empty_map() {
    let mut files = example::files();
    files.retain(|path, _| !path.contains("runtime-map"));
    let efi = read(&files).unwrap().efi.unwrap();
    assert_eq!((efi.runtime_map, efi.acpi_rsdp), (vec![], 0x3ffd_e014));
    files.retain(|path, _| !path.contains("efi"));
    assert_eq!(read(&files).unwrap().efi, None);
}

#[test]
fn measured_frequency_wins_over_the_snapshots() {
    assert_eq!(Machine::read(example::tree().path(), Some(1_000_000)).unwrap().cpu.tsc_khz, 1_000_000);
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
        assert!(matches!(error, Error::Garbled { .. }) && error.to_string().contains(complaint), "{error}");
    }
}

#[test]
fn snapshot_reads_as_the_machine_it_was_taken_of() {
    let live = example::tree();
    fs::write(live.path().join("proc/version"), "not read by anybody").unwrap();
    fs::create_dir(live.path().join("sys/devices/system/cpu/cpufreq")).unwrap();
    let snapshot = TempDir::new().unwrap();
    let dir = snapshot.path().join("new");
    let mut written = snapshot::save(live.path(), &dir, 1_000_000).unwrap();
    written.sort();
    let expected: Vec<_> = example::files().into_keys().map(|path| dir.join(path)).collect();
    let mut expected_sorted = expected.clone();
    expected_sorted.sort();
    assert_eq!(written, expected_sorted);

    let mut machine = example::machine();
    machine.cpu.tsc_khz = 1_000_000;
    assert_eq!(Machine::read(&dir, None).unwrap(), machine);
}

#[test]
fn snapshot_of_kcore_ends_after_its_notes() {
    let live = example::tree();
    let snapshot = TempDir::new().unwrap();
    snapshot::save(live.path(), snapshot.path(), 1).unwrap();
    let copy = fs::read(snapshot.path().join("proc/kcore")).unwrap();
    assert!(copy.ends_with(NOTES), "{} bytes", copy.len());
}

#[test]
fn snapshot_into_a_directory_in_use_is_refused_and_leaves_it_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("mine"), "precious").unwrap();
    let error = snapshot::save(example::tree().path(), dir.path(), 1).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn snapshot_of_hidden_addresses_is_refused_before_anything_is_written() {
    let live = example::tree();
    fs::write(live.path().join("proc/iomem"), "00000000-00000000 : System RAM\n").unwrap();
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("new");
    let error = snapshot::save(live.path(), &dir, 1).unwrap_err();
    assert!(matches!(error, Error::Hidden { .. }), "{error:?}");
    assert!(!dir.exists());
}

#[test]
fn snapshot_of_a_machine_that_cannot_be_read_is_taken_all_the_same() {
    let live = example::tree();
    fs::write(live.path().join("sys/kernel/vmcoreinfo"), "odd").unwrap();
    fs::remove_file(live.path().join("sys/devices/system/cpu/cpu2/crash_notes")).unwrap();
    let dir = TempDir::new().unwrap();
    snapshot::save(live.path(), dir.path(), 1).unwrap();
    assert_eq!(fs::read(dir.path().join("sys/kernel/vmcoreinfo")).unwrap(), b"odd");
    assert!(Machine::read(dir.path(), None).is_err());
}

proptest! {
    #[test]
    fn kcore_cut_or_changed_anywhere_is_read_or_refused(cut in 0..700usize, at in 0..500usize, byte: u8) {
        let mut bytes = example::kcore(&KCORE_LOADS);
        bytes[at] = byte;
        bytes.truncate(cut);
        let headers = kcore::read_headers(&mut &*bytes).unwrap();
        prop_assert!(headers.len() <= bytes.len());
        let found = source::Found { path: "kcore".into(), bytes: headers, expected: "a core" };
        if let Ok(kcore) = kcore::parse(&found) {
            prop_assert!(kcore.text_len > 0 && kcore.text_virt.checked_add(kcore.text_len).is_some());
        }
    }

    #[test]
    fn iomem_of_any_text_is_read_or_refused(text in "([ 0-9a-f-]{0,12}( : )?(System RAM|Crash kernel|Reserved)?\n?){0,6}") {
        let found = source::Found { path: "iomem".into(), bytes: text.into_bytes(), expected: "lines" };
        if let Ok(iomem) = iomem::parse(&found) {
            prop_assert!(!iomem.system_ram.is_empty() && iomem.system_ram.is_sorted());
        }
    }
}

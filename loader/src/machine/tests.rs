//! Facts about the example, and about machines like it.

mod live;
mod refusals;
mod round_trip;
mod snapshots;
mod traps;

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::example::{self, TSC_KHZ};
use super::*;

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

/// A tree of just these files.
fn planted(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    example::plant(
        dir.path(),
        &files.iter().map(|&(path, text)| (path.to_owned(), text.into())).collect(),
    );
    dir
}

#[test]
fn every_fact_of_the_example_is_read() {
    let machine = example::machine();
    let ram = [
        range(0x1000, 0x9fc00),
        range(0x10_0000, 0x3ffd_e000),
        range(0x1_0000_0000, 0x1_1000_0000),
    ];
    assert_eq!(machine.system_ram[..3], ram);
    assert_eq!(machine.system_ram[3..], [range(0x1_4000_0000, 0x1_4800_0000)]);
    assert_eq!(machine.crash_regions, [range(0x2f00_0000, 0x3b00_0000)]);
    assert_eq!(machine.crash_region().unwrap(), range(0x2f00_0000, 0x3b00_0000));
    assert_eq!(machine.crash_cma, Some(vec![range(0x2000_0000, 0x2100_0000)]));
    assert_eq!(machine.acpi_tables, [range(0x3ffd_e000, 0x3ffd_f000)]);
    assert_eq!(machine.acpi_nvs, [range(0x3ffd_f000, 0x3ffe_0000)]);
    let reserved = [
        range(0, 0x1000),
        range(0x9fc00, 0xa_0000),
        range(0x3ffe_0000, 0x4000_0000),
        range(0xb000_0000, 0xc000_0000),
    ];
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
    assert_eq!(
        machine.command_line,
        b"BOOT_IMAGE=/vmlinuz root=/dev/vda1 console=ttyS0 crashkernel=192M"
    );
    let cpu = CpuFacts {
        sha_ni: true,
        gbpages: true,
        la57: false,
        physical_bits: 40,
        confidential: None,
        tsc_khz: TSC_KHZ,
    };
    assert_eq!(machine.cpu, cpu);
    assert_eq!(
        machine.kexec,
        KexecPermission { load_disabled: false, lockdown: Some("integrity".into()) }
    );
    assert_eq!(machine.total_ram, 1_214_864 << 10);
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
fn highest_crash_region_is_the_one_for_images() {
    let iomem = "00100000-3fffffff : System RAM\n  1f000000-2effffff : Crash kernel\n\
                 100000000-17fffffff : System RAM\n  170000000-17fffffff : Crash kernel\n";
    let machine = read_with("proc/iomem", iomem).unwrap();
    assert_eq!(
        machine.crash_regions,
        [range(0x1f00_0000, 0x2f00_0000), range(0x1_7000_0000, 0x1_8000_0000)]
    );
    assert_eq!(machine.crash_region().unwrap(), range(0x1_7000_0000, 0x1_8000_0000));
}

#[test]
fn new_place_of_the_kexec_files_is_known_and_preferred() {
    let mut files = example::files();
    files.insert("sys/kernel/kexec/crash_elfcorehdr_size".into(), b"4096\n".to_vec());
    assert_eq!(read(&files).unwrap().elfcorehdr_size, Some(4096));
    let dir = planted(&[
        ("sys/kernel/kexec_crash_loaded", "1\n"),
        ("sys/kernel/kexec/crash_loaded", "0\n"),
        ("sys/kernel/kexec_crash_size", "7\n"),
    ]);
    let state = KexecState::read(dir.path()).unwrap();
    assert_eq!((state.crash_loaded, state.crash_size), (false, 7));
}

#[test]
fn capability_counts_only_if_every_cpu_has_it() {
    for (flag, of) in
        [("sha_ni", "sha_ni"), ("ssse3", "sha_ni"), ("sse4_1", "sha_ni"), ("pdpe1gb", "gbpages")]
    {
        let files = example::files();
        let cpuinfo = str::from_utf8(&files["proc/cpuinfo"]).unwrap();
        let (first, second) = cpuinfo.split_once("\n\n").unwrap();
        let cpu = read_with("proc/cpuinfo", &format!("{first}\n\n{}", second.replace(flag, "")))
            .unwrap()
            .cpu;
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
        let cpuinfo =
            format!("flags : fpu {flags}\naddress sizes : 46 bits physical, 48 bits virtual\n");
        let cpu = read_with("proc/cpuinfo", &cpuinfo).unwrap().cpu;
        assert_eq!(cpu.confidential.map(|guest| guest.kind), confidential, "{flags}");
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
    assert_eq!(
        Machine::read(example::tree().path(), Some(example::measured(1_000_000)))
            .unwrap()
            .cpu
            .tsc_khz,
        1_000_000
    );
}

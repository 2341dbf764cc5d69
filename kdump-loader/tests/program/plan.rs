//! The output of `plan`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use loader::image::Summary;

use crate::fixture::{Fixture, NONE, Run, assert_says, example, program, run};

fn summary(fixture: &Fixture, arguments: &[&str]) -> Summary {
    let Run { code, stdout, stderr } = fixture.plan(arguments.iter().chain(&["--json"]));
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn table_and_json_agree() {
    let fixture = Fixture::new();
    let Run { code, stdout, stderr } = fixture.plan(NONE);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, summary(&fixture, &[]).to_string());
}

#[test]
fn warnings_go_to_standard_error() {
    let fixture = Fixture::new();
    let Run { stdout, stderr, .. } = fixture.plan(NONE);
    assert_says(
        &stderr,
        &[
            "kdump-loader: warning: the capture kernel's command line has no acpi_no_memhotplug",
            "crashkernel=…,cma",
        ],
    );
    assert!(!stdout.contains("acpi_no_memhotplug"), "{stdout}");
    let Run { stderr, .. } = fixture.plan(["--append", "acpi_no_memhotplug"]);
    assert!(!stderr.contains("acpi_no_memhotplug"), "{stderr}");
}

#[test]
fn unified_kernel_image_provides_defaults_for_initrd_and_command_line() {
    let fixture = Fixture::new();
    let (linux, initrd) =
        (fs::read(fixture.path("vmlinuz")).unwrap(), fs::read(fixture.path("initrd")).unwrap());
    let loose = summary(&fixture, &["--append", "quiet nr_cpus=1"]);
    let wrapped = example::uki(&[
        (".linux", &linux),
        (".initrd", &initrd),
        (".cmdline", b"quiet nr_cpus=1\n"),
    ]);
    fixture.write("vmlinuz", &wrapped);
    let own = |arguments: &[&str]| {
        let mut command = program();
        command
            .arg("plan")
            .arg("--snapshot")
            .arg(fixture.path("snapshot"))
            .arg("--kernel")
            .arg(fixture.path("vmlinuz"));
        command.arg("--purgatory").arg(fixture.path("purgatory.elf")).args(arguments).arg("--json");
        serde_json::from_str::<Summary>(&run(&mut command).stdout).unwrap()
    };
    assert_eq!(own(&[]), loose, "the same image as of its parts");
    assert!(own(&["--append", "ro"]).command_line.starts_with("ro elfcorehdr="));
    assert!(own(&["--reuse-cmdline"]).command_line.starts_with("root="), "the running kernel's");
    fixture.write("other", &[b"070701", linux.as_slice()].concat());
    let other = own(&["--initrd", fixture.path("other").to_str().unwrap()]);
    assert_ne!(other.identity, loose.identity);

    let inspected = run(program().arg("inspect").arg(fixture.path("vmlinuz"))).stdout;
    assert_says(
        &inspected,
        &[
            "unified kernel image with a bzImage, boot protocol 2.15",
            "30000 bytes",
            "quiet nr_cpus=1",
        ],
    );
}

#[test]
fn segments_are_in_the_crash_region_in_order() {
    let summary = summary(&Fixture::new(), &[]);
    let names: Vec<_> = summary.segments.iter().map(|segment| segment.name.as_str()).collect();
    assert_eq!(
        names,
        ["elfcorehdr", "kernel", "initrd", "boot-params", "command-line", "purgatory"]
    );
    assert_eq!((summary.crash_region.start, summary.crash_region.len), (0x2f00_0000, 192 << 20));
    let mut end = summary.crash_region.start;
    for segment in &summary.segments {
        assert!(segment.start >= end, "{} overlaps what is before it", segment.name);
        assert!(segment.file_len <= segment.len);
        end = segment.start + segment.len;
    }
    assert!(end <= summary.crash_region.start + summary.crash_region.len);
    assert_eq!(
        summary.segments[0].len,
        (917_616u64 + 64).next_multiple_of(4096),
        "as large as the kernel asks for"
    );
}

#[test]
fn identity_depends_only_on_the_input() {
    let fixture = Fixture::new();
    let before = summary(&fixture, &[]).identity;
    assert_eq!(summary(&fixture, &[]).identity, before);
    fixture.spoil("initrd", |bytes| bytes[20_000] ^= 1);
    assert_ne!(summary(&fixture, &[]).identity, before);
}

#[test]
fn higher_of_two_crash_regions_is_used() {
    let fixture = Fixture::new();
    fixture.edit_snapshot(
        "proc/iomem",
        "140000000-147ffffff : System RAM (virtio_mem)",
        "140000000-14fffffff : System RAM\n  140000000-14bffffff : Crash kernel",
    );
    let summary = summary(&fixture, &[]);
    assert_eq!(summary.crash_region.start, 0x1_4000_0000);
    assert!(summary.segments.iter().all(|segment| segment.start >= 0x1_4000_0000));
}

#[test]
fn elfcorehdr_without_hotplug_has_no_spare_room() {
    let summary = summary(&Fixture::new(), &["--no-hotplug"]);
    assert_eq!(summary.segments[0].len, 4096);
}

#[test]
fn options_reach_the_image() {
    let flags = "--on-corrupt halt --reset-delay 7 --console 0x2e8 --engine soft --leaf-size 4K \
                 --append single";
    let summary = summary(&Fixture::new(), &flags.split(' ').collect::<Vec<_>>());
    let block = summary.by_block.unwrap();
    assert_eq!((block.on_corrupt.as_str(), block.reset_delay_ms), ("halt", 7000));
    assert_eq!(
        (summary.console_port, block.engine.as_str(), block.leaf_size),
        (Some(0x2e8), "soft", 4096)
    );
    assert_says(&summary.command_line, &["single elfcorehdr=0x2f000000 ", " purgatory.report="]);
}

#[test]
fn confidential_guest_is_detected_and_the_option_overrides_it() {
    let fixture = Fixture::new();
    let console = ["--console", "0x3f8"];
    let plan = |choice: &[&str]| summary(&fixture, &[&console, choice].concat());
    assert_eq!((plan(&[]).confidential, plan(&[]).console_port), (None, Some(0x3f8)));
    let asked = plan(&["--confidential", "yes"]);
    assert_eq!(
        (asked.confidential.map(|guest| guest.evidence), asked.console_port),
        (Some("the request".into()), None)
    );

    // As an SEV-ES guest of KVM: no flag in /proc/cpuinfo.
    fixture.write(
        "snapshot/kdump-loader/cpuid",
        b"0x8000001f 0x0000000a 0x00000033 0x00000000 0x00000000\n",
    );
    let found = plan(&[]).confidential.unwrap();
    assert_eq!((found.kind.as_str(), found.evidence.as_str()), ("sev_es", "CPUID leaf 0x8000001f"));
    let Run { stdout, stderr, .. } = fixture.plan(console);
    assert_says(
        &stdout,
        &["\nconsole        none\n", "\nconfidential   sev_es, by CPUID leaf 0x8000001f\n"],
    );
    assert_says(&stderr, &["sev_es guest, by CPUID leaf 0x8000001f", "--confidential no"]);
    let overridden = plan(&["--confidential", "no"]);
    assert_eq!((overridden.confidential, overridden.console_port), (None, Some(0x3f8)));
}

#[test]
fn black_box_and_signals_are_planned_unless_they_are_switched_off() {
    let fixture = Fixture::new();
    let block = |arguments: &[&str]| summary(&fixture, arguments).by_block.unwrap();
    let found = block(&[]);
    let black_box = found.black_box.unwrap();
    // The image is smaller than a quarter of the region of 192 MiB at 0x2f000000.
    assert_eq!(black_box.records[1..], [0x3200_0000, 0x3500_0000, 0x3800_0000]);
    let copies: Vec<u64> = black_box.log_copies.iter().map(|copy| copy.start).collect();
    assert_eq!(copies, [0x3200_1000, 0x3800_1000]);
    let log = black_box.log.unwrap();
    assert_eq!((log.descriptors.kept, log.text.kept, black_box.no_log), (4096, 128 << 10, None));
    let signals = found.signals.unwrap();
    assert_eq!((signals.pvpanic, signals.ipmi), (Some(0x505), Some(0xca2)));
    let table = fixture.plan(NONE).stdout;
    let lines = [
        "\nblack box      number 1, records at 0x2f1e1000 0x32000000 0x35000000 0x38000000\n",
        "\nkernel log     576.2 KiB, copied to 0x32001000 0x38001000\n",
        "\nsignals        pvpanic 0x505, ipmi 0xca2\n",
    ];
    assert_says(&table, &lines);

    let without = block(&["--black-box", "no", "--signal", "none"]);
    assert_eq!((without.black_box, without.signals), (None, None));
    let one = block(&["--signal", "ipmi"]).signals.unwrap();
    assert_eq!((one.pvpanic, one.ipmi), (None, Some(0xca2)));
    let confidential = block(&["--confidential", "yes"]);
    assert_eq!(confidential.signals, None);
    assert!(confidential.black_box.is_some(), "memory can be written");
}

#[test]
fn device_of_a_requested_signal_must_be_there() {
    let fixture = Fixture::new();
    fixture.edit_snapshot("proc/ioports", "QEMU0001:00", "QEMU0003:00");
    let refused = fixture.refusal(["--signal", "pvpanic,ipmi"]);
    assert_says(&refused, &["signal pvpanic", "/proc/ioports shows no device QEMU0001", "auto"]);
    assert_eq!(fixture.plan(["--signal", "ipmi"]).code, Some(0));
}

#[test]
fn snapshot_without_the_kernels_memory_plans_records_alone() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.path("snapshot/kdump-loader/printk_ring")).unwrap();
    let table = fixture.plan(NONE).stdout;
    let lines = ["\nblack box      number 1,", "\nkernel log     not kept: the kernel's memory at"];
    assert_says(&table, &lines);
}

#[test]
fn reused_command_line_is_filtered_and_appended_to() {
    let summary = summary(&Fixture::new(), &["--reuse-cmdline", "--append", "nr_cpus=1"]);
    assert!(
        summary.command_line.starts_with("root=/dev/vda1 console=ttyS0 nr_cpus=1 "),
        "{}",
        summary.command_line
    );
    assert_eq!(summary.console_port, Some(0x3f8), "auto follows it");
}

#[test]
fn capture_kernel_without_efi_gets_the_address_of_acpi() {
    let fixture = Fixture::new();
    assert!(!summary(&fixture, &[]).command_line.contains("acpi_rsdp="));
    assert_says(&summary(&fixture, &["--noefi"]).command_line, &[" acpi_rsdp=0x3ffde014"]);
}

#[test]
fn whole_leaves_cover_every_region() {
    for leaf_size in ["64K", "1M"] {
        let summary = summary(&Fixture::new(), &["--leaf-size", leaf_size]);
        let block = summary.by_block.unwrap();
        let mut first_leaf = 0;
        for region in &summary.regions {
            assert_eq!(region.first_leaf, first_leaf, "{}", region.name);
            assert_eq!(
                region.leaf_count,
                region.file_len.div_ceil(block.leaf_size.into()),
                "{}",
                region.name
            );
            first_leaf += region.leaf_count;
        }
        assert_eq!(block.leaf_table.len, 32 * first_leaf);
    }
}

#[test]
fn picture_goes_to_a_file_or_replaces_the_table_on_standard_output() {
    let fixture = Fixture::new();
    let table = fixture.plan(NONE).stdout;
    let path = fixture.path("plan.svg");
    let Run { code, stdout, stderr } = fixture.plan([OsStr::new("--svg"), path.as_os_str()]);
    assert_eq!((code, stdout), (Some(0), table), "{stderr}");
    let picture = fs::read_to_string(&path).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert_says(&picture, &["elfcorehdr", "0x2f000000-0x3affffff", "prefers-color-scheme"]);
    for arguments in [&["--svg"][..], &["--svg", "-"]] {
        assert_eq!(fixture.plan(arguments).stdout, picture);
    }
}

#[test]
fn picture_replaces_a_file_whole_and_never_follows_a_link() {
    let fixture = Fixture::new();
    let path = fixture.path("plan.svg");
    let svg = [OsStr::new("--svg"), path.as_os_str()];
    fixture.write("plan.svg", b"older");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    // A second name shows whether the old file was overwritten or replaced.
    let old = fixture.path("old.svg");
    fs::hard_link(&path, &old).unwrap();
    assert_eq!(fixture.plan(svg).code, Some(0));
    assert!(fs::read_to_string(&path).unwrap().starts_with("<svg "));
    assert_eq!(fs::read(&old).unwrap(), b"older");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    fs::remove_file(&path).unwrap();
    symlink(&old, &path).unwrap();
    assert_says(&fixture.refusal(svg), &["cannot write", "plan.svg", "not a regular file"]);
    assert_eq!(fs::read(&old).unwrap(), b"older");
}

#[test]
fn unwritable_picture_is_an_error_and_picture_with_json_a_usage_error() {
    let fixture = Fixture::new();
    let path = fixture.path("absent/plan.svg");
    let said = fixture.refusal([OsStr::new("--svg"), path.as_os_str()]);
    assert_says(&said, &["cannot write", "absent/plan.svg", "No such file"]);
    assert_eq!(fixture.plan(["--json", "--svg"]).code, Some(2));
}

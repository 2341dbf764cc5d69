//! Every cause, by the inputs that people have reported.

use super::*;
use crate::machine::example;

const GIB: u64 = 1 << 30;

/// A machine with 2 GiB.
const SMALL: Ram = Ram { len: 2 * GIB, above_4_gib: Some(false) };
/// A machine with 16 GiB.
const LARGE: Ram = Ram { len: 16 * GIB, above_4_gib: Some(true) };

fn logged(boot_log: BootLog) -> Evidence {
    Evidence { supported: Some(true), xen: None, boot_log: Some(boot_log) }
}

#[track_caller]
fn assert_cause(command_line: &str, ram: Ram, evidence: Evidence, code: &str, words: &[&str]) {
    let cause = decide(command_line, ram, evidence);
    let message = cause.to_string();
    assert_eq!(cause.code(), code, "{message}");
    assert!(message.starts_with("no memory is reserved for a capture kernel: "), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
}

#[test]
fn remedy_for_a_missing_crashkernel_is_to_add_it() {
    for line in ["", "quiet ro", "nocrashkernel=1", "crashkernel"] {
        assert_cause(
            line,
            LARGE,
            Evidence::default(),
            "not_asked",
            &["add crashkernel=256M", "reboot"],
        );
    }
}

#[test]
fn auto_is_replaced_by_a_size() {
    assert_cause(
        "ro crashkernel=auto quiet",
        LARGE,
        Evidence::default(),
        "unreadable",
        &["auto", "Red Hat", "crashkernel=256M"],
    );
}

#[test]
fn value_that_the_kernel_cannot_read_is_named_with_what_to_write() {
    for value in ["256MB", "M", "256M@", "256M,hihg", "1G:256M", "2G-1G:256M", "1G-:", "-1"] {
        let line = format!("crashkernel={value}");
        let cause = decide(&line, LARGE, Evidence::default());
        if value == "256M@" {
            // A missing address is 0, which means none.
            assert_eq!(cause.code(), "no_room_or_given_back", "{cause}");
            continue;
        }
        assert_eq!(cause, Cause::Unreadable { asked: line.clone(), defect: Defect::NoSize });
        assert!(cause.to_string().contains("cannot read"), "{cause}");
    }
    assert_cause(
        "crashkernel=512M,high,cma",
        LARGE,
        Evidence::default(),
        "only_companion",
        &["crashkernel=512M,high,cma"],
    );
}

#[test]
fn error_about_a_range_list_without_a_match_has_the_memory_size() {
    let azure = "crashkernel=4G-16G:192M,16G-64G:256M,64G-:512M";
    assert_cause(
        azure,
        SMALL,
        Evidence::default(),
        "no_range",
        &["2048 MiB of memory", "add a range"],
    );
    assert_cause("crashkernel=1G-8G:0,8G-:256M", SMALL, Evidence::default(), "no_range", &[]);
    // The kernel rounds RAM up to 128 MiB, so a machine of 4 GiB counts as one although firmware
    // keeps some of it.
    let almost = Ram { len: 4 * GIB - (100 << 20), ..SMALL };
    assert_cause(azure, almost, logged(BootLog::NoRoom), "no_room", &[azure]);
}

#[test]
fn remedy_for_high_without_high_memory_is_to_leave_it_out() {
    let line = "crashkernel=219M,high crashkernel=72M,low";
    assert_cause(
        line,
        SMALL,
        Evidence::default(),
        "nothing_high",
        &[line, "leave out ,high and ,low: crashkernel=219M"],
    );
}

#[test]
fn low_that_finds_no_room_is_named_and_not_the_rest() {
    let line = "crashkernel=219M,high crashkernel=3G,low";
    assert_cause(
        line,
        LARGE,
        logged(BootLog::NoLowRoom),
        "no_low_room",
        &["3072 MiB", "less with ,low"],
    );
    assert_cause(
        "crashkernel=8G",
        LARGE,
        logged(BootLog::NoLowRoom),
        "no_low_room",
        &["crashkernel=72M,low beside it"],
    );
}

#[test]
fn remedy_for_high_without_room_is_a_smaller_size() {
    let line = "crashkernel=12G,high crashkernel=72M,low";
    assert_cause(line, LARGE, logged(BootLog::NoRoom), "no_room", &[line, "crashkernel=256M"]);
    assert_cause(
        "crashkernel=256M",
        LARGE,
        logged(BootLog::NoRoom),
        "no_room",
        &["crashkernel=192M"],
    );
    assert_cause("crashkernel=64M", SMALL, logged(BootLog::NoRoom), "no_room", &["more memory"]);
}

#[test]
fn remedy_for_low_or_cma_alone_is_to_add_a_size() {
    for line in ["crashkernel=72M,low", "crashkernel=1G,cma"] {
        assert_cause(
            line,
            LARGE,
            Evidence::default(),
            "only_companion",
            &[line, "reserves nothing by itself"],
        );
    }
}

#[test]
fn cma_that_the_kernel_does_not_know_is_named_for_removal() {
    // Linux 6.12 with these words; it reserved nothing and logged nothing else.
    let log = boot_log::verdict(b"4,5,0,-;crashkernel: unrecognized char: ,\n").unwrap();
    for line in ["crashkernel=256M crashkernel=1G,cma", "crashkernel=1G,cma"] {
        let words = ["cannot read crashkernel=1G,cma;", "6.17", "remove this word"];
        assert_cause(line, LARGE, logged(log), "unreadable", &words);
    }
    // Another word is the cause.
    assert_cause(
        "crashkernel=1G,cma crashkernel=256M,hihg",
        LARGE,
        logged(log),
        "unreadable",
        &["cannot read crashkernel=256M,hihg;"],
    );
    // A newer kernel logs it about a damaged ,low, and then the result of the value that decides.
    let reserved = b"4,5,0,-;crashkernel: unrecognized char: ,\n\
                     6,6,0,-;crashkernel reserved: 0x1 - 0x2 (1 MB)\n";
    assert_eq!(boot_log::verdict(reserved), Some(BootLog::Reserved));
}

#[test]
fn plain_value_wins_and_the_last_of_a_kind_counts() {
    for (line, words) in [
        ("crashkernel=1G,high crashkernel=300M crashkernel=72M,low", "crashkernel=300M"),
        ("crashkernel=1G crashkernel=300M", "crashkernel=300M"),
        ("crashkernel=1G,high crashkernel=2G,high", "crashkernel=2G,high"),
    ] {
        assert_eq!(crashkernel::choose(line).unwrap().words, words);
    }
    assert_eq!(crashkernel::cma("crashkernel=256M crashkernel=1G,cma"), Some(GIB));
    assert_eq!(crashkernel::cma("crashkernel=256M crashkernel=0,cma"), None);
}

#[test]
fn memory_that_was_given_back_is_not_called_too_large() {
    assert_cause(
        "crashkernel=256M",
        LARGE,
        logged(BootLog::Reserved),
        "given_back",
        &["kexec_crash_size", "reboot"],
    );
    let unknown = decide("crashkernel=256M", LARGE, Evidence::default()).to_string();
    assert!(unknown.contains("kexec_crash_size") && unknown.contains("no room"), "{unknown}");
}

#[test]
fn request_for_more_than_the_machine_has_shows_both_sizes() {
    assert_cause(
        "crashkernel=4G",
        SMALL,
        Evidence::default(),
        "more_than_memory",
        &["4096 MiB", "2048 MiB", "crashkernel=256M"],
    );
    assert_cause("crashkernel=0", SMALL, Evidence::default(), "zero", &["crashkernel=256M"]);
}

#[test]
fn remedy_for_a_fixed_address_in_use_is_to_leave_it_out() {
    let words = ["0x1000000", "leave out the address, crashkernel=256M"];
    assert_cause("crashkernel=256M@16M", LARGE, logged(BootLog::InUse), "in_use", &words);
}

#[test]
fn remedy_in_xen_is_to_reserve_memory_elsewhere() {
    let xen = |domain| Evidence { xen: Some(domain), ..Evidence::default() };
    assert_cause(
        "crashkernel=256M",
        LARGE,
        xen(Xen::Dom0),
        "xen",
        &["dom0", "command line of Xen itself"],
    );
    assert_cause("crashkernel=256M", LARGE, xen(Xen::Guest), "xen", &["PVH or HVM"]);
}

#[test]
fn error_names_the_options_that_a_kernel_without_crash_dumps_lacks() {
    let evidence = Evidence { supported: Some(false), ..Evidence::default() };
    assert_cause("crashkernel=256M", LARGE, evidence, "not_supported", &["CONFIG_CRASH_DUMP"]);
}

/// The example with no memory reserved, and these files as well.
fn machine_with(more: &[(&str, &str)]) -> tempfile::TempDir {
    let mut files = example::files();
    files.insert("proc/iomem".into(), b"00100000-3ffddfff : System RAM\n".to_vec());
    files.extend(more.iter().map(|&(path, text)| (path.to_owned(), text.as_bytes().to_vec())));
    let root = tempfile::tempdir().unwrap();
    example::plant(root.path(), &files);
    root
}

const NOTHING: (&str, &str) = ("sys/kernel/kexec_crash_size", "0\n");
const LOG: (&str, &str) = (
    "dev/kmsg",
    "4,1,0,-;Linux version 6.12\n\
     6,2,0,-;crashkernel reserved: 0x000000002f000000 - 0x000000003b000000 (192 MB)\n",
);

#[test]
fn evidence_is_read_from_a_machine_and_kept_in_its_snapshot() {
    let live = machine_with(&[
        NOTHING,
        LOG,
        ("sys/hypervisor/type", "xen\n"),
        ("sys/hypervisor/guest_type", "HVM\n"),
    ]);
    let snapshot = tempfile::tempdir().unwrap();
    crate::machine::snapshot::save(live.path(), snapshot.path(), &example::measured(1)).unwrap();
    for root in [live.path(), snapshot.path()] {
        let machine = crate::machine::Machine::read(root, None).unwrap();
        assert_eq!(machine.no_reservation, logged(BootLog::Reserved));
        assert_eq!(find(root).unwrap(), Cause::GivenBack { asked: "crashkernel=192M".into() });
        let refused = machine.crash_region().unwrap_err().to_string();
        assert!(refused.contains("given back"), "{refused}");
    }
    let copied = std::fs::read_to_string(snapshot.path().join("dev/kmsg")).unwrap();
    assert!(!copied.contains("Linux version"), "only what is about crashkernel: {copied}");
}

#[test]
fn xen_is_found_by_the_kernels_files() {
    let pv = [NOTHING, ("sys/hypervisor/type", "xen\n"), ("sys/hypervisor/guest_type", "PV\n")];
    let found = |more: &[(&str, &str)]| find(machine_with(more).path()).unwrap();
    assert_eq!(found(&pv), Cause::Xen { domain: Xen::Guest });
    let dom0 = [&pv[..], &[("proc/xen/capabilities", "control_d\n")]].concat();
    assert_eq!(found(&dom0), Cause::Xen { domain: Xen::Dom0 });
    let older = [NOTHING, ("proc/xen/capabilities", "control_d\n")];
    assert_eq!(found(&older), Cause::Xen { domain: Xen::Dom0 }, "without guest_type");
    let pvh = [&dom0[..], &[("sys/hypervisor/guest_type", "PVH\n")]].concat();
    assert!(!matches!(found(&pvh), Cause::Xen { .. }), "Linux reserves there");
    let guest = [NOTHING, ("sys/hypervisor/type", "xen\n"), ("proc/xen/capabilities", "\n")];
    assert!(!matches!(found(&guest), Cause::Xen { .. }), "it may be an HVM guest");
}

#[test]
fn cause_is_found_although_addresses_are_hidden() {
    let hidden =
        [NOTHING, ("proc/iomem", "00000000-00000000 : System RAM\n"), ("proc/cmdline", "quiet\n")];
    assert_eq!(find(machine_with(&hidden).path()).unwrap(), Cause::NotAsked);
}

#[test]
fn lines_of_older_kernels_are_known() {
    for (line, says) in [
        (
            "Reserving 256MB of memory at 2670MB for crashkernel (System RAM: 4095MB)",
            BootLog::Reserved,
        ),
        ("crashkernel reservation failed - No suitable area found.", BootLog::NoRoom),
        (
            "Cannot reserve 256MB crashkernel low memory, please try smaller size.",
            BootLog::NoLowRoom,
        ),
        ("cannot allocate crashkernel low memory (size:0x10000000).", BootLog::NoLowRoom),
        ("crashkernel reservation failed - memory is in use.", BootLog::InUse),
    ] {
        assert_eq!(boot_log::verdict(format!("3,7,0,-;{line}\n").as_bytes()), Some(says), "{line}");
    }
    assert_eq!(boot_log::verdict(b"5,3,0,-;Kernel command line: crashkernel=256M\n"), None);
}

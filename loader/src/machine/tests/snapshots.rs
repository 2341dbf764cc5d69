//! The content of a snapshot, and its permissions.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::example::{self, measured};
use super::super::*;

#[test]
fn snapshot_reads_as_the_machine_it_was_taken_of() {
    let live = example::tree();
    fs::write(live.path().join("proc/version"), "not read by the loader").unwrap();
    fs::create_dir(live.path().join("sys/devices/system/cpu/cpufreq")).unwrap();
    let snapshot = TempDir::new().unwrap();
    let dir = snapshot.path().join("new");
    let mut written = snapshot::save(live.path(), &dir, &measured(1_000_000)).unwrap();
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
fn snapshot_keeps_the_evidence_of_a_confidential_guest() {
    let cpuid = Cpuid::ask(|leaf| (leaf == 0x8000_001f).then_some([0xa, 0x33, 0x10, 0]));
    for (device, measured) in [
        (None, Measured { cpuid, ..measured(1) }),
        (Some("dev/sev-guest"), measured(1)),
        (Some("dev/tdx_guest"), measured(1)),
        (Some("sys/devices/system/cpu/sev/vmpl"), measured(1)),
    ] {
        let (live, snapshot) = (example::tree(), TempDir::new().unwrap());
        if let Some(device) = device {
            example::plant(live.path(), &[(device.to_owned(), b"0\n".to_vec())].into());
        }
        snapshot::save(live.path(), snapshot.path(), &measured).unwrap();
        let here = Machine::read(live.path(), Some(measured)).unwrap();
        assert!(here.cpu.confidential.is_some(), "{device:?}");
        assert_eq!(Machine::read(snapshot.path(), None).unwrap(), here);
    }
}

#[test]
fn snapshot_of_kcore_ends_after_its_notes() {
    let live = example::tree();
    let snapshot = TempDir::new().unwrap();
    snapshot::save(live.path(), snapshot.path(), &measured(1)).unwrap();
    let copy = fs::read(snapshot.path().join("proc/kcore")).unwrap();
    assert!(copy.ends_with(&example::notes(example::VMCOREINFO)), "{} bytes", copy.len());
}

#[test]
fn snapshot_into_a_directory_in_use_is_refused_and_leaves_it_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("mine"), "precious").unwrap();
    let error = snapshot::save(example::tree().path(), dir.path(), &measured(1)).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn snapshot_of_hidden_addresses_is_refused_before_anything_is_written() {
    let live = example::tree();
    fs::write(live.path().join("proc/iomem"), "00000000-00000000 : System RAM\n").unwrap();
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("new");
    let error = snapshot::save(live.path(), &dir, &measured(1)).unwrap_err();
    assert!(matches!(error, Error::Hidden { .. }), "{error:?}");
    assert!(!dir.exists());
}

#[test]
fn snapshot_is_taken_even_if_the_machine_cannot_be_read() {
    let live = example::tree();
    fs::write(live.path().join("sys/kernel/vmcoreinfo"), "odd").unwrap();
    fs::remove_file(live.path().join("sys/devices/system/cpu/cpu2/crash_notes")).unwrap();
    let dir = TempDir::new().unwrap();
    snapshot::save(live.path(), dir.path(), &measured(1)).unwrap();
    assert_eq!(fs::read(dir.path().join("sys/kernel/vmcoreinfo")).unwrap(), b"odd");
    assert!(Machine::read(dir.path(), None).is_err());
}

#[test]
fn snapshot_is_for_its_owner_only() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("new");
    let written = snapshot::save(example::tree().path(), &dir, &measured(1)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in written {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        for directory in
            path.ancestors().skip(1).take_while(|directory| *directory != parent.path())
        {
            assert_eq!(mode(directory), 0o700, "{}", directory.display());
        }
    }
}

#[test]
fn file_that_cannot_be_read_is_named_and_not_left_out() {
    for path in ["sys/kernel/crash_elfcorehdr_size", "sys/devices/system/cpu/cpu2/crash_notes"] {
        let live = example::tree();
        fs::remove_file(live.path().join(path)).unwrap();
        fs::create_dir(live.path().join(path)).unwrap();
        let parent = TempDir::new().unwrap();
        let dir = parent.path().join("new");
        let error = snapshot::save(live.path(), &dir, &measured(1)).unwrap_err();
        assert!(
            matches!(&error, Error::Read { path: named, .. } if named.ends_with(path)),
            "{error:?}"
        );
        assert!(!dir.exists());
    }
}

#[test]
fn snapshot_that_fails_halfway_leaves_nothing() {
    /// `PATH_MAX` without its NUL, include/uapi/linux/limits.h.
    const LONGEST_PATH: usize = 4095;
    let shortest_of_files = "/proc/iomem".len();
    for was_there in [false, true] {
        let parent = TempDir::new().unwrap();
        let mut dir = parent.path().to_owned();
        while dir.as_os_str().len() + 202 + 2 < LONGEST_PATH - shortest_of_files {
            dir.push("d".repeat(200));
        }
        let left = LONGEST_PATH - shortest_of_files - dir.as_os_str().len();
        let around = dir.clone();
        fs::create_dir_all(&around).unwrap();
        dir.push("e".repeat(left - 1));
        if was_there {
            fs::create_dir(&dir).unwrap();
        }
        let error = snapshot::save(example::tree().path(), &dir, &measured(1)).unwrap_err();
        let Error::Write { path, .. } = &error else { panic!("{error:?}") };
        assert!(!path.ends_with("proc/iomem"), "the first file fits");
        let left = fs::read_dir(if was_there { &dir } else { &around }).unwrap().count();
        assert_eq!(left, 0, "{was_there}");
    }
}

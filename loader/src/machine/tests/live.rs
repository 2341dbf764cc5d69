//! Facts about a live machine only: the armed image's state, and CPUs that are removed.

use std::fs;

use super::super::*;
use super::planted;

const LOADED: (&str, &str) = ("sys/kernel/kexec_crash_loaded", "1\n");
const SIZE: (&str, &str) = ("sys/kernel/kexec_crash_size", "201326592\n");
const CPU: &str = "sys/devices/system/cpu/crash_hotplug";
const MEMORY: &str = "sys/devices/system/memory/crash_hotplug";

#[test]
fn state_of_the_armed_image_is_read() {
    let dir = planted(&[LOADED, SIZE, (CPU, "1\n"), (MEMORY, "0\n")]);
    let crash_hotplug = CrashHotplug { cpu: Some(true), memory: Some(false) };
    assert_eq!(
        KexecState::read(dir.path()).unwrap(),
        KexecState { crash_loaded: true, crash_size: 192 << 20, crash_hotplug }
    );
    assert!(KexecState::crash_loaded(dir.path()).unwrap());
    let old = planted(&[LOADED, SIZE]);
    let crash_hotplug = CrashHotplug { cpu: None, memory: None };
    assert_eq!(KexecState::read(old.path()).unwrap().crash_hotplug, crash_hotplug);
}

#[test]
fn state_that_is_missing_or_garbled_is_named() {
    let error = KexecState::read(planted(&[SIZE]).path()).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Missing { path, .. }
                if path.ends_with("sys/kernel/kexec/crash_loaded")
        ),
        "{error:?}"
    );
    for (path, text) in [(LOADED.0, "2\n"), (SIZE.0, "many\n"), (CPU, "yes\n"), (MEMORY, "")] {
        let dir = planted(&[LOADED, SIZE]);
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        let error = KexecState::read(dir.path()).unwrap_err();
        assert!(
            matches!(&error, Error::Garbled { path: named, .. } if named.ends_with(path)),
            "{error:?}"
        );
    }
}

#[test]
fn elfcorehdr_is_kept_up_to_date_if_the_kernel_follows_every_kind_of_hotplug() {
    for (cpu, memory, complete) in [
        (Some(true), Some(true), true),
        (Some(true), None, true),
        (Some(true), Some(false), false),
        (Some(false), Some(true), false),
        (None, None, false),
    ] {
        assert_eq!(
            CrashHotplug { cpu, memory }.complete(),
            complete,
            "cpu {cpu:?}, memory {memory:?}"
        );
    }
}

#[test]
fn cpu_that_was_removed_after_it_was_listed_is_left_out() {
    let dir = super::example::tree();
    let cpus = |numbers: &[u32]| -> Result<Vec<u32>, Error> {
        Ok(cpus::read_notes_of(Tree::new(dir.path()), numbers)?
            .iter()
            .map(|notes| notes.cpu)
            .collect())
    };
    assert_eq!(cpus(&[0, 1, 2]).unwrap(), [0, 2]);
    fs::remove_file(dir.path().join("sys/devices/system/cpu/cpu2/crash_notes")).unwrap();
    let error = cpus(&[0, 2]).unwrap_err();
    assert!(
        matches!(error, Error::Missing { .. }),
        "a CPU without the file is another matter: {error:?}"
    );
}

//! Records that are written, validated and removed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use loader::image::{BlockSummary, OURS, SpanSummary};

use super::lock::{LOCK, wait_for_arming_lock};
use super::*;

fn boot(root: &Path, boot_id: &str) {
    let path = root.join(BOOT_ID);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, boot_id).unwrap();
}

fn record(root: &Path) -> Record {
    let nowhere = SpanSummary { start: 0, len: 0 };
    let image = Summary {
        identity: "00".into(),
        purgatory: OURS.into(),
        entry: 1,
        crash_region: nowhere,
        segments: Vec::new(),
        regions: Vec::new(),
        command_line: String::new(),
        dropped: Vec::new(),
        console_port: None,
        confidential: None,
        by_block: Some(BlockSummary {
            block: nowhere,
            leaf_table: nowhere,
            leaf_size: 4096,
            report: Some(nowhere),
            engine: "soft".into(),
            on_corrupt: "halt".into(),
            reset_delay_ms: 0,
            black_box: None,
            signals: None,
        }),
    };
    Record::new(root, image, Path::new("/boot/vmlinuz"), None, true).unwrap()
}

#[test]
fn record_of_this_boot_is_valid() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    let record = record(root.path());
    record.write(root.path()).unwrap();
    record.write(root.path()).unwrap();
    assert_eq!(read(root.path()).unwrap(), Known::Image(Box::new(record)));
    let mode = fs::metadata(root.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds physical addresses");
}

#[test]
fn record_of_an_image_built_by_the_kernel_names_its_files() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    let (kernel, initrd) = (Path::new("/boot/vmlinuz"), Some(Path::new("/boot/initrd")));
    let record = Record::by_kernel(root.path(), "quiet".into(), kernel, initrd, true).unwrap();
    record.write(root.path()).unwrap();
    assert_eq!(read(root.path()).unwrap(), Known::Image(Box::new(record)));
}

#[test]
fn record_of_an_earlier_boot_is_stale() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    record(root.path()).write(root.path()).unwrap();
    boot(root.path(), "bbbb\n");
    assert_eq!(read(root.path()).unwrap(), Known::Stale);
}

#[test]
fn forgotten_record_is_no_record() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    forget(root.path()).unwrap();
    record(root.path()).write(root.path()).unwrap();
    forget(root.path()).unwrap();
    assert_eq!(read(root.path()).unwrap(), Known::Nothing);
}

#[test]
fn only_one_process_holds_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let ours = |patience, waited: &mut bool| {
        wait_for_arming_lock(root.path(), patience, || *waited = true)
    };
    let (mut at_first, mut then) = (false, false);
    let turn = ours(Duration::ZERO, &mut at_first).unwrap();
    let error = ours(Duration::from_millis(1), &mut then).unwrap_err();
    assert!(matches!(&error, Error::Busy { path, .. } if path.ends_with(LOCK)), "{error}");
    assert_eq!((at_first, then), (false, true), "the waiting process says so");
    drop(turn);
    assert!(ours(Duration::ZERO, &mut at_first).is_ok());
}

#[test]
fn record_set_aside_does_not_count_until_restored() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    set_aside(root.path()).unwrap();
    let old = record(root.path());
    old.write(root.path()).unwrap();
    set_aside(root.path()).unwrap();
    assert_eq!(read(root.path()).unwrap(), Known::Nothing, "as after a kill at this point");
    restore(root.path()).unwrap();
    assert_eq!(read(root.path()).unwrap(), Known::Image(Box::new(old.clone())));
    set_aside(root.path()).unwrap();
    let new = Record { hotplug: false, ..old };
    new.write(root.path()).unwrap();
    restore(root.path()).unwrap();
    assert_eq!(
        read(root.path()).unwrap(),
        Known::Image(Box::new(new)),
        "the old one is gone for good"
    );
}

#[test]
fn record_set_aside_by_a_killed_loader_is_never_restored() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "one");
    record(root.path()).write(root.path()).unwrap();
    set_aside(root.path()).unwrap();
    // The loader is killed here, with another image armed. The kernel rejects the next load, and
    // that image stays.
    set_aside(root.path()).unwrap();
    restore(root.path()).unwrap();
    assert!(matches!(read(root.path()).unwrap(), Known::Nothing));
}

#[test]
fn only_root_can_hold_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let lock = root.path().join(LOCK);
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).unwrap();
    let _turn = wait_for_arming_lock(root.path(), Duration::ZERO, || ()).unwrap();
    assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn path_that_is_not_utf_8_is_recorded_lossily() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    let path = Path::new(OsStr::from_bytes(b"/boot/vmlinuz-\xff"));
    let record =
        Record::new(root.path(), record(root.path()).image.unwrap(), path, Some(path), true)
            .unwrap();
    record.write(root.path()).unwrap();
    let Known::Image(read) = read(root.path()).unwrap() else { panic!("it is of this boot") };
    assert_eq!(
        (&*read.kernel, read.initrd.as_deref()),
        ("/boot/vmlinuz-\u{fffd}", Some("/boot/vmlinuz-\u{fffd}"))
    );
}

#[test]
fn damaged_record_is_named() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    record(root.path()).write(root.path()).unwrap();
    let path = root.path().join(FILE);
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(read(root.path()).unwrap_err().to_string().contains("armed.json"));
}

const KEYS: [&str; 12] = [
    "advice",
    "armed_at",
    "boot_id",
    "call",
    "command_line",
    "hotplug",
    "image",
    "initrd",
    "kernel",
    "listing",
    "origin",
    "version",
];

/// Other programs read these keys.
#[test]
fn record_has_these_keys_and_the_newer_ones_may_be_missing() {
    let root = tempfile::tempdir().unwrap();
    boot(root.path(), "aaaa\n");
    let mut json = serde_json::to_value(record(root.path())).unwrap();
    let record = json.as_object_mut().unwrap();
    let mut keys: Vec<_> = record.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, KEYS);
    assert_eq!(record["version"], 1);
    for newer in
        ["version", "initrd", "hotplug", "call", "command_line", "origin", "listing", "advice"]
    {
        record.remove(newer).unwrap();
    }
    let path = root.path().join(FILE);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, json.to_string()).unwrap();
    let Known::Image(read) = read(root.path()).unwrap() else { panic!("it is of this boot") };
    assert_eq!(
        (read.version, read.initrd, read.hotplug, read.call),
        (0, None, false, Call::KexecLoad)
    );
}

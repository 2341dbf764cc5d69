//! The whole initrd, on a made-up machine.

use capture_init::DumpLevel;

use super::example::{PART_UUID, RELEASE, Tree};
use super::makedumpfile::example::Elf;
use super::*;
use crate::initrd::Initrd;

const INIT: &[u8] = b"\x7fELF of /init";

fn made(tree: &Tree, options: &Options) -> Result<Made, Error> {
    let place = options.capture.as_ref().unwrap();
    around(INIT, tree.files(), place, options, &Tree::kernel(RELEASE), b"virtio_blk.b=2")
}

fn options(place: &str) -> Options {
    Options { capture: Some(Place::parse(place).unwrap()), ..Options::new("/boot/vmlinuz".into()) }
}

fn task(made: &Made) -> Task {
    let initrd = Initrd::read(&made.initrd.bytes[..], |_| true).unwrap();
    let task = Task::from_json(&initrd.kept["task.json"]).unwrap();
    for module in &task.modules {
        assert!(initrd.kept.contains_key(module.trim_start_matches('/')), "{module}");
    }
    assert_eq!(initrd.kept["init"], INIT);
    task
}

#[test]
fn task_has_the_target_the_modules_and_the_defaults() {
    let tree = Tree::new();
    let made = made(&tree, &options("/dev/vdb1")).unwrap();
    let task = task(&made);
    assert_eq!(task.target, Target::Raw { disk: capture_init::DiskId::PartUuid(PART_UUID.into()) });
    assert_eq!(task.modules, ["/modules/virtio_blk.ko"]);
    assert_eq!(task.level, DumpLevel::NoFreeOrZeroes);
    assert_eq!((task.timeout_seconds, task.keep.count), (None, DEFAULT_KEEP));
    assert_eq!(made.target, task.target);
    assert!(made.files["module virtio_blk"].path.ends_with("drivers/block/virtio_blk.ko"));
    assert!(made.notes[1].contains("virtio_blk"), "{}", made.notes[1]);
}

#[test]
fn parameters_of_modules_are_in_the_task_and_their_file_is_remembered() {
    let tree = Tree::new();
    tree.write("etc/modprobe.d/disk.conf", "options virtio-blk a=1\n");
    let made = made(&tree, &options("/dev/vdb1")).unwrap();
    let parameters = task(&made).parameters;
    assert_eq!(parameters, [("/modules/virtio_blk.ko".into(), "a=1 b=2".into())].into());
    assert!(made.files["module configuration disk.conf"].path.ends_with("modprobe.d/disk.conf"));
    assert_eq!(made.module_notes, ["/init loads virtio_blk with a=1 b=2"]);
}

#[test]
fn options_are_in_the_task() {
    let tree = Tree::new();
    tree.mount("/", "/var/crash", "ext4");
    tree.module("ext4", "fs", &[]);
    let options = Options {
        dump_level: Some(0),
        capture_timeout: Some(90),
        keep_dumps: Some(2),
        keep_bytes: Some(20 << 30),
        ..options("/var/crash")
    };
    let task = task(&made(&tree, &options).unwrap());
    assert_eq!(task.level, DumpLevel::All);
    assert_eq!(task.timeout_seconds, Some(90));
    assert_eq!(task.keep, Keep { count: 2, bytes: Some(20 << 30) });
    assert_eq!(task.modules, ["/modules/virtio_blk.ko", "/modules/ext4.ko"]);
}

/// Options for a dump by the makedumpfile of a machine.
fn by_makedumpfile(tree: &Tree, version: &'static str) -> Options {
    let program = Elf { text: version, ..Elf::default() };
    tree.plant("usr/bin/makedumpfile", &program.bytes());
    let path = tree.path("usr/bin/makedumpfile");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Options { makedumpfile: Some("/usr/bin/makedumpfile".into()), ..options("/dev/vdb1") }
}

#[test]
fn makedumpfile_is_in_the_initrd_and_the_built_in_filter_leaves_out_no_more() {
    let tree = Tree::new();
    let options = by_makedumpfile(&tree, "makedumpfile: version 1.7.8 (lzo\tenabled");
    let made = made(&tree, &options).unwrap();
    let task = task(&made);
    assert_eq!(task.makedumpfile.unwrap(), ["-l", "-d", "31"]);
    assert_eq!(task.level, DumpLevel::NoFreeOrZeroes);
    let initrd = Initrd::read(&made.initrd.bytes[..], |_| true).unwrap();
    assert!(initrd.kept["bin/makedumpfile"].starts_with(b"\x7fELF"));
    assert!(made.notes[1].contains("makedumpfile 1.7.8 with 0 libraries"), "{}", made.notes[1]);
    assert_eq!(made.warning, None);
    assert!(made.files.keys().all(|key| is_in_initrd(key)), "{:?}", made.files.keys());
    assert!(made.files[makedumpfile::KEY].path.ends_with("/usr/bin/makedumpfile"));
    let without = super::tests::made(&tree, &self::options("/dev/vdb1")).unwrap();
    assert!(made.room > without.room);
}

#[test]
fn makedumpfile_that_keeps_free_pages_is_warned_about() {
    let tree = Tree::new();
    let options = by_makedumpfile(&tree, "makedumpfile: version 1.7.6 (");
    let words = made(&tree, &options).unwrap().warning.unwrap();
    assert!(words.contains("1.7.6 does not know the page types of Linux 6.12.43"), "{words}");
    tree.write("proc/sys/kernel/osrelease", "6.1.0-57-amd64\n");
    // The capture kernel has its modules, whatever kernel is running.
    assert_eq!(made(&tree, &options).unwrap().warning, None);
}

#[test]
fn other_levels_need_makedumpfile() {
    let tree = Tree::new();
    let options = Options { dump_level: Some(31), ..options("/dev/vdb1") };
    let error = made(&tree, &options).unwrap_err().to_string();
    assert!(error.contains("level 31 needs makedumpfile"), "{error}");
    let with =
        Options { dump_level: Some(16), ..by_makedumpfile(&tree, "makedumpfile: version 1.7.8 (") };
    let task = task(&made(&tree, &with).unwrap());
    assert_eq!(
        (task.makedumpfile.unwrap().join(" "), task.level),
        ("-c -d 16".into(), DumpLevel::All)
    );
}

#[test]
fn modules_of_a_running_watchdog_are_loaded_before_those_of_the_target() {
    let tree = Tree::new();
    let directory = "sys/devices/pci0000:00/0000:00:05.0/watchdog/watchdog0";
    tree.bind("sys/devices/pci0000:00/0000:00:05.0", "pci", "hpwdt", Some("hpwdt"));
    tree.write(&format!("{directory}/state"), "active\n");
    tree.write(&format!("{directory}/identity"), "HPE iLO2+ HW Watchdog Timer\n");
    tree.link(&format!("{directory}/device"), "sys/devices/pci0000:00/0000:00:05.0");
    tree.link("sys/class/watchdog/watchdog0", directory);
    tree.module("hpwdt", "drivers/watchdog", &[]);
    let made = made(&tree, &options("/dev/vdb1")).unwrap();
    let task = task(&made);
    assert_eq!(task.modules, ["/modules/hpwdt.ko", "/modules/virtio_blk.ko"]);
    assert_eq!(task.watchdogs, ["HPE iLO2+ HW Watchdog Timer"]);
    assert_eq!(made.watchdogs, task.watchdogs);
}

#[test]
fn module_that_a_feature_of_ext4_needs_is_in_the_initrd() {
    use super::ext4::{CASEFOLD, QUOTA};
    for (incompatible, read_only_compatible, expected) in [
        (0, 0, &["ext4"][..]),
        (0, QUOTA, &["ext4", "quota_tree", "quota_v2"]),
        (CASEFOLD, 0, &["ext4", "utf8data"]),
    ] {
        let tree = Tree::new();
        tree.mount("/", "/var/crash", "ext4");
        for (name, needs) in [
            ("ext4", &[][..]),
            ("quota_tree", &[]),
            ("quota_v2", &["quota_tree"]),
            ("utf8data", &[]),
        ] {
            tree.module(name, "fs", needs);
        }
        tree.ext4(incompatible, read_only_compatible, 8);
        let modules = task(&made(&tree, &options("/var/crash")).unwrap()).modules;
        let expected: Vec<_> = expected.iter().map(|name| format!("/modules/{name}.ko")).collect();
        assert_eq!(modules[1..], expected, "{incompatible:#x}, {read_only_compatible:#x}");
    }
}

#[test]
fn ext4_with_a_feature_that_the_kernel_lacks_is_refused() {
    use super::ext4::{CASEFOLD, QUOTA};
    let tree = Tree::new();
    tree.mount("/", "/var/crash", "ext4");
    tree.module("ext4", "fs", &[]);
    tree.ext4(0, QUOTA, 8);
    let message = made(&tree, &options("/var/crash")).unwrap_err().to_string();
    assert!(message.contains("no quota format (quota_v2)"), "{message}");
    tree.append(&super::example::lib("modules.builtin"), "kernel/fs/quota/quota_v2.ko");
    assert!(made(&tree, &options("/var/crash")).is_ok());
    // Before Linux 5.17, no list has the tables of Unicode.
    tree.ext4(CASEFOLD, 0, 8);
    assert!(made(&tree, &options("/var/crash")).is_ok());
}

#[test]
fn ext4_whose_journal_is_elsewhere_is_refused_with_the_way_that_works() {
    let tree = Tree::new();
    tree.mount("/", "/var/crash", "ext4");
    tree.module("ext4", "fs", &[]);
    tree.ext4(0, 0, 0);
    let message = made(&tree, &options("/var/crash")).unwrap_err().to_string();
    for word in ["/dev/vdb1", "journal on another device", "--initrd FILE"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    tree.write("dev/vdb1", "short");
    assert!(made(&tree, &options("/var/crash")).is_err());
}

#[test]
fn kernel_without_a_release_or_without_modules_is_refused() {
    let tree = Tree::new();
    let options = options("/dev/vdb1");
    let place = options.capture.as_ref().unwrap();
    let refused = |kernel: &InputFile| {
        around(INIT, tree.files(), place, &options, kernel, b"").unwrap_err().to_string()
    };
    let unknown = InputFile { path: "/boot/vmlinuz".into(), bytes: vec![0; 4096] };
    assert!(refused(&unknown).contains("does not say its release"));
    assert!(refused(&Tree::kernel("6.99")).contains("/lib/modules/6.99"));
}

#[test]
fn target_that_moves_to_another_disk_is_another_target() {
    let tree = Tree::new();
    tree.mount("/", "/var/crash", "ext4");
    let place = Place::parse("/var/crash").unwrap();
    let before = target_now(tree.root(), &place);
    assert!(before.is_ok());
    let mounts = "22 1 254:1 / / rw - tmpfs none rw\n";
    tree.write("proc/self/mountinfo", mounts);
    assert!(target_now(tree.root(), &place).is_err());
}

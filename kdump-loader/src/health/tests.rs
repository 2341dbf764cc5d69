//! Findings on machines with one problem each: of the armed image here, of the machine's settings
//! and the capture kernel's command line in `settings`, of files that are
//! gone in `files`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use loader::describe::elfcorehdr;
use loader::describe::listing::Listing;
use loader::files::identity::FileIdentity;
use loader::machine::{Machine, Present, example};
use loader::request::{self, Request};
use rustix::fs::{FileType, Mode};
use tempfile::TempDir;

use super::*;
use crate::arm::record::Call;
use crate::arm::record::failure;
use crate::arm::record::lock;
use crate::arm::record::origin::Origin;
use crate::capture::example::Tree;
use crate::capture::{self, Place};
use crate::findings::Answer;
use crate::findings::advice::Advice;
use crate::hotplug::queue::{Block, Queue};
use crate::options::Options;

mod files;
mod settings;

/// Stands in for the loader's file.
const PROGRAM: &str = "/dev/null";

/// The example machine, with an armed and recorded image.
struct Armed {
    root: TempDir,
}

impl Armed {
    fn new() -> Self {
        let armed = Self { root: example::tree() };
        for (path, text) in [
            ("sys/kernel/kexec_crash_loaded", "1\n"),
            ("sys/kernel/kexec_crash_size", "201326592\n"),
            ("proc/sys/kernel/random/boot_id", "one\n"),
            ("proc/sys/kernel/osrelease", "6.12\n"),
            ("proc/sys/kernel/panic_on_oops", "1\n"),
        ] {
            armed.write(path, text);
        }
        armed.write("vmlinuz", "kernel");
        let initrd = crate::initrd::example::archive(&[(saver::NOTE, b"save-dump\n")]);
        example::plant(armed.root.path(), &BTreeMap::from([("boot/initrd".to_owned(), initrd)]));
        armed.record(|_| ());
        armed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, path: &str, text: &str) {
        example::plant(
            self.root.path(),
            &BTreeMap::from([(path.to_owned(), text.as_bytes().to_vec())]),
        );
    }

    fn options(&self) -> Options {
        Options::new(self.path("vmlinuz"))
    }

    /// Records an image without problems, with the changes of `change`.
    fn record(&self, change: impl FnOnce(&mut Record)) {
        let root = self.root.path();
        let machine =
            Machine::read(root, Some(loader::machine::example::measured(1_000_000))).unwrap();
        let command_line = "console=ttyS1 nr_cpus=1 reset_devices acpi_no_memhotplug";
        let request = Request { command_line: command_line.into(), ..request::example() };
        let image = loader::build(&request, &machine).unwrap().summary();
        let record =
            Record::new(root, image, Path::new("/vmlinuz"), Some(Path::new("/boot/initrd")), false)
                .unwrap();
        let origin = Origin::of(root, &self.options(), Path::new(PROGRAM));
        let mut record = record.made(origin, Some(Listing::of(&machine)), Vec::new());
        change(&mut record);
        record.write(root).unwrap();
    }

    fn config(&self, more: &str) {
        self.write(
            config::DEFAULT,
            &format!("kernel = {:?}\n{more}", self.path("vmlinuz").display().to_string()),
        );
    }

    fn found(&self) -> Vec<&'static str> {
        self.findings().iter().map(|finding| finding.code.word()).collect()
    }

    fn findings(&self) -> Vec<Finding> {
        survey(self.root.path(), None, Path::new(PROGRAM)).findings
    }

    fn answer(&self) -> Answer {
        Answer::of(&self.findings())
    }
}

#[test]
fn up_to_date_image_gets_a_yes() {
    let armed = Armed::new();
    assert_eq!((armed.found(), armed.answer()), (vec![], Answer::Yes));
    armed.config("");
    assert_eq!((armed.found(), armed.answer()), (vec![], Answer::Yes));
}

#[test]
fn nothing_armed_gets_a_no_with_the_reason() {
    let armed = Armed::new();
    armed.write("sys/kernel/kexec_crash_loaded", "0\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["not_armed"], Answer::No));
    armed.write("sys/kernel/kexec_crash_size", "0\n");
    armed.write("proc/sys/kernel/kexec_load_disabled", "1\n");
    assert_eq!(armed.found(), ["not_armed", "no_crash_region", "load_disabled"]);
}

#[test]
fn image_of_another_loader_is_unknown() {
    let armed = Armed::new();
    record::forget(armed.root.path()).unwrap();
    assert_eq!((armed.found(), armed.answer()), (vec!["unknown_image"], Answer::CannotTell));
}

#[test]
fn hidden_addresses_get_a_cannot_tell() {
    let armed = Armed::new();
    armed.write("proc/iomem", "00000000-00000000 : System RAM\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["cannot_look"], Answer::CannotTell));
}

#[test]
fn stale_and_missing_memory_is_found() {
    let armed = Armed::new();
    let iomem = fs::read_to_string(armed.path("proc/iomem")).unwrap();
    armed.write(
        "proc/iomem",
        &iomem.replace("140000000-147ffffff : System RAM", "150000000-157ffffff : System RAM"),
    );
    assert_eq!(armed.found(), ["memory_stale", "memory_missing"]);
    armed.write("sys/devices/system/memory/crash_hotplug", "1\n");
    assert_eq!(armed.found(), ["memory_stale"], "the kernel has added the other");
}

#[test]
fn changed_files_and_options_are_found() {
    let armed = Armed::new();
    armed.write("vmlinuz", "another kernel");
    assert_eq!(armed.found(), ["file_changed"]);
    let armed = Armed::new();
    armed.config("append = 'nr_cpus=1'");
    assert_eq!(armed.found(), ["config_changed"]);
    armed.config("apend = 'nr_cpus=1'");
    assert_eq!(armed.found(), ["config_unusable"]);
}

/// As after `load --capture` beside the package's config, on a machine without kdump-tools.
#[test]
fn config_that_names_a_missing_file_is_to_be_edited_before_a_reload() {
    let armed = Armed::new();
    armed.config("initrd = '/var/lib/kdump/initrd.img-1'\nappend = 'nr_cpus=1'");
    let findings = armed.findings();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding.code, Code::ConfigUnusable);
    assert!(finding.message.contains("/var/lib/kdump/initrd.img-1"), "{}", finding.message);
    assert!(finding.remedy.as_deref().is_some_and(|remedy| remedy.contains("into the config")));
}

#[test]
fn elfcorehdr_without_room_for_every_possible_cpu_is_found() {
    let armed = Armed::new();
    let mut len = 0;
    armed.record(|record| {
        let segments = &record.image.as_ref().unwrap().segments;
        len = segments.iter().find(|segment| segment.name == "elfcorehdr").unwrap().len;
    });
    let ranges = Present::read(armed.root.path()).unwrap().memory.len() as u64;
    let fit = elfcorehdr::capacity(len) - elfcorehdr::FIXED_PHDRS - ranges;
    let full = |cpus: u64| {
        armed.write("sys/devices/system/cpu/possible", &format!("0-{}\n", cpus - 1));
        armed.found().contains(&"header_full")
    };
    assert!(!full(fit), "{fit} possible CPUs fit");
    assert!(full(fit + 1), "one more does not");
}

#[test]
fn problems_of_the_image_since_its_load_are_found() {
    let armed = Armed::new();
    armed.record(|record| {
        record.advice.push((&Advice::MemoryHotplug).into());
        let image = record.image.as_mut().unwrap();
        image.console_port = None;
        image.segments.iter_mut().find(|segment| segment.name == "elfcorehdr").unwrap().len = 128;
        image.crash_region.len = image.used() * 100 / 93;
    });
    assert_eq!(
        armed.found(),
        ["header_full", "region_nearly_full", "no_console", "memory_hotplug"]
    );
    let finding = &armed.findings()[1];
    assert!(finding.message.contains("93 %"), "{finding}");
}

#[test]
fn initrd_of_capture_is_known_to_save_the_dump_to_its_target() {
    let armed = Armed::new();
    Tree::on(armed.root.path());
    let place = Place::parse("/dev/vdb1").unwrap();
    armed.record(|record| {
        let origin = record.origin.as_mut().unwrap();
        origin.options.insert("capture".into(), place.to_string());
        origin.target = capture::target_now(armed.root.path(), &place).ok();
        origin.initrd_len = Some(1 << 20);
        record.initrd = None;
    });
    armed.write("proc/meminfo", "MemTotal: 1000000 kB\nMemFree: 500000 kB\n");
    assert_eq!(armed.found(), ["target_full"], "the partition has 4 KiB");
    armed.write("sys/class/block/vdb1/size", "2000000\n");
    let found = survey(armed.root.path(), None, Path::new(PROGRAM));
    assert_eq!((armed.found(), armed.answer()), (vec![], Answer::Yes));
    let saver = found.saver.unwrap().to_string();
    assert_eq!(saver, "kdump-loader's /init in the initrd, to PARTUUID=9e2a5c11-01");
    let room = |mib: u64| {
        armed.record(|record| {
            let origin = record.origin.as_mut().unwrap();
            origin.options.insert("capture".into(), place.to_string());
            origin.target = capture::target_now(armed.root.path(), &place).ok();
            (origin.initrd_len, origin.room) = (Some(1 << 20), Some(mib << 20));
            record.initrd = None;
        });
        armed.found()
    };
    assert_eq!(room(1000), ["little_room"]);
    assert_eq!(room(180), [] as [&str; 0]);
    assert_eq!(room(20), ["room_to_spare"]);
    let mut used = 0;
    armed.record(|record| used = record.image.as_ref().unwrap().used());
    let least = loader::place::room::Room::least_of_capture(None);
    for (free, expected) in [(least - 1, "too_little_room"), (least, "little_room")] {
        armed.write("sys/kernel/kexec_crash_size", &format!("{}\n", used + free - (16 << 20)));
        assert_eq!(room(1000), [expected]);
    }
    armed.write(
        "sys/kernel/kexec_crash_size",
        "201326592
",
    );
    assert_eq!(room(20), ["room_to_spare"]);
    // As if another disk had taken its place.
    armed.write("dev/vdb", "");
    assert_eq!(armed.found(), ["room_to_spare", "target_missing"]);
    // Its disk does not answer: a pipe into which nothing is written.
    fs::remove_file(armed.path("dev/vdb")).unwrap();
    let (kind, mode) = (FileType::Fifo, Mode::RUSR | Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, armed.path("dev/vdb"), kind, mode, 0).unwrap();
    assert_eq!(armed.found(), ["room_to_spare", "cannot_look"]);
}

#[test]
fn makedumpfile_of_capture_that_keeps_free_pages_is_found() {
    let armed = Armed::new();
    Tree::on(armed.root.path());
    let program = |version: &str| {
        armed.write("usr/bin/makedumpfile", &format!("makedumpfile: version {version} ("));
        armed.record(|record| {
            let origin = record.origin.as_mut().unwrap();
            let place = Place::parse("/dev/vdb1").unwrap();
            origin.options.insert("capture".into(), place.to_string());
            origin.target = capture::target_now(armed.root.path(), &place).ok();
            origin.initrd_len = Some(1 << 20);
            let path = armed.root.path().join("usr/bin/makedumpfile");
            let mut file = FileIdentity::of(&path).unwrap();
            file.path = "/usr/bin/makedumpfile".into();
            origin.files.insert(capture::makedumpfile::KEY.into(), file);
            record.initrd = None;
        });
        armed.found().contains(&"makedumpfile_too_old")
    };
    assert!(program("1.7.6"));
    assert!(!program("1.7.7"));
}

#[test]
fn kernels_purgatory_is_mentioned() {
    let armed = Armed::new();
    armed.record(|record| {
        record.command_line = record.image.take().map(|image| image.command_line);
        record.call = Call::KexecFileLoad;
    });
    assert_eq!(armed.found(), ["kernels_purgatory"]);
}

#[test]
fn failed_waiting_and_interrupted_reloads_are_found() {
    let armed = Armed::new();
    let root = armed.root.path();
    let queue = Queue::new(root);
    queue.note(Some(Block { number: 64 })).unwrap();
    // The header cannot be read here, so a removed block counts until a reload.
    assert_eq!(armed.found(), ["memory_removed", "event_waits"]);
    queue.take().unwrap();
    assert_eq!(armed.found(), ["memory_removed", "reload_interrupted"]);
    let turn =
        lock::wait_for_lock(root.join(RELOAD_LOCK), std::time::Duration::ZERO, || ()).unwrap();
    assert_eq!(armed.found(), ["memory_removed"], "it is running");
    drop(turn);
    failure::note(root, "no initrd".into()).unwrap();
    assert_eq!(armed.found(), ["memory_removed", "reload_failed"]);
    queue.done().unwrap();
    failure::clear(root).unwrap();
    assert_eq!(armed.found(), [] as [&str; 0]);
}

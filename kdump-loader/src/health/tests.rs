//! Findings on machines with one problem each.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use loader::describe::elfcorehdr;
use loader::describe::listing::Listing;
use loader::machine::{Machine, Present, example};
use loader::request::{self, Request};
use tempfile::TempDir;

use super::*;
use crate::arm::record::Call;
use crate::arm::record::failure;
use crate::arm::record::lock;
use crate::arm::record::origin::Origin;
use crate::findings::Answer;
use crate::findings::advice::Advice;
use crate::hotplug::queue::{Block, Queue};
use crate::options::Options;

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
        let initrd = crate::initrd::tests::archive(&[(saver::NOTE, b"save-dump\n")]);
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
        let origin = Origin::of(&self.options(), Path::new(PROGRAM));
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
    fs::remove_file(armed.path("vmlinuz")).unwrap();
    assert_eq!(armed.found(), ["file_changed"]);
    let armed = Armed::new();
    armed.config("append = 'nr_cpus=1'");
    assert_eq!(armed.found(), ["config_changed"]);
    armed.config("apend = 'nr_cpus=1'");
    assert_eq!(armed.found(), ["config_unusable"]);
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

#[test]
fn other_service_is_found_if_the_config_exists() {
    let armed = Armed::new();
    let wants = armed.path("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("/usr/lib/systemd/system/kdump-tools.service", wants.join("kdump-tools.service"))
        .unwrap();
    let unit = armed.path("usr/lib/systemd/system/kdump-tools.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(unit, "[Service]\n").unwrap();
    assert_eq!(armed.found(), [] as [&str; 0], "it may be the one that calls this program");
    armed.config("");
    assert_eq!(armed.found(), ["other_service"]);
    symlink("/dev/null", armed.path("etc/systemd/system/kdump-tools.service")).unwrap();
    assert_eq!(armed.found(), [] as [&str; 0], "it is masked");
    fs::remove_file(armed.path("etc/systemd/system/kdump-tools.service")).unwrap();
    assert_eq!(armed.found(), ["other_service"]);
    let drop_in = armed.path("etc/systemd/system/kdump-tools.service.d/90-kdump-loader.conf");
    fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
    fs::write(drop_in, "[Unit]\nConditionPathExists=/proc/vmcore\n").unwrap();
    assert_eq!(armed.found(), [] as [&str; 0], "it runs in capture kernels only");
}

#[test]
fn oops_and_notifiers_are_checked() {
    let armed = Armed::new();
    armed.write("proc/sys/kernel/panic_on_oops", "0\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["oops_without_dump"], Answer::YesBut));
    fs::remove_file(armed.path("proc/sys/kernel/panic_on_oops")).unwrap();
    assert_eq!(
        armed.found(),
        ["oops_without_dump"],
        "an unreadable setting is not assumed to be right"
    );
    armed.write("proc/sys/kernel/panic_on_oops", "1\n");
    armed.write("sys/module/kernel/parameters/crash_kexec_post_notifiers", "Y\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["post_notifiers"], Answer::Yes));
}

#[test]
fn cpu_that_the_kernel_does_not_use_is_found() {
    let armed = Armed::new();
    for (name, status) in [("LNXCPU:00", "15\n"), ("ACPI0007:02", "15\n"), ("LNXCPU:03", "0\n")] {
        armed.write(&format!("sys/bus/acpi/devices/{name}/status"), status);
    }
    armed.write("sys/bus/acpi/devices/LNXCPU:04/path", "no _STA\n");
    armed.write("sys/bus/acpi/devices/LNXCPU:00/physical_node/online", "1\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["cpu_refused"], Answer::YesBut));
    let finding = &armed.findings()[0];
    assert!(
        finding.message.starts_with("the running kernel does not use 1 of this machine's CPUs"),
        "{finding}"
    );
    let command_line = fs::read_to_string(armed.path("proc/cmdline")).unwrap();
    armed.write("proc/cmdline", &format!("no_ipi_broadcast=0 {command_line}"));
    assert_eq!(armed.found(), ["cpu_refused"]);
    armed.write("proc/cmdline", &format!("no_ipi_broadcast=1 {command_line}"));
    assert_eq!(armed.found(), [] as [&str; 0]);
}

#[test]
fn deadly_parameter_is_found_in_an_image_of_an_older_loader() {
    let armed = Armed::new();
    armed.record(|record| record.image.as_mut().unwrap().command_line += " hugepages=200");
    assert_eq!((armed.found(), armed.answer()), (vec!["deadly_parameter"], Answer::CannotTell));
    let finding = &armed.findings()[0];
    assert!(
        finding.message.contains("hugepages=200")
            && finding.message.contains("deadlocked on memory"),
        "{finding}"
    );
    // `load` has already warned about it.
    armed.record(|record| {
        record.image.as_mut().unwrap().command_line += " hugepages=200";
        let line = record.image.as_ref().unwrap().command_line.as_str();
        record.advice =
            crate::findings::advice::of_line(&line.into(), 1, &[]).iter().map(Into::into).collect();
    });
    assert_eq!(armed.found(), ["deadly_parameter"]);
}

#[test]
fn parameter_that_only_costs_memory_is_a_warning() {
    let armed = Armed::new();
    armed.record(|record| {
        record.image.as_mut().unwrap().command_line += " log_buf_len=1M udev.children-max=2"
    });
    assert_eq!((armed.found(), armed.answer()), (vec!["unfit_parameter"], Answer::YesBut));
}

#[test]
fn too_little_crash_memory_is_found() {
    let armed = Armed::new();
    let mut image = 0;
    armed.record(|record| image = record.image.as_ref().unwrap().used());
    let cma = 16 << 20;
    for (room, expected) in
        [(15 << 20, Some("too_little_room")), (30 << 20, Some("little_room")), (60 << 20, None)]
    {
        armed.write("sys/kernel/kexec_crash_size", &format!("{}\n", image + room - cma));
        assert_eq!(armed.found(), Vec::from_iter(expected), "{room}");
    }
}

#[test]
fn image_that_cannot_be_replaced_gets_a_possible_remedy() {
    let armed = Armed::new();
    armed.config("");
    armed.write("proc/sys/kernel/kexec_load_disabled", "1\n");
    assert_eq!((armed.found(), armed.answer()), (vec!["reload_disabled"], Answer::Yes));
    armed.config("append = 'nr_cpus=1'");
    assert_eq!(armed.found(), ["config_changed", "reload_disabled"]);
    let remedy = armed.findings()[0].remedy.clone().unwrap();
    assert!(remedy.starts_with("reboot") && !remedy.contains("kdump-loader reload"), "{remedy}");
}

//! `last`: the story of a panic, as text and as JSON.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use kdump_loader::black_box::armed::Boot;
use kdump_loader::black_box::panic::{self, Arming, Copies, LogSummary, Nothing, Outcome, Panic};
use kdump_loader::black_box::saved;
use serde_json::Value;

use crate::fixture::status::{Debian, refused};
use crate::fixture::{Run, assert_says, program, run};

mod page; // --html

fn last(root: &Path, arguments: &[&str]) -> Run {
    run(program().arg("last").arg("--root").arg(root).args(arguments))
}

fn told(root: &Path) -> String {
    let Run { code, stdout, stderr } = last(root, &[]);
    assert_eq!(code, Some(0), "{stderr}");
    stdout
}

/// A panic whose capture kernel ran.
fn jumped(root: &Path) -> Panic {
    let mut panic = refused(root);
    let run = panic.run.as_mut().unwrap();
    (run.stage, run.verdict) = ("jumped".into(), Some("ok".into()));
    (run.corrupt_places, run.places) = (0, Vec::new());
    panic.capture_log = Some(LogSummary {
        release: "6.12.43".into(),
        records: 2,
        damaged: 0,
        text_only: false,
        errors: Vec::new(),
    });
    panic
}

const CAPTURE_LOG: &str = "[    0.000000] Linux version 6.12.43\n\
                           [    4.000000] kdump: dump target /dev/vdb is missing\n";

#[test]
fn refusal_is_told_on_one_screen() {
    let machine = Debian::new();
    let folder = machine.panicked();
    let expected = format!(
        "\
when         about 2026-09-21 14:14:21 UTC, found 2026-09-21 14:16:40 UTC
kernel       Linux 6.12.43, armed 2026-09-21 14:14:20 UTC
panic        Kernel panic - not syncing: sysrq triggered crash
purgatory    refused the image (segment-corrupt)
             a segment changed after loading: its SHA-256 does not match
             corrupt: kernel, 65536 bytes at 0x28000000
             entered after 0.040 ms, log copied after 0.700 ms, verified after 12.345 ms, refused after 12.400 ms
dump         none of that time in /var/crash
next         read dmesg.txt; docs/troubleshooting.md has the causes and remedies of segment-corrupt
files        {}
             dmesg.txt: 407 records
",
        folder.display()
    );
    assert_eq!(told(machine.root()), expected);
}

#[test]
fn panic_that_was_told_is_no_finding_any_more() {
    let machine = Debian::new();
    machine.panicked();
    let status = || run(program().arg("status").arg("--root").arg(machine.root())).stdout;
    assert_says(&status(), &["unseen_panic"]);
    told(machine.root());
    assert!(!status().contains("unseen_panic"));
}

#[test]
fn last_lines_of_a_capture_kernel_that_saved_nothing_are_told() {
    let machine = Debian::new();
    saved::save(machine.root(), &jumped(machine.root()), "", CAPTURE_LOG).unwrap();
    let told = told(machine.root());
    assert_says(
        &told,
        &[
            "purgatory    started the capture kernel (ok)\n",
            "capture      Linux 6.12.43 ran; its last lines were:\n",
            "             [    4.000000] kdump: dump target /dev/vdb is missing\n",
            "dump         none of that time in /var/crash\n",
            "next         read capture-dmesg.txt for the step that failed",
        ],
    );
}

#[test]
fn dump_that_was_saved_is_named_and_is_no_finding() {
    let machine = Debian::new();
    let panic = jumped(machine.root());
    saved::save(machine.root(), &panic, "", CAPTURE_LOG).unwrap();
    machine.write("var/crash/202609211415/dump.202609211415", "dump");
    let dump = machine.path("var/crash/202609211415/dump.202609211415");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_100);
    File::options().write(true).open(dump).unwrap().set_modified(time).unwrap();
    let status = run(program().arg("status").arg("--root").arg(machine.root()));
    assert!(!status.stdout.contains("unseen_panic"), "{}", status.stdout);
    let path = "saved: /var/crash/202609211415/dump.202609211415";
    assert_says(&told(machine.root()), &[path, "open the dump with crash or drgn"]);
    let json = last(machine.root(), &["--json"]).stdout;
    assert_says(&json, &["\"dump\": \"saved\"", "\"stage\": \"jumped\"", "\"version\": 1"]);
}

#[test]
fn every_panic_is_told_with_all_and_the_newest_without() {
    let machine = Debian::new();
    machine.panicked();
    let mut later = jumped(machine.root());
    later.harvested_at += 1000;
    saved::save(machine.root(), &later, "", CAPTURE_LOG).unwrap();
    let newest = told(machine.root());
    assert!(newest.contains("started") && !newest.contains("refused"), "{newest}");
    let all = last(machine.root(), &["--all"]).stdout;
    assert!(all.find("refused").unwrap() < all.find("started").unwrap(), "{all}");
}

#[test]
fn machine_without_a_panic_says_no_more_than_that() {
    let machine = Debian::new();
    let nothing = told(machine.root());
    assert!(nothing.starts_with("no panic is recorded: no image with a black box"), "{nothing}");
    assert_says(&last(machine.root(), &["--json"]).stdout, &["\"panics\": []"]);
}

#[test]
fn boot_without_a_record_is_told_after_an_older_panic() {
    let machine = Debian::new();
    machine.panicked();
    let outcome = Outcome {
        version: panic::VERSION,
        harvested_at: 1_790_009_000,
        arming: Arming {
            boot: Boot::current(machine.root()).unwrap(),
            armed_at: 1_790_008_000,
            generation: 9,
            image: String::new(),
        },
        found: None,
        nothing: Some(Nothing::NoRecord {
            copies: Copies { reserved: 4, lost: 4, ..Copies::default() },
        }),
        memory_overwrite_request: Some(true),
    };
    outcome.write(machine.root()).unwrap();
    let told = told(machine.root());
    assert_says(
        &told,
        &[
            "refused the image",
            "armed 2026-09-21 16:26:40 UTC, but no record: memory was cleared by the reset, or \
             the kernel never reached the purgatory\n",
            "4 reserved: 0 intact, 4 overwritten",
            "firmware     was asked to clear memory at a reset (MemoryOverwriteRequestControl is \
             1)\n",
        ],
    );
}

#[test]
fn garbled_record_is_skipped_and_the_one_before_it_is_told() {
    let machine = Debian::new();
    machine.panicked();
    machine.write("var/lib/kdump-loader/panics/2030-01-01T00-00-00Z/record.json", "{");
    fs::write(machine.path("var/lib/kdump-loader/panics/stray"), "").unwrap();
    assert_says(&told(machine.root()), &["refused the image"]);
}

/// What `load`, `last` and `last --json` printed in runs of the scenarios, where a real kernel had
/// panicked.
const RECORDED: [&str; 3] = [
    include_str!("last/black-box-refused.txt"),
    include_str!("last/black-box-hang.txt"),
    include_str!("last/black-box-cleared.txt"),
];

#[test]
fn panics_of_real_kernels_are_told_as_they_were_and_as_the_page_has_them() {
    let page = include_str!("../../../docs/last.md");
    for recorded in RECORDED {
        let [_, text, json] = recorded.splitn(3, "\n\n").collect::<Vec<_>>()[..] else {
            panic!("not three parts: {recorded}");
        };
        assert!(page.contains(text), "docs/last.md should have:\n{text}");
        let json: Value = serde_json::from_str(json).unwrap();
        let machine = Debian::new();
        let outcome: Outcome = serde_json::from_value(json["last_harvest"].clone()).unwrap();
        outcome.write(machine.root()).unwrap();
        for panic in json["panics"].as_array().unwrap() {
            let panic: Panic = serde_json::from_value(panic.clone()).unwrap();
            saved::save(machine.root(), &panic, "", &capture_lines(text)).unwrap();
        }
        let told = told(machine.root()).replace(machine.root().to_str().unwrap(), "");
        assert_eq!(told, format!("{text}\n"));
    }
}

/// The lines of the capture kernel's log that `last` printed.
fn capture_lines(text: &str) -> String {
    let after = text.lines().skip_while(|line| !line.starts_with("capture "));
    let lines = after.skip(1).map_while(|line| line.strip_prefix(&" ".repeat(13)));
    lines.map(|line| format!("{line}\n")).collect()
}

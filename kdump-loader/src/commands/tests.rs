//! Keys of the JSON that only a live machine produces. Other programs read them.

use std::collections::BTreeMap;

use loader::image::{BlockSummary, OURS, SpanSummary, Summary};
use serde::Serialize;

use super::Versioned;
use super::load::Output;
use super::status::{Capacity, Report};
use crate::arm::record::origin::Origin;
use crate::arm::record::{Call, Record};
use crate::findings::{Answer, Code, Finding};
use crate::hotplug::outdated::Reason;

fn keys(data: &impl Serialize) -> String {
    let map: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(serde_json::to_value(data).unwrap()).unwrap();
    map.into_keys().collect::<Vec<_>>().join(" ")
}

#[test]
fn load_json_has_these_keys() {
    let nowhere = SpanSummary { start: 0, len: 0 };
    let image = Summary {
        identity: String::new(),
        purgatory: OURS.into(),
        entry: 0,
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
            leaf_size: 0,
            report: Some(nowhere),
            engine: String::new(),
            on_corrupt: String::new(),
            reset_delay_ms: 0,
            black_box: None,
            signals: None,
        }),
    };
    assert_eq!(
        keys(&Versioned::new(&Output { hotplug: true, image: &image })),
        "black_box block command_line confidential console_port crash_region dropped engine entry \
         hotplug identity leaf_size leaf_table on_corrupt purgatory regions report reset_delay_ms \
         segments signals version"
    );
}

#[test]
fn load_file_json_has_these_keys() {
    let output = crate::arm::load_file::Output {
        call: "kexec_file_load",
        hotplug: true,
        kernel: String::new(),
        initrd: None,
        command_line: String::new(),
        dropped: Vec::new(),
        crash_region: SpanSummary { start: 0, len: 0 },
    };
    assert_eq!(
        keys(&Versioned::new(&output)),
        "call command_line crash_region dropped hotplug initrd kernel version"
    );
}

pub(super) fn report() -> Report {
    Report {
        answer: Answer::Yes,
        findings: Vec::new(),
        saver: None,
        loaded: Some(true),
        crash_size: Some(256 << 20),
        crash_region: None,
        used: None,
        crash_hotplug_cpu: Some(true),
        crash_hotplug_memory: Some(true),
        elfcorehdr: Some(Capacity { len: 4096, headers: 72, cpus: 4, memory_ranges: 66 }),
        identity: None,
        unknown_because: None,
        record: None,
        last_panic: None,
    }
}

#[test]
fn status_json_has_these_keys() {
    assert_eq!(
        keys(&Versioned::new(&report())),
        "answer crash_hotplug_cpu crash_hotplug_memory crash_region crash_size elfcorehdr findings \
         identity last_panic loaded record saver unknown_because used version"
    );
    assert_eq!(keys(&report().elfcorehdr), "cpus headers len memory_ranges");
    assert_eq!(keys(&Finding::new(Code::NotArmed, "")), "code level message remedy");
}

#[test]
fn status_says_that_removed_memory_needs_a_reload() {
    let remedy = "reload after memory is removed";
    assert!(report().to_string().contains(remedy));
    assert!(
        !Report { loaded: Some(false), ..report() }.to_string().contains(remedy),
        "there is nothing to reload"
    );
    let origin = Origin { skips_removed_memory: true, ..Origin::default() };
    let record = Record {
        version: 1,
        boot_id: String::new(),
        armed_at: 0,
        kernel: String::new(),
        initrd: None,
        hotplug: true,
        call: Call::KexecLoad,
        command_line: None,
        image: None,
        origin: Some(origin),
        listing: None,
        advice: Vec::new(),
    };
    let record = Some(Box::new(record));
    let by_capture = Report { record, ..report() }.to_string();
    assert!(!by_capture.contains(remedy) && by_capture.contains("left out of the dump"));
}

#[test]
fn status_answers_in_its_first_line() {
    let first = |codes: &[Code]| {
        let findings: Vec<Finding> =
            codes.iter().map(|code| Finding::new(*code, code.meaning())).collect();
        let report = Report { answer: Answer::of(&findings), findings, ..report() };
        report.to_string().lines().take(1 + codes.len()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(first(&[])[0].starts_with("yes:"));
    let lines = first(&[Code::NoConsole]);
    assert!(
        lines[0].starts_with("yes, but:") && lines[1].starts_with("warning[no_console]: "),
        "{lines:?}"
    );
    let lines = first(&[Code::NoConsole, Code::NotArmed]);
    assert!(
        lines[0].starts_with("no:") && lines[1].starts_with("error[not_armed]: "),
        "the heaviest first: {lines:?}"
    );
}

#[test]
fn reload_json_has_these_keys() {
    let output = super::reload::Output {
        armed: 1,
        reasons: vec![Reason::CpuAdded { cpu: 3 }],
        words: vec!["CPU 3 was added".into()],
    };
    assert_eq!(keys(&Versioned::new(&output)), "armed reasons version words");
    assert_eq!(
        serde_json::to_value(&output.reasons[0]).unwrap(),
        serde_json::json!({ "reason": "cpu_came", "cpu": 3 })
    );
}

//! `status` on prepared machines: text, JSON and metrics.

mod capture;
mod root;
mod squashed;
mod started;
mod states;
mod suse;
mod waits;
mod writable;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::fixture::status::Debian;
use crate::fixture::{Run, assert_says, program, run};
use states::{STATES, State};

/// Runs `status` on the machine below `root`.
fn status(root: &Path, arguments: &[&str]) -> Run {
    run(program().arg("status").arg("--root").arg(root).args(arguments))
}

/// The answer and the codes of the findings, as in `no: target_full`.
fn told(machine: &Debian) -> String {
    let json: serde_json::Value =
        serde_json::from_str(&status(machine.root(), &["--json"]).stdout).unwrap();
    let findings = json["findings"].as_array().unwrap().iter();
    let codes = findings.map(|finding| format!(" {}", code_and_level(finding).0));
    format!("{}:{}", json["answer"].as_str().unwrap(), codes.collect::<String>())
}

/// The text.
fn said(machine: &Debian) -> String {
    status(machine.root(), &[]).stdout
}

#[test]
fn text_json_and_metrics_agree_in_every_state() {
    for State { name, make, answer, found, words } in STATES {
        let machine = Debian::new();
        make(&machine);
        let metrics = machine.path("kdump.prom");
        let said = status(machine.root(), &["--prometheus", metrics.to_str().unwrap()]);
        let expected = if answer.starts_with("yes") { 0 } else { 1 };
        assert_eq!(said.code, Some(expected), "{name}: {}", said.stdout);
        words.iter().for_each(|word| {
            assert!(said.stdout.contains(word), "{name}: {word:?} is missing in:\n{}", said.stdout)
        });

        let json: serde_json::Value =
            serde_json::from_str(&status(machine.root(), &["--json"]).stdout).unwrap();
        assert_eq!(json["answer"], *answer, "{name}: {json:#}");
        let told: Vec<(&str, &str)> =
            json["findings"].as_array().unwrap().iter().map(code_and_level).collect();
        let (mut told, mut found) = (told, found.to_vec());
        told.sort_unstable();
        found.sort_unstable();
        assert_eq!(told, found, "{name}");

        promtool_accepts(&metrics, name);
        let metrics = fs::read_to_string(metrics).unwrap();
        let samples: Vec<String> = found
            .iter()
            .map(|(code, level)| {
                format!("kdump_loader_findings{{code=\"{code}\",level=\"{level}\"}} 1\n")
            })
            .chain([format!("kdump_loader_answer{{answer=\"{answer}\"}} 1\n")])
            .chain([format!("kdump_loader_dump_expected {}\n", 1 - expected)])
            .collect();
        samples.iter().for_each(|sample| {
            assert!(metrics.contains(sample), "{name}: {sample} is missing in:\n{metrics}")
        });
        assert_eq!(metrics.matches("kdump_loader_findings{").count(), found.len(), "{name}");
    }
}

/// Runs Prometheus' linter, if it is installed. Otherwise only the parser in the tests of
/// `prometheus.rs` checks the format.
fn promtool_accepts(metrics: &Path, name: &str) {
    let linter = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(metrics).unwrap())
        .output();
    if let Ok(output) = linter {
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn code_and_level(finding: &serde_json::Value) -> (&str, &str) {
    (finding["code"].as_str().unwrap(), finding["level"].as_str().unwrap())
}

#[test]
fn unreadable_machine_gets_an_answer_as_text_json_and_metrics() {
    let root = TempDir::new().unwrap();
    let metrics = root.path().join("kdump.prom");
    fs::write(&metrics, "kdump_loader_dump_expected 1\n").unwrap();
    let words = status(root.path(), &["--prometheus", metrics.to_str().unwrap()]);
    assert_eq!(words.code, Some(1), "{}", words.stderr);
    assert_says(
        &words.stdout,
        &["cannot tell whether", "unknown[cannot_look]", "crash_loaded is missing"],
    );
    assert_says(
        &fs::read_to_string(&metrics).unwrap(),
        &["kdump_loader_dump_expected 0\n", "answer=\"cannot_tell\"} 1\n"],
    );
    let json = status(root.path(), &["--json"]);
    assert_eq!(json.code, Some(1));
    assert_says(
        &json.stdout,
        &["\"answer\": \"cannot_tell\"", "\"code\": \"cannot_look\"", "\"loaded\": null"],
    );
}

#[test]
fn link_in_place_of_the_metrics_is_rejected_after_the_answer() {
    let machine = Debian::new();
    let (victim, metrics) = (machine.path("shadow"), machine.path("kdump.prom"));
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &metrics).unwrap();
    let said = status(machine.root(), &["--json", "--prometheus", metrics.to_str().unwrap()]);
    assert_eq!(said.code, Some(1));
    assert_says(&said.stdout, &["\"answer\": \"yes\""]);
    assert_says(&said.stderr, &["kdump.prom", "not a regular file"]);
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

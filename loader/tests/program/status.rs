//! `status` on machines made for it: words, JSON and metrics.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::fixture::{Run, assert_says, program, run};

/// Runs `status` on the machine below `root`.
fn status(root: &Path, arguments: &[&str]) -> Run {
    run(program().arg("status").arg("--root").arg(root).args(arguments))
}

#[test]
fn machine_that_cannot_be_looked_at_gets_an_answer_in_words_json_and_metrics() {
    let root = TempDir::new().unwrap();
    let metrics = root.path().join("kdump.prom");
    fs::write(&metrics, "kdump_loader_dump_expected 1\n").unwrap();
    let words = status(root.path(), &["--prometheus", metrics.to_str().unwrap()]);
    assert_eq!(words.code, Some(1), "{}", words.stderr);
    assert_says(&words.stdout, &["cannot tell whether", "unknown[cannot_look]", "crash_loaded is missing"]);
    assert_says(&fs::read_to_string(&metrics).unwrap(), &["kdump_loader_dump_expected 0\n", "answer=\"cannot_tell\"} 1\n"]);
    let json = status(root.path(), &["--json"]);
    assert_eq!(json.code, Some(1));
    assert_says(&json.stdout, &["\"answer\": \"cannot_tell\"", "\"code\": \"cannot_look\"", "\"loaded\": null"]);
}

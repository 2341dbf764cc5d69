//! The program, started by hand or as one of its own steps. As process 1 it would reset the
//! machine, so only scenarios run it so.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (Output, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_capture-init")).args(arguments).output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let (out, err) = (out.into_owned(), err.into_owned());
    (output, out, err)
}

#[test]
fn started_by_hand_it_says_what_it_is_and_changes_nothing() {
    let (output, _, err) = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("kdump-loader load --capture"), "{err}");
}

#[test]
fn step_without_a_vmcore_answers_with_the_reason() {
    assert!(!Path::new("/proc/vmcore").exists(), "this machine is a capture kernel");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dmesg.txt");
    let place = format!(
        r#"{{"path":{:?},"offset":0,"room":4096,"is_partition":false}}"#,
        path.to_str().unwrap()
    );
    for step in [r#""Log""#, r#"{"Filter":"no-free-or-zeroes"}"#, r#""Copy""#] {
        let (output, out, err) =
            run(&[&format!(r#"{{"Save":{{"step":{step},"place":{place}}}}}"#)]);
        assert!(output.status.success(), "{step}: {err}");
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        let words = answer["Err"]["words"].as_str().unwrap();
        assert!(words.contains("No such file or directory"), "{step}: {words}");
        assert_eq!(answer["Err"]["is_target"], false);
        assert!(!path.exists(), "{step}: nothing is written without a vmcore");
    }
}

#[test]
fn module_and_mount_that_fail_answer_with_the_reason() {
    for (job, reason) in [
        (r#"{"Load":{"module":"/no/a.ko","parameters":""}}"#, "the file is missing"),
        (r#"{"Mount":{"device":"/no/disk","filesystem":"ext4"}}"#, "/no/disk cannot be mounted"),
    ] {
        let (output, out, err) = run(&[job]);
        assert!(output.status.success(), "{job}: {err}");
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        let words = answer["Err"].as_str().unwrap();
        assert!(words.contains(reason), "{job}: {words}");
    }
}

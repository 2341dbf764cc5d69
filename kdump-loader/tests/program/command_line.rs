//! Command lines: what `plan` drops, what it warns about, and what reaches the image.

use loader::image::Summary;

use crate::fixture::{Fixture, Run, assert_says, example};

/// Parameters that suit a capture kernel.
const GOOD: &str = "nr_cpus=1 reset_devices acpi_no_memhotplug";

/// The summary and the messages of a `plan` that must succeed.
fn planned(fixture: &Fixture, arguments: &[&str]) -> (Summary, String) {
    let Run { code, stdout, stderr } = fixture.plan([&["--json"], arguments].concat());
    assert_eq!(code, Some(0), "{stderr}");
    (serde_json::from_str(&stdout).unwrap(), stderr)
}

fn with_running_line(line: &[u8]) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("snapshot/proc/cmdline", &[line, b"\n"].concat());
    fixture
}

#[test]
fn dropped_parameters_are_listed_in_one_note_and_in_json() {
    let fixture = with_running_line(
        b"BOOT_IMAGE=/vmlinuz ro hugepages=200 memmap=128M@256M crashkernel=256M quiet",
    );
    let (summary, said) = planned(&fixture, &["--reuse-cmdline", "--append", GOOD]);
    let dropped = ["BOOT_IMAGE=/vmlinuz", "hugepages=200", "memmap=128M@256M", "crashkernel=256M"];
    assert_eq!(summary.dropped, dropped);
    assert!(
        summary.command_line.starts_with(&format!("ro quiet {GOOD} elfcorehdr=")),
        "{}",
        summary.command_line
    );
    let lines: Vec<_> = said.lines().filter(|line| line.contains("dropped")).collect();
    assert_eq!(
        lines,
        [format!(
            "kdump-loader: note: dropped from the reused command line: {}",
            dropped.join(" ")
        )]
    );
}

#[test]
fn crashkernel_of_a_unified_image_is_dropped() {
    let fixture = Fixture::new();
    let linux = example::bzimage(&example::pattern(50_000));
    let line = format!("ro crashkernel=64M {GOOD}");
    fixture.write("vmlinuz", &example::uki(&[(".linux", &linux), (".cmdline", line.as_bytes())]));
    let (summary, said) = planned(&fixture, &[]);
    assert_eq!(summary.dropped, ["crashkernel=64M"]);
    assert!(
        summary.command_line.starts_with(&format!("ro {GOOD} elfcorehdr=")),
        "{}",
        summary.command_line
    );
    assert_says(&said, &["crashkernel=64M"]);
}

#[test]
fn given_hugepages_stay_and_cause_a_warning() {
    let (summary, said) = planned(&Fixture::new(), &["--append", &format!("{GOOD} hugepages=200")]);
    assert!(
        summary.dropped.is_empty()
            && summary.command_line.starts_with(&format!("{GOOD} hugepages=200 "))
    );
    assert_says(&said, &["hugepages=200", "deadlocked on memory", "remove it"]);
}

#[test]
fn byte_that_is_not_utf_8_is_passed_on_and_shown_escaped() {
    let fixture = with_running_line(b"root=LABEL=\xe9t\xc3\xa9 crashkernel=256M");
    let (summary, _) = planned(&fixture, &["--reuse-cmdline"]);
    assert!(
        summary.command_line.starts_with("root=LABEL=\\xe9t\u{e9} elfcorehdr="),
        "{}",
        summary.command_line
    );
    let segment = summary.segments.iter().find(|segment| segment.name == "command-line").unwrap();
    let given = "root=LABEL=_t__ elfcorehdr=0x2f000000 purgatory.report=".len() + 128 + 1;
    assert_eq!(segment.file_len, given as u64, "one byte stays one byte");
}

#[test]
fn control_character_in_the_running_line_is_rejected() {
    let fixture = with_running_line(b"ro \x1b[2J crashkernel=256M");
    assert_says(&fixture.refusal(["--reuse-cmdline"]), &["command line contains", "at byte 3"]);
}

#[test]
fn command_line_that_only_fits_without_the_report_gets_none() {
    let line = format!("{GOOD} {}", "x".repeat(1879 - GOOD.len() - 1));
    let (summary, said) = planned(&Fixture::new(), &["--append", &line]);
    assert!(summary.command_line.ends_with("x elfcorehdr=0x2f000000"), "{}", summary.command_line);
    assert_eq!(summary.by_block.unwrap().report, None);
    let lacks = 1879 + " elfcorehdr=0x2f000000 purgatory.report=".len() + 128 + 1 - 2047;
    assert_says(&said, &["no room for the purgatory's report", &format!("by {lacks} bytes")]);
    let Run { stdout, .. } = Fixture::new().plan(["--append", line.as_str()]);
    assert_says(&stdout, &["report         none"]);
}

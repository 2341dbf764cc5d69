//! `status --prometheus FILE`: the answer in Prometheus' text format, for the textfile collector of
//! node_exporter.
//!
//! The format (<https://prometheus.io/docs/instrumenting/exposition_formats/>) has a line HELP and
//! a line TYPE before the samples of each metric, label values in quotes, and a line feed at the
//! end. Every metric is a gauge.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use super::Report;
use crate::commands::{self, Error};
use crate::findings::{Answer, Level};

/// Replaces a regular file atomically. The collector reads only names that end in `.prom`, which
/// the temporary name does not. All users can read a new file, because the collector is not root
/// and the file has no addresses.
pub fn write(path: &Path, report: &Report) -> Result<(), Error> {
    let bytes = text(report).into_bytes();
    commands::write_file(path, &bytes)
}

/// The metrics as text.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut metric = |name: &str, help: &str, samples: &[(Vec<(&str, &str)>, u64)]| {
        if !samples.is_empty() {
            write_metric(&mut out, name, help, samples).expect("a string takes everything");
        }
    };
    let one = |value: u64| vec![(Vec::new(), value)];
    let flag = |value: bool| one(u64::from(value));
    let maybe = |value: Option<u64>| value.map_or(Vec::new(), one);

    let expected = matches!(report.answer, Answer::Yes | Answer::YesBut);
    metric(
        "kdump_loader_dump_expected",
        "Whether a panic now would leave a dump.",
        &flag(expected),
    );
    let answers: Vec<_> = Answer::ALL
        .into_iter()
        .map(|(answer, word)| (vec![("answer", word)], u64::from(answer == report.answer)))
        .collect();
    metric(
        "kdump_loader_answer",
        "The answer of kdump-loader status: 1 for the current answer.",
        &answers,
    );
    metric(
        "kdump_loader_armed",
        "Whether a capture kernel is armed.",
        &maybe(report.loaded.map(u64::from)),
    );

    let mut findings: BTreeMap<(&str, Level), u64> = BTreeMap::new();
    for finding in &report.findings {
        *findings.entry((finding.code.word(), finding.level)).or_default() += 1;
    }
    let findings: Vec<_> = findings
        .into_iter()
        .map(|((code, level), count)| (vec![("code", code), ("level", level.word())], count))
        .collect();
    metric(
        "kdump_loader_findings",
        "Number of findings of kdump-loader status, by code and level.",
        &findings,
    );

    metric(
        "kdump_loader_crash_memory_bytes",
        "Memory reserved for capture kernels.",
        &maybe(report.crash_size),
    );
    metric(
        "kdump_loader_crash_region_bytes",
        "Size of the crash region that the image is in, or would go into.",
        &maybe(report.crash_region.map(|region| region.len)),
    );
    metric("kdump_loader_image_bytes", "Memory that the armed image uses.", &maybe(report.used));
    metric(
        "kdump_loader_armed_timestamp_seconds",
        "When the image was armed, in seconds since 1970.",
        &maybe(report.record.as_ref().map(|record| record.armed_at)),
    );
    metric(
        "kdump_loader_last_panic_timestamp_seconds",
        "When the last recorded panic happened, or was found, in seconds since 1970.",
        &maybe(report.last_panic),
    );
    let updates = [("cpu", report.crash_hotplug_cpu), ("memory", report.crash_hotplug_memory)];
    let updates: Vec<_> = updates
        .into_iter()
        .filter_map(|(subsystem, answer)| {
            Some((vec![("subsystem", subsystem)], u64::from(answer?)))
        })
        .collect();
    metric("kdump_loader_crash_hotplug", "Whether the kernel updates the armed image.", &updates);
    out
}

fn write_metric(
    out: &mut String,
    name: &str,
    help: &str,
    samples: &[(Vec<(&str, &str)>, u64)],
) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge")?;
    for (labels, value) in samples {
        out.write_str(name)?;
        if !labels.is_empty() {
            // Every value is a word of this program, so none needs a backslash.
            let labels: Vec<_> =
                labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
            write!(out, "{{{}}}", labels.join(","))?;
        }
        writeln!(out, " {value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::commands::tests::report;
    use crate::findings::{Code, Finding};

    /// Parses the format strictly: the samples, by metric and labels.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_lowercase())
                && bytes
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(text.ends_with('\n'));
        let mut samples = BTreeMap::new();
        let (mut helped, mut current) = (Vec::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !words.is_empty() && !words.contains('\\'), "{line}");
                assert!(!helped.contains(&name), "HELP comes once: {line}");
                helped.push(name);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!((helped.last(), kind), (Some(&name), "gauge"), "TYPE follows its HELP");
                assert!(!name.ends_with("_total"), "promtool: that is for counters");
                current = name.to_owned();
            } else {
                let (key, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) =
                    key.split_once('{').map_or((key, None), |(name, labels)| (name, Some(labels)));
                assert_eq!(name, current, "the samples of a metric are together");
                for label in labels
                    .into_iter()
                    .flat_map(|labels| labels.strip_suffix('}').unwrap().split(','))
                {
                    let (name, value) = label.split_once('=').unwrap();
                    let value =
                        value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
                    assert!(is_name(name) && !value.contains(['"', '\\', '\n']), "{line}");
                }
                assert!(
                    samples.insert(key.to_owned(), value.parse().unwrap()).is_none(),
                    "twice: {line}"
                );
            }
        }
        samples
    }

    fn found(codes: &[Code]) -> Report {
        let findings: Vec<Finding> = codes.iter().map(|code| Finding::new(*code, "")).collect();
        Report { answer: Answer::of(&findings), findings, ..report() }
    }

    #[test]
    fn text_is_in_prometheus_format_and_agrees_with_status() {
        let samples = parse(&text(&found(&[Code::CpuMissing, Code::CpuMissing, Code::NoConsole])));
        assert_eq!(samples["kdump_loader_dump_expected"], 1.0);
        assert_eq!(samples["kdump_loader_answer{answer=\"yes_but\"}"], 1.0);
        assert_eq!(samples["kdump_loader_answer{answer=\"yes\"}"], 0.0);
        assert_eq!(samples["kdump_loader_findings{code=\"cpu_missing\",level=\"warning\"}"], 2.0);
        assert_eq!(samples["kdump_loader_findings{code=\"no_console\",level=\"warning\"}"], 1.0);
        assert_eq!(samples["kdump_loader_crash_memory_bytes"], f64::from(256 << 20));
        assert_eq!(samples["kdump_loader_crash_hotplug{subsystem=\"memory\"}"], 1.0);
        assert!(
            !samples.contains_key("kdump_loader_image_bytes"),
            "an unknown value has no sample"
        );

        let samples = parse(&text(&Report { loaded: Some(false), ..found(&[Code::NotArmed]) }));
        assert_eq!(
            (samples["kdump_loader_dump_expected"], samples["kdump_loader_armed"]),
            (0.0, 0.0)
        );
        parse(&text(&report()));
        let samples = parse(&text(&Report { last_panic: Some(7), ..report() }));
        assert_eq!(samples["kdump_loader_last_panic_timestamp_seconds"], 7.0);
    }

    #[test]
    fn unreadable_machine_also_has_metrics() {
        let report = Report { loaded: None, crash_size: None, ..found(&[Code::CannotLook]) };
        let samples = parse(&text(&report));
        assert_eq!(samples["kdump_loader_answer{answer=\"cannot_tell\"}"], 1.0);
        assert_eq!(samples["kdump_loader_dump_expected"], 0.0);
        assert!(!samples.contains_key("kdump_loader_armed"));
    }

    #[test]
    fn every_code_and_level_is_a_label_value() {
        let samples = parse(&text(&found(Code::ALL)));
        for code in Code::ALL {
            let (code, level) = (code.word(), code.level().word());
            assert_eq!(
                samples[&format!("kdump_loader_findings{{code=\"{code}\",level=\"{level}\"}}")],
                1.0
            );
        }
    }

    #[test]
    fn file_is_replaced_whole_and_a_new_one_is_readable_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kdump.prom");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write(&path, &report()).unwrap();
        assert_eq!(mode(), 0o644);
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, &report()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text(&report()));
        assert_eq!(mode(), 0o640, "an existing file keeps its permissions");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
        let nowhere = directory.path().join("nowhere/kdump.prom");
        assert!(write(&nowhere, &report()).unwrap_err().to_string().contains("nowhere/kdump.prom"));
    }

    #[test]
    fn link_in_place_of_the_file_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, path) = (directory.path().join("shadow"), directory.path().join("kdump.prom"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        assert!(write(&path, &report()).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}

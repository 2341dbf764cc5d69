//! Tables and JSON of images around either kind of purgatory.

use handoff::black_box::PrintkLog;

use super::*;

fn summary() -> Summary {
    Summary {
        identity: hex(&[0xab; 32]),
        purgatory: OURS.into(),
        entry: 0x3300_0000,
        crash_region: SpanSummary { start: 0x3000_0000, len: 256 << 20 },
        segments: vec![
            SegmentSummary {
                name: "elfcorehdr".into(),
                start: 0x3000_0000,
                len: 921_600,
                file_len: 400,
            },
            SegmentSummary {
                name: "purgatory".into(),
                start: 0x3300_0000,
                len: 0x10000,
                file_len: 0xfff0,
            },
        ],
        regions: vec![RegionSummary {
            name: "purgatory".into(),
            start: 0x3300_0000,
            len: 5 << 20,
            file_len: 5 << 20,
            first_leaf: 0,
            leaf_count: 20,
        }],
        command_line: "nr_cpus=1 purgatory.report=".into(),
        dropped: Vec::new(),
        console_port: Some(0x3f8),
        confidential: None,
        by_block: Some(BlockSummary {
            block: SpanSummary { start: 0x3300_8000, len: 0x380 },
            leaf_table: SpanSummary { start: 0x3300_9000, len: 640 },
            leaf_size: 256 << 10,
            report: Some(SpanSummary { start: 0x32ff_f04d, len: 128 }),
            engine: "sha-ni".into(),
            on_corrupt: "reset".into(),
            reset_delay_ms: 2500,
            black_box: Some(BlackBoxSummary {
                generation: 41,
                records: vec![0x3400_0000, 0x3800_0000],
                log_copies: vec![SpanSummary { start: 0x3400_1000, len: 0x91000 }],
                log: Some((&log()).into()),
                no_log: None,
            }),
            signals: Some(SignalSummary { pvpanic: Some(0x505), ipmi: Some(0xca2) }),
        }),
    }
}

/// A printk ring buffer of 128 KiB of text.
fn log() -> PrintkLog {
    crate::machine::example::machine().printk.unwrap().to_wire()
}

/// The same around kexec-tools' purgatory.
fn foreign() -> Summary {
    let region = |name: &str, start, len| RegionSummary {
        name: name.into(),
        start,
        len,
        file_len: len,
        first_leaf: 0,
        leaf_count: 0,
    };
    Summary {
        purgatory: "kexec-tools".into(),
        regions: vec![
            region("kernel", 0x3200_0000, 5 << 20),
            region("command-line", 0x32ff_f000, 4096),
        ],
        command_line: "nr_cpus=1".into(),
        console_port: None,
        confidential: Some(GuestSummary {
            kind: "sev_es".into(),
            evidence: "CPUID leaf 0x8000001f".into(),
        }),
        by_block: None,
        ..summary()
    }
}

#[test]
fn table_has_a_line_per_segment_and_the_facts_below() {
    let expected = "\
segment                     first               last       memory         file
elfcorehdr             0x30000000         0x300e0fff       921600          400
purgatory              0x33000000         0x3300ffff        65536        65520

crash region   0x30000000-0x3fffffff, 0.9 of 256.0 MiB used
entry          0x33000000
purgatory      kdump-purgatory
digest         sha-ni, 20 leaves of 256 KiB, 5.0 MiB
console        8250 at 0x3f8
confidential   no
if corrupt     reset after 2.5 s
command line   nr_cpus=1 purgatory.report=
report         0x32fff04d
black box      number 41, records at 0x34000000 0x38000000
kernel log     576.2 KiB, copied to 0x34001000
signals        pvpanic 0x505, ipmi 0xca2
identity       abababababababababababababababababababababababababababababababab
";
    assert_eq!(summary().to_string(), expected);
}

#[test]
fn table_says_what_is_missing_of_the_black_box() {
    let mut summary = summary();
    let block = summary.by_block.as_mut().unwrap();
    block.signals = None;
    let black_box = block.black_box.as_mut().unwrap();
    (black_box.log, black_box.no_log) = (None, Some("there is no room".into()));
    let table = summary.to_string();
    assert!(table.contains("\nkernel log     not kept: there is no room\nsignals        none\n"));
    summary.by_block.as_mut().unwrap().black_box = None;
    let table = summary.to_string();
    assert!(table.contains("\nblack box      none\nsignals        none\n"), "{table}");
}

#[test]
fn table_of_a_foreign_purgatory_shows_what_it_does_on_corruption() {
    let expected = "\
purgatory      kexec-tools
digest         one over 5.0 MiB with zeroes: kernel, command-line
console        none
confidential   sev_es, by CPUID leaf 0x8000001f
if corrupt     as the purgatory was built; foreign purgatories hang
command line   nr_cpus=1
identity       abababababababababababababababababababababababababababababababab
";
    let table = foreign().to_string();
    assert_eq!(table.split_once("entry          0x33000000\n").unwrap().1, expected);
}

#[test]
fn summary_survives_json() {
    for summary in [summary(), foreign()] {
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    }
}

#[test]
fn summary_without_the_name_of_a_purgatory_means_ours() {
    let mut json = serde_json::to_value(summary()).unwrap();
    json.as_object_mut().unwrap().remove("purgatory").unwrap();
    assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary());
}

#[test]
fn sizes_have_the_largest_unit_that_fits() {
    let said = |bytes| size(bytes);
    assert_eq!(
        [said(0), said(1), said(1023), said(1024), said(1536)],
        ["0 bytes", "1 byte", "1023 bytes", "1 KiB", "1.5 KiB"]
    );
    assert_eq!([said(256 << 20), said(u64::MAX)], ["256 MiB", "16.0 EiB"]);
}

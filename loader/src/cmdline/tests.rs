//! Parameters that are appended, and lines that are refused.

use proptest::prelude::*;

use super::*;

/// Debian's.
const CMDLINE_SIZE: u32 = 2047;

fn composed(base: &str) -> String {
    let line = compose(base.as_bytes(), CMDLINE_SIZE, 0x2f00_0000, None, true).unwrap();
    let (nul, text) = line.bytes.split_last().unwrap();
    assert_eq!(*nul, 0);
    let text = str::from_utf8(text).unwrap();
    let field = " ".repeat(report::FIELD_LEN);
    let Some(ReportField { offset: at, lacking: 0 }) = line.report else {
        panic!("{base}: {line:?}")
    };
    assert_eq!(&text[at..][..report::FIELD_LEN], field, "{base}");
    assert!(text[..at].ends_with(report::PARAMETER), "{base}");
    text.replace(&field, "<FIELD>")
}

#[test]
fn parameters_are_appended_before_those_of_init() {
    for (base, expected) in [
        ("quiet", "quiet elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        ("", "elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        ("  a=1\tb  ", "a=1\tb elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        (
            "quiet -- --verbose x",
            "quiet elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- --verbose x",
        ),
        ("-- x", "elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- x"),
        ("a=\"b -- c\" d", "a=\"b -- c\" d elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        ("a --b", "a --b elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        (
            "a -- elfcorehdr=1 \"",
            "a elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- elfcorehdr=1 \"",
        ),
    ] {
        assert_eq!(composed(base), expected);
    }
}

#[test]
fn purgatory_without_reports_gets_no_field() {
    for (base, expected) in [
        ("quiet", "quiet elfcorehdr=0x2f000000"),
        ("", "elfcorehdr=0x2f000000"),
        ("quiet -- --verbose x", "quiet elfcorehdr=0x2f000000 -- --verbose x"),
    ] {
        let line = compose(base.as_bytes(), CMDLINE_SIZE, 0x2f00_0000, None, false).unwrap();
        assert_eq!((line.bytes, line.report), (format!("{expected}\0").into_bytes(), None));
    }
}

#[test]
fn rsdp_is_passed_where_it_is_given() {
    let line = compose(b"quiet", CMDLINE_SIZE, 0x1_2f00_0000, Some(0x3ffd_e014), true).unwrap();
    assert!(
        line.bytes
            .starts_with(b"quiet elfcorehdr=0x12f000000 acpi_rsdp=0x3ffde014 purgatory.report=")
    );
}

/// How much the loader adds, with the report and without, and the NUL.
const ADDED: [usize; 2] = [
    " elfcorehdr=0x2f000000".len() + report::PARAMETER.len() + report::FIELD_LEN + 1,
    " elfcorehdr=0x2f000000".len() + 1,
];

#[test]
fn line_of_exactly_the_size_has_the_report_and_one_byte_more_costs_the_report_alone() {
    let [with, without] = ADDED.map(|added| CMDLINE_SIZE as usize - added);
    let composed = |len| compose("x".repeat(len).as_bytes(), CMDLINE_SIZE, 0x2f00_0000, None, true);
    let line = composed(with).unwrap();
    let offset = line.bytes.len() - 1 - report::FIELD_LEN;
    assert_eq!(
        (line.bytes.len(), line.report),
        (CMDLINE_SIZE as usize, Some(ReportField { offset, lacking: 0 }))
    );
    for len in [with + 1, with + 128, without] {
        let line = composed(len).unwrap();
        let end = line.bytes.iter().position(|&byte| byte == 0).unwrap();
        assert_eq!(
            line.bytes[..end],
            *format!("{} elfcorehdr=0x2f000000", "x".repeat(len)).as_bytes(),
            "nothing is cut"
        );
        assert_eq!(line.report, Some(ReportField { offset: end + 1, lacking: len - with }));
        assert_eq!(
            line.bytes[end + 1..],
            [b' '; report::FIELD_LEN],
            "the purgatory writes where the kernel does not read"
        );
    }
    assert!(matches!(composed(without + 1), Err(Error::TooLong { excess: 1, .. })));
}

#[test]
fn line_that_does_not_even_fit_without_the_report_is_refused_with_both_numbers() {
    let len = CMDLINE_SIZE as usize - ADDED[1] + 3;
    let error =
        compose("x".repeat(len).as_bytes(), CMDLINE_SIZE, 0x2f00_0000, None, true).unwrap_err();
    assert_eq!(
        error,
        Error::TooLong { needed: 2050, cmdline_size: 2047, base: len, added: ADDED[1], excess: 3 }
    );
    let message = error.to_string();
    assert!(
        message.contains("needs 2050")
            && message.contains("reads 2047")
            && message.contains("shorten it by 3"),
        "{message}"
    );
}

#[test]
fn bytes_that_are_not_text_are_passed_on_unchanged() {
    let line =
        compose(b"root=LABEL=\xe9\xff \xc3\xa9=1", CMDLINE_SIZE, 0x1000, None, false).unwrap();
    assert_eq!(line.bytes, b"root=LABEL=\xe9\xff \xc3\xa9=1 elfcorehdr=0x1000\0");
    assert_eq!(text(&line.bytes), "root=LABEL=\\xe9\\xff \u{e9}=1 elfcorehdr=0x1000\0");
    assert_eq!(for_kernel(b" \xff ", CMDLINE_SIZE, false).unwrap().as_bytes(), b"\xff");
}

#[test]
fn line_that_the_kernel_would_misread_is_refused() {
    let ours = |word: &str, index: usize| Error::Ours { word: word.into(), reason: OURS[index].1 };
    for (base, error) in [
        ("a\0b", Error::Character { character: '\0', at: 1 }),
        ("a b\nc", Error::Character { character: '\n', at: 3 }),
        ("é\u{7f}", Error::Character { character: '\u{7f}', at: 2 }),
        ("-- \x1b", Error::Character { character: '\x1b', at: 3 }),
        ("a=\"b c", Error::OpenQuote { at: 2 }),
        ("a elfcorehdr=0x1000", ours("elfcorehdr=0x1000", 0)),
        ("\"elfcorehdr=0x1000\"", ours("\"elfcorehdr=0x1000\"", 0)),
        ("purgatory.report=ok b", ours("purgatory.report=ok", 1)),
    ] {
        assert_eq!(compose(base.as_bytes(), CMDLINE_SIZE, 0, None, true), Err(error), "{base:?}");
    }
    assert!(
        compose("root=LABEL=é crash.elfcorehdr=1".as_bytes(), CMDLINE_SIZE, 0, None, true).is_ok()
    );
}

proptest! {
    #[test]
    fn composed_line_fits_and_keeps_every_word(base in "[a-z=\" -]{0,120}", size in 0..400u32) {
        if let Ok(CommandLine { bytes, report: Some(report) }) =
            compose(base.as_bytes(), size, 0x1000, None, true)
        {
            let line = bytes.split(|&byte| byte == 0).next().unwrap();
            prop_assert!(line.len() < size as usize);
            prop_assert_eq!(report.lacking > 0, report.offset > line.len());
            prop_assert_eq!(
                &bytes[report.offset..][..report::FIELD_LEN],
                [b' '; report::FIELD_LEN]
            );
            let (words, end) = parameters(line);
            let (before, before_end) = parameters(trimmed(base.as_bytes()));
            prop_assert!(
                before.iter().all(|word| words.iter().any(|other| other.text == word.text)),
                "{}",
                text(line)
            );
            prop_assert!(
                words.iter().any(|word| word.text == b"elfcorehdr=0x1000"),
                "{}",
                text(line)
            );
            prop_assert_eq!(&line[end..], &trimmed(base.as_bytes())[before_end..]);
        }
    }
}

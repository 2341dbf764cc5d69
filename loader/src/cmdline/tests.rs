//! What is appended, dropped and refused, and which console is found.

use proptest::prelude::*;

use super::*;

/// Debian's.
const CMDLINE_SIZE: u32 = 2047;

fn composed(base: &str) -> String {
    let line = compose(base, CMDLINE_SIZE, 0x2f00_0000, None, true).unwrap();
    let (nul, text) = line.bytes.split_last().unwrap();
    assert_eq!(*nul, 0);
    let text = str::from_utf8(text).unwrap();
    let field = " ".repeat(report::FIELD_LEN);
    let at = line.report_offset.unwrap();
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
        ("quiet -- --verbose x", "quiet elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- --verbose x"),
        ("-- x", "elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- x"),
        ("a=\"b -- c\" d", "a=\"b -- c\" d elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        ("a --b", "a --b elfcorehdr=0x2f000000 purgatory.report=<FIELD>"),
        ("a -- elfcorehdr=1 \"", "a elfcorehdr=0x2f000000 purgatory.report=<FIELD> -- elfcorehdr=1 \""),
    ] {
        assert_eq!(composed(base), expected);
    }
}

#[test]
fn there_is_no_field_for_a_report_that_nobody_makes() {
    for (base, expected) in [
        ("quiet", "quiet elfcorehdr=0x2f000000"),
        ("", "elfcorehdr=0x2f000000"),
        ("quiet -- --verbose x", "quiet elfcorehdr=0x2f000000 -- --verbose x"),
    ] {
        let line = compose(base, CMDLINE_SIZE, 0x2f00_0000, None, false).unwrap();
        assert_eq!((line.bytes, line.report_offset), (format!("{expected}\0").into_bytes(), None));
    }
}

#[test]
fn rsdp_is_passed_where_it_is_given() {
    let line = compose("quiet", CMDLINE_SIZE, 0x1_2f00_0000, Some(0x3ffd_e014), true).unwrap();
    assert!(line.bytes.starts_with(b"quiet elfcorehdr=0x12f000000 acpi_rsdp=0x3ffde014 purgatory.report="));
}

#[test]
fn line_of_exactly_the_size_passes_and_one_byte_more_is_refused_with_both_numbers() {
    let added = composed("x").replace("<FIELD>", &" ".repeat(report::FIELD_LEN)).len(); // and the NUL, instead of the x
    let longest = "x".repeat(CMDLINE_SIZE as usize - added);
    let line = compose(&longest, CMDLINE_SIZE, 0x2f00_0000, None, true).unwrap();
    assert_eq!(line.bytes.len(), CMDLINE_SIZE as usize);
    let error = compose(&format!("{longest}xyz"), CMDLINE_SIZE, 0x2f00_0000, None, true).unwrap_err();
    let expected = Error::TooLong { needed: 2050, cmdline_size: 2047, base: longest.len() + 3, added, excess: 3 };
    assert_eq!(error, expected);
    let text = error.to_string();
    assert!(text.contains("needs 2050") && text.contains("reads 2047") && text.contains("shorten it by 3"), "{text}");
}

#[test]
fn what_the_kernel_would_misread_is_refused() {
    let ours = |word: &str, index: usize| Error::Ours { word: word.into(), reason: OURS[index].1 };
    for (base, error) in [
        ("a\0b", Error::Character { character: '\0', at: 1 }),
        ("a b\nc", Error::Character { character: '\n', at: 3 }),
        ("é\u{7f}", Error::Character { character: '\u{7f}', at: 2 }),
        ("x=\u{fffd}", Error::Character { character: '\u{fffd}', at: 2 }),
        ("a=\"b c", Error::OpenQuote { at: 2 }),
        ("a elfcorehdr=0x1000", ours("elfcorehdr=0x1000", 0)),
        ("\"elfcorehdr=0x1000\"", ours("\"elfcorehdr=0x1000\"", 0)),
        ("purgatory.report=ok b", ours("purgatory.report=ok", 1)),
    ] {
        assert_eq!(compose(base, CMDLINE_SIZE, 0, None, true), Err(error), "{base:?}");
    }
    assert!(compose("root=LABEL=é crash.elfcorehdr=1", CMDLINE_SIZE, 0, None, true).is_ok());
}

#[test]
fn reuse_drops_what_concerns_the_running_kernel_only() {
    for (running, append, expected) in [
        ("BOOT_IMAGE=/vmlinuz ro crashkernel=256M quiet", "nr_cpus=1", "ro quiet nr_cpus=1"),
        ("crashkernel=512M,high crashkernel=72M,low a", "", "a"),
        ("elfcorehdr=0x1 purgatory.report=ok,engine:soft   a", " b ", "a b"),
        ("a=\"x crashkernel=1M y\" \"crashkernel=2M\" b", "", "a=\"x crashkernel=1M y\" b"),
        ("ro -- crashkernel=mine", "irqpoll", "ro irqpoll -- crashkernel=mine"),
        ("nocrashkernel=1 crashkernel", "", "nocrashkernel=1"),
        ("", "", ""),
    ] {
        assert_eq!(reuse(running, append), expected, "{running:?} and {append:?}");
    }
}

#[test]
fn last_serial_console_is_found() {
    for (line, port) in [
        ("console=ttyS0", Some(0x3f8)),
        ("console=ttyS1,115200n8", Some(0x2f8)),
        ("console=ttyS2 console=tty0", Some(0x3e8)),
        ("console=ttyS0 console=ttyS3", Some(0x2e8)),
        ("console=ttyS4", None),
        ("console=ttyS10", None),
        ("console=ttyS", None),
        ("console=tty0", None),
        ("console", None),
        ("console=uart8250,io,0x1000,9600", Some(0x1000)),
        ("console=uart,io,0x3f8", Some(0x3f8)),
        ("console=uart8250,mmio,0xfe000000", None),
        ("console=uart8250,io,0x10000", None),
        ("console=uart8250,io,0xfff9", None),
        ("console=uart8250,io,0x0", None),
        ("console=uart8250,io", None),
        ("earlycon=uart8250,io,0x2f8,115200", Some(0x2f8)),
        ("earlycon", None),
        ("earlycon=ttyS0", None),
        ("earlyprintk=serial", Some(0x3f8)),
        ("earlyprintk=serial,keep", Some(0x3f8)),
        ("earlyprintk=serial,ttyS1,115200", Some(0x2f8)),
        ("earlyprintk=serial,0xe000,115200", Some(0xe000)),
        ("earlyprintk=ttyS1,115200", Some(0x2f8)),
        ("earlyprintk=ttyS2", Some(0x3f8)),
        ("earlyprintk=vga", None),
        ("earlyprintk", None),
        ("xconsole=ttyS0", None),
        ("a=\"console=ttyS0\"", None),
        ("\"console=ttyS0\"", Some(0x3f8)),
        ("quiet -- console=ttyS0", None),
    ] {
        assert_eq!(console_port(line), port, "{line}");
    }
}

proptest! {
    #[test]
    fn composed_line_fits_and_keeps_every_word(base in "[a-z=\" -]{0,120}", size in 0..400u32) {
        if let Ok(line) = compose(&base, size, 0x1000, None, true) {
            prop_assert!(line.bytes.len() <= size as usize);
            let text = str::from_utf8(&line.bytes[..line.bytes.len() - 1]).unwrap();
            let names: Vec<_> = words(text).iter().map(|word| word.text.to_owned()).collect();
            prop_assert!(words(base.trim()).iter().all(|word| names.iter().any(|name| name == word.text)), "{}", text);
            let end = names.iter().position(|name| name == "--").unwrap_or(names.len());
            prop_assert!(names[..end].iter().any(|name| name == "elfcorehdr=0x1000"), "{}", text);
        }
    }
}

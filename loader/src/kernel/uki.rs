//! `[2b]` A unified kernel image: a PE file with a bzImage, an initrd and a command line as
//! sections (UAPI Group, "Unified Kernel Image").
//!
//! [`FORMAT`] takes the kernel out. [`defaults`] returns the initrd and the command line, for
//! callers without their own.

use std::ops::Range;

use object::LittleEndian;
use object::read::pe::PeFile64;

use super::{CaptureKernel, Defect, Format, Measure, bzimage, describe, format_of};

/// The row of [`super::FORMATS`].
pub const FORMAT: Format = Format { name: "unified kernel image", probe, measure, parse };

/// Names of the sections in the specification. An image with several profiles has several of one
/// name; the first counts.
const LINUX: &str = ".linux";
const INITRD: &str = ".initrd";
const COMMAND_LINE: &str = ".cmdline";

/// The parts of the image other than the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults<'a> {
    /// The embedded initrd, if there is one.
    pub initrd: Option<&'a [u8]>,
    /// The embedded command line, if there is one.
    pub command_line: Option<&'a [u8]>,
}

/// The parts of the image other than the kernel; empty if the file is not a unified kernel image,
/// or damaged.
pub fn defaults(bytes: &[u8]) -> Defaults<'_> {
    if !probe(bytes) {
        return Defaults::default();
    }
    let section = |name| {
        section(bytes, name)
            .and_then(|range| bytes.get(range))
            .filter(|content| !content.is_empty())
    };
    Defaults { initrd: section(INITRD), command_line: section(COMMAND_LINE).map(without_end) }
}

/// A command line without the NUL, the line feed and the spaces after it.
fn without_end(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\0' | b'\n' | b' '] = line {
        line = rest;
    }
    line
}

fn probe(bytes: &[u8]) -> bool {
    section(bytes, LINUX).is_some()
}

/// Measures the image by its sections. Its kernel needs more memory than it has bytes, but only the
/// kernel's own head shows how much.
fn measure(head: &[u8]) -> Option<Measure> {
    let len = |name| section(head, name).map_or(0, |range| range.len() as u64);
    let sections = PeFile64::parse(head).ok()?.section_table();
    let ends = sections.iter().map(|section| {
        u64::from(section.pointer_to_raw_data.get(LittleEndian))
            + u64::from(section.size_of_raw_data.get(LittleEndian))
    });
    Some(Measure { wanted: ends.max(), memory: len(LINUX), initrd: len(INITRD) })
}

fn parse(bytes: &[u8]) -> Result<CaptureKernel<'_>, Defect> {
    let inside = |section, defect| Defect::Inside { section, defect: Box::new(defect) };
    for name in [LINUX, INITRD, COMMAND_LINE] {
        if let Some(range) = section(bytes, name).filter(|range| range.end > bytes.len()) {
            return Err(Defect::Truncated { len: bytes.len(), part: name, end: range.end as u64 });
        }
    }
    let range = section(bytes, LINUX).expect("it was probed");
    let linux = &bytes[range];
    if format_of(linux) != Some(bzimage::FORMAT.name) {
        let (found, known) = (describe(linux), bzimage::FORMAT.name.to_owned());
        return Err(inside(LINUX, Defect::UnknownFormat { found, known }));
    }
    (bzimage::FORMAT.parse)(linux).map_err(|defect| inside(LINUX, defect))
}

/// Where the headers say that a section's content is, without the padding to the file's alignment.
fn section(bytes: &[u8], name: &str) -> Option<Range<usize>> {
    let file = PeFile64::parse(bytes).ok()?;
    let section =
        file.section_table().iter().find(|section| section.raw_name() == name.as_bytes())?;
    let (content, len) = (section.pointer_to_raw_data.get(LittleEndian), section.pe_file_range().1);
    Some(content as usize..content as usize + len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{bzimage, pattern, uki};
    use crate::kernel;
    use crate::request::InputFile;

    fn refusal(bytes: Vec<u8>) -> String {
        kernel::parse(&InputFile { path: "uki".into(), bytes }).unwrap_err().defect.to_string()
    }

    #[test]
    fn kernel_initrd_and_command_line_come_out_unchanged() {
        let (linux, initrd) = (bzimage(&pattern(50_000)), pattern(777));
        let bytes = uki(&[
            (".osrel", b"ID=x"),
            (LINUX, &linux),
            (INITRD, &initrd),
            (COMMAND_LINE, b"quiet ro\n\0"),
        ]);
        assert_eq!(kernel::format_of(&bytes), Some(FORMAT.name));
        let parsed = parse(&bytes).unwrap();
        assert_eq!(parsed, (kernel::bzimage::FORMAT.parse)(&linux).unwrap());
        assert_eq!(parsed.file, linux, "without the padding after it");
        let expected =
            Defaults { initrd: Some(initrd.as_slice()), command_line: Some(b"quiet ro") };
        assert_eq!(defaults(&bytes), expected);
    }

    #[test]
    fn image_of_a_kernel_alone_has_no_defaults() {
        let bytes = uki(&[(LINUX, &bzimage(&pattern(50_000))), (INITRD, b"")]);
        assert!(parse(&bytes).is_ok());
        assert_eq!(defaults(&bytes), Defaults::default());
        assert_eq!(defaults(b"MZ"), Defaults::default());
    }

    #[test]
    fn first_of_several_profiles_counts() {
        let linux = bzimage(&pattern(50_000));
        let bytes = uki(&[
            (LINUX, &linux),
            (COMMAND_LINE, b"one"),
            (".profile", b"ID=2"),
            (COMMAND_LINE, b"two"),
        ]);
        assert_eq!(defaults(&bytes).command_line, Some(&b"one"[..]));
    }

    #[test]
    fn error_names_the_section_that_is_damaged() {
        assert!(
            refusal(uki(&[(LINUX, b"\x1f\x8b\x08 and more")]))
                .contains(".linux section: it is not a bzImage, but gzip")
        );
        let mut old = bzimage(&pattern(50_000));
        old[0x206] = 0x0b;
        assert!(
            refusal(uki(&[(LINUX, &old)])).contains(".linux section: its boot protocol is 2.11")
        );
        let whole = uki(&[(LINUX, &bzimage(&pattern(50_000))), (INITRD, &pattern(5000))]);
        let cut = refusal(whole[..whole.len() - 2000].to_vec());
        assert!(cut.contains("truncated") && cut.contains(INITRD), "{cut}");
    }

    #[test]
    fn image_in_an_image_is_refused() {
        let inner = uki(&[(LINUX, &bzimage(&pattern(50_000)))]);
        assert!(refusal(uki(&[(LINUX, &inner)])).contains(".linux section: it is not a bzImage"));
    }

    #[test]
    fn efi_program_without_a_kernel_is_not_a_unified_kernel_image() {
        let bytes = uki(&[(".text", &pattern(600))]);
        assert!(!probe(&bytes));
        assert!(refusal(bytes).contains("an EFI program"));
    }

    #[test]
    fn no_byte_of_the_headers_makes_it_panic() {
        let good = uki(&[
            (LINUX, &bzimage(&pattern(50_000))),
            (INITRD, &pattern(777)),
            (COMMAND_LINE, b"quiet"),
        ]);
        for at in 0..0x400 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = kernel::parse(&InputFile { path: "uki".into(), bytes: bytes.clone() });
                let _ = defaults(&bytes);
            }
        }
    }
}

//! Files that are not kernels, each by its format.

use super::*;

fn message(bytes: &[u8]) -> String {
    let file = InputFile { path: "/boot/it".into(), bytes: bytes.to_vec() };
    let error = parse(&file).unwrap_err();
    assert_eq!(error.to_string(), "/boot/it cannot be the capture kernel");
    error.defect.to_string()
}

#[test]
fn file_of_another_format_is_named() {
    let mut efi = vec![0; 0x400];
    efi[..2].copy_from_slice(b"MZ");
    efi[0x3c] = 0x80;
    efi[0x80..0x84].copy_from_slice(b"PE\0\0");
    let padded = |signature: &[u8]| [signature, &[0; 0x400]].concat();
    for (bytes, name) in [
        (padded(b"\x7fELF"), "ELF"),
        (padded(b"\x1f\x8b"), "gzip"),
        (padded(b"\x28\xb5\x2f\xfd"), "zstd"),
        (padded(b"\xfd7zXZ\0"), "xz"),
        (padded(b"BZh9"), "bzip2"),
        (padded(b"\x04\x22\x4d\x18"), "lz4"),
        (padded(b"070701"), "cpio"),
        (efi, "an EFI program"),
        (padded(b"root:x:0:0"), "unknown format"),
    ] {
        let text = message(&bytes);
        assert!(
            text.starts_with("it is not a unified kernel image or vmlinux or bzImage, but ")
                && text.contains(name),
            "{name}: {text}"
        );
    }
}

#[test]
fn short_file_of_another_format_is_not_called_truncated() {
    assert!(message(b"\x1f\x8b\x08").contains("gzip"));
    assert!(message(b"MZ").contains("truncated"));
    assert_eq!(message(b""), "the file is empty: copy it again");
}

#[test]
fn efi_header_offset_beyond_the_file_is_harmless() {
    let mut bytes = vec![0xff; 0x400];
    bytes[..2].copy_from_slice(b"MZ");
    assert!(message(&bytes).contains("unknown format"));
}

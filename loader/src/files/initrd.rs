//! `[0c]` Whether the capture kernel would unpack a file as its initrd.
//!
//! *On entry* the file's bytes. *On exit* they begin as the kernel requires of an initramfs
//! (`unpack_to_rootfs`, init/initramfs.c), or an error says what they are instead.
//!
//! The rest is not checked. A truncated archive makes the capture kernel panic.

use std::path::{Path, PathBuf};

/// Magic numbers of cpio archives (`do_header`, init/initramfs.c).
const CPIO: [&[u8]; 2] = [b"070701", b"070702"];
/// After zeroes, an archive must begin at a multiple of this.
const CPIO_ALIGNMENT: usize = 4;

/// Magic numbers of the compressions that Linux can be built with (`compressed_formats`,
/// lib/decompress.c). For lz4 it is the legacy format.
const COMPRESSED: [[u8; 2]; 8] = [
    [0x1f, 0x8b], // gzip
    [0x1f, 0x9e], // gzip, older
    [0x42, 0x5a], // bzip2
    [0x5d, 0x00], // lzma
    [0xfd, 0x37], // xz
    [0x89, 0x4c], // lzo
    [0x02, 0x21], // lz4
    [0x28, 0xb5], // zstd
];

/// Files that are passed as an initrd by mistake: signature, and what the file is.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF file (ELF magic, 7f 45 4c 46), perhaps a kernel or a program"),
    (b"MZ", "a kernel or an EFI program, perhaps the capture kernel"),
    (b"070707", "a cpio archive of an old format; make it with `cpio -H newc`"),
    (
        b"\x04\x22\x4d\x18",
        "lz4-compressed in a format that the kernel cannot unpack; compress it with `lz4 -l`",
    ),
    (b"hsqs", "a squashfs image"),
    (b"PK\x03\x04", "a zip archive"),
    (b"!<arch>\n", "an ar archive, like a Debian package"),
];

/// A file that is not an initrd.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} cannot be the initrd: it is {found}; use a cpio archive, plain or compressed by gzip, \
     bzip2, xz, lzma, lzo, lz4 or zstd",
    path.display()
)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What it is instead.
    pub found: &'static str,
}

/// Rejects bytes that the capture kernel would not unpack. `path` is for the message.
pub(crate) fn check(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if begins_an_initramfs(bytes) {
        return Ok(());
    }
    let other = OTHERS.iter().find(|(signature, _)| bytes.starts_with(signature));
    let found = match other {
        Some((_, found)) => found,
        None if bytes.is_empty() => "empty",
        None if bytes.iter().all(|&byte| byte == 0) => "all zeroes",
        None => "of an unknown format, or damaged",
    };
    Err(Error { path: path.to_owned(), found })
}

/// The kernel skips zeroes before the archive, so they are skipped here.
fn begins_an_initramfs(bytes: &[u8]) -> bool {
    let zeroes = bytes.iter().take_while(|&&byte| byte == 0).count();
    let rest = &bytes[zeroes..];
    let cpio =
        zeroes.is_multiple_of(CPIO_ALIGNMENT) && CPIO.iter().any(|magic| rest.starts_with(magic));
    cpio || COMPRESSED.iter().any(|magic| rest.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> Result<(), String> {
        check(Path::new("initrd.img"), bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn every_format_that_the_kernel_unpacks_is_accepted() {
        for magic in CPIO.into_iter().chain(COMPRESSED.iter().map(<[u8; 2]>::as_slice)) {
            assert_eq!(checked(&[magic, b" and more"].concat()), Ok(()), "{magic:x?}");
            assert_eq!(
                checked(&[&[0; 512], magic, b" and more"].concat()),
                Ok(()),
                "{magic:x?} after zeroes"
            );
        }
    }

    #[test]
    fn file_that_the_kernel_would_not_unpack_is_rejected_with_its_format() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (&[0; 4096], "zeroes"),
            (b"\x7fELF\x02\x01\x01", "ELF"),
            (b"MZ\x90\0", "capture kernel"),
            (b"070707", "newc"),
            (b"\x04\x22\x4d\x18", "lz4 -l"),
            (b"\x00\x00070701", "unknown format"),
            (b"#!/bin/sh\n", "unknown format"),
            (b"\x1f", "unknown format"),
        ] {
            let message = checked(bytes).unwrap_err();
            assert!(
                message.contains(word) && message.contains("cpio archive, plain or compressed"),
                "{word}: {message}"
            );
        }
    }
}

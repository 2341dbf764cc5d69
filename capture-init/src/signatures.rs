//! What a partition holds, before a dump overwrites it.
//!
//! *On entry* an open disk, partition or image of one. *On exit* the content that a raw dump would
//! destroy, in words. Only a partition whose start is zeroes, or that has an earlier dump, may be
//! overwritten.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::raw::{LOG_OFFSET, RawHeader};

/// Bytes at the start that must be zeroes. The last of [`SIGNATURES`] is in them.
const START: usize = 128 << 10;

/// The name of the first filesystem that /init mounts.
pub const EXT: &str = "an ext2, ext3 or ext4 filesystem";
/// The name of the other one.
pub const XFS: &str = "an xfs filesystem";

/// A member of a ZFS pool: the header of its label's name-value list, in XDR, with unique names
/// (`nvs_header_t`, module/nvpair/nvpair.c of OpenZFS). ZFS leaves the first 8 KiB as they are, so an
/// earlier dump's header survives there.
const ZFS: (&str, usize, &[u8]) =
    ("a member of a ZFS pool", 16 << 10, b"\x01\x01\0\0\0\0\0\0\0\0\0\x01");
/// Known content: name, offset, bytes. From libblkid's tables of magic numbers.
const SIGNATURES: [(&str, usize, &[u8]); 13] = [
    ZFS,
    (EXT, 0x438, b"\x53\xef"),
    (XFS, 0, b"XFSB"),
    ("a btrfs filesystem", 0x10040, b"_BHRfS_M"),
    ("an f2fs filesystem", 0x400, b"\x10\x20\xf5\xf2"),
    ("a LUKS volume", 0, b"LUKS\xba\xbe"),
    ("an LVM physical volume", 0x218, b"LVM2 001"),
    ("swap space", 0xff6, b"SWAPSPACE2"),
    ("swap space", 0xff6, b"SWAP-SPACE"),
    ("an MD RAID member", 0x1000, b"\xfc\x4e\x2b\xa9"),
    ("an MD RAID member", 0, b"\xfc\x4e\x2b\xa9"),
    ("a GUID partition table", 0x200, b"EFI PART"),
    ("a partition table or a boot sector", 0x1fe, b"\x55\xaa"),
];

/// What the partition holds that is not an earlier dump. `None`: a dump may overwrite it.
pub fn content(partition: &File) -> io::Result<Option<&'static str>> {
    let mut start = vec![0; START];
    let mut len = 0;
    while len < START {
        match partition.read_at(&mut start[len..], len as u64)? {
            0 => break,
            read => len += read,
        }
    }
    start.truncate(len);
    Ok(of(&start))
}

/// Whether the partition holds the content of this name, whatever else it seems to hold.
pub fn holds(partition: &File, name: &str) -> io::Result<bool> {
    for (_, at, magic) in SIGNATURES.iter().filter(|(of, ..)| *of == name) {
        let mut bytes = vec![0; magic.len()];
        match partition.read_exact_at(&mut bytes, *at as u64) {
            Ok(()) if bytes == *magic => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

fn of(start: &[u8]) -> Option<&'static str> {
    let is_ours = RawHeader::is_ours(start);
    // The header and the first byte of the log are text. What follows can have any bytes. No dump has
    // the twelve bytes of a ZFS label at that one place by chance.
    let tells =
        |known: &(&str, usize, &[u8])| !is_ours || known.1 as u64 <= LOG_OFFSET || *known == ZFS;
    let known = SIGNATURES.iter().find(|known| {
        let (_, at, magic) = **known;
        tells(known) && start.get(at..).is_some_and(|rest| rest.starts_with(magic))
    });
    match known {
        Some((name, ..)) => Some(name),
        None if is_ours || start.iter().all(|&byte| byte == 0) => None,
        None => Some("data of an unknown kind"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn zeroes() -> Vec<u8> {
        vec![0; START]
    }

    #[test]
    fn partition_of_zeroes_may_be_overwritten() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(content(&file).unwrap(), None, "an empty file");
        file.set_len(1 << 30).unwrap();
        assert_eq!(content(&file).unwrap(), None);
        file.write_all_at(b"x", START as u64 - 1).unwrap();
        assert_eq!(content(&file).unwrap(), Some("data of an unknown kind"));
    }

    #[test]
    fn earlier_dump_may_be_overwritten() {
        let header = RawHeader { log: None, dump: None, record: Record::new(0, 0) };
        let mut start = zeroes();
        start[..crate::RAW_HEADER_LEN].copy_from_slice(&header.to_bytes());
        start[0x10040..0x10048].copy_from_slice(b"_BHRfS_M");
        assert_eq!(of(&start), None, "a log may have any bytes");
    }

    #[test]
    fn content_over_an_earlier_dump_is_found() {
        let header = RawHeader { log: None, dump: None, record: Record::new(0, 0) };
        for (name, at, magic) in SIGNATURES.into_iter().filter(|(_, at, _)| *at != 0x10040) {
            let mut start = zeroes();
            start[..crate::RAW_HEADER_LEN].copy_from_slice(&header.to_bytes());
            start[at..at + magic.len()].copy_from_slice(magic);
            assert_eq!(of(&start), Some(name));
        }
    }

    #[test]
    fn each_signature_is_found_and_named() {
        for (name, at, magic) in SIGNATURES {
            let mut start = zeroes();
            start[at..at + magic.len()].copy_from_slice(magic);
            assert_eq!(of(&start), Some(name));
        }
    }

    #[test]
    fn filesystem_is_found_beside_what_an_older_one_left() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"XFSB", 0).unwrap();
        assert_eq!([EXT, XFS].map(|name| holds(&file, name).unwrap()), [false, true]);
        file.write_all_at(b"\x53\xef", 0x438).unwrap();
        assert_eq!([EXT, XFS].map(|name| holds(&file, name).unwrap()), [true, true]);
    }
}

//! The header of a raw partition: where the kernel log and the dump are.
//!
//! | offset | what |
//! | --- | --- |
//! | 0 | [`RAW_HEADER_LEN`] bytes: this header, as text, padded with zeroes |
//! | [`LOG_OFFSET`] | the crashed kernel's log, as text |
//! | a multiple of [`DUMP_ALIGN`] | the dump |
//!
//! `head -c 4096 /dev/PARTITION` prints the header. It ends with the commands that copy log and
//! dump into files.

use serde::{Deserialize, Serialize};

use crate::record::{Record, State};

/// Bytes of the header: one write of a disk with large sectors.
pub const RAW_HEADER_LEN: usize = 4096;
/// Offset of the log.
pub const LOG_OFFSET: u64 = RAW_HEADER_LEN as u64;
/// The dump begins at a multiple of it. Partitions and `dd bs=1M` are aligned to 1 MiB.
pub const DUMP_ALIGN: u64 = 1 << 20;

/// The first line, with the version.
const FIRST_LINE: &str = "KDUMP-CAPTURE 1\n";

/// The header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawHeader {
    /// The crashed kernel's log, once it is on the medium.
    pub log: Option<Extent>,
    /// The dump, once it has begun. Until it is complete, `len` is all the room that it has.
    pub dump: Option<Extent>,
    /// The capture's record.
    pub record: Record,
}

/// A range of the partition, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// A partition does not begin with such a header.
#[derive(Debug, thiserror::Error)]
pub enum InvalidHeader {
    /// The first line is another.
    #[error("the partition does not begin with the line {:?}", FIRST_LINE.trim_end())]
    NotOurs,
    /// The second line is not JSON of this form.
    #[error("the header of the dump is damaged: {0}")]
    Json(#[from] serde_json::Error),
}

impl RawHeader {
    /// Whether a partition that begins with these bytes belongs to /init, in any version.
    pub fn is_ours(start: &[u8]) -> bool {
        let name = FIRST_LINE.split_inclusive(' ').next().unwrap_or(FIRST_LINE);
        start.starts_with(name.as_bytes())
    }

    /// Reads the first [`RAW_HEADER_LEN`] bytes of a partition.
    pub fn parse(start: &[u8]) -> Result<Self, InvalidHeader> {
        let rest = start.strip_prefix(FIRST_LINE.as_bytes()).ok_or(InvalidHeader::NotOurs)?;
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        Ok(serde_json::from_slice(&rest[..end])?)
    }

    /// The bytes. Of too many troubles, the last are left out.
    pub fn to_bytes(&self) -> [u8; RAW_HEADER_LEN] {
        let mut header = self.clone();
        loop {
            let text = header.text();
            let mut bytes = [0; RAW_HEADER_LEN];
            if let Some(place) = bytes.get_mut(..text.len()) {
                place.copy_from_slice(text.as_bytes());
                return bytes;
            }
            let dropped = header.record.troubles.pop();
            // Without troubles, only the kernel's release is of any length.
            if dropped.is_none() {
                header.record.kernel = None;
            }
        }
    }

    fn text(&self) -> String {
        let json = serde_json::to_string(self).expect("a header has no map and no foreign type");
        let mut text = format!("{FIRST_LINE}{json}\n");
        if let Some(log) = self.log {
            text += &copy("the kernel log", "dmesg.txt", log);
        }
        if let Some(dump) = self.dump {
            let what = match self.record.state {
                State::Complete => "the dump",
                State::Writing | State::Incomplete => "the dump as far as it got",
            };
            text += &copy(what, "vmcore", dump);
        }
        text
    }
}

fn copy(what: &str, file: &str, Extent { offset, len }: Extent) -> String {
    format!(
        "{what}: dd if=PARTITION of={file} bs=1M iflag=skip_bytes,count_bytes \
         skip={offset} count={len}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RawHeader {
        RawHeader {
            log: Some(Extent { offset: LOG_OFFSET, len: 70_000 }),
            dump: Some(Extent { offset: DUMP_ALIGN, len: 1 << 30 }),
            record: Record::new(1_796_000_000, 3_400),
        }
    }

    #[test]
    fn header_is_read_as_it_was_written() {
        let bytes = header().to_bytes();
        assert!(RawHeader::is_ours(&bytes));
        assert_eq!(RawHeader::parse(&bytes).unwrap(), header());
    }

    #[test]
    fn header_says_how_the_dump_is_copied() {
        let bytes = header().to_bytes();
        let text = str::from_utf8(&bytes).unwrap();
        assert!(text.contains("of=dmesg.txt bs=1M iflag=skip_bytes,count_bytes skip=4096 count="));
        assert!(text.contains("the dump as far as it got: dd "), "{text}");
    }

    #[test]
    fn header_with_too_many_troubles_keeps_the_first() {
        let mut long = header();
        long.record.troubles = vec!["the disk is full ".repeat(20); 40];
        let read = RawHeader::parse(&long.to_bytes()).unwrap();
        assert!((1..40).contains(&read.record.troubles.len()), "{}", read.record.troubles.len());
        assert_eq!(read.dump, long.dump);
        long.record.troubles.clear();
        long.record.kernel = Some("6".repeat(RAW_HEADER_LEN));
        assert_eq!(RawHeader::parse(&long.to_bytes()).unwrap().record.kernel, None);
    }

    #[test]
    fn other_content_is_not_a_header() {
        assert!(matches!(RawHeader::parse(&[0; RAW_HEADER_LEN]), Err(InvalidHeader::NotOurs)));
        assert!(!RawHeader::is_ours(b"KDUMP"));
        let mut torn = header().to_bytes();
        torn[100..].fill(0);
        assert!(matches!(RawHeader::parse(&torn), Err(InvalidHeader::Json(_))));
        let newer = b"KDUMP-CAPTURE 2\n{}\n";
        assert!(RawHeader::is_ours(newer));
        assert!(matches!(RawHeader::parse(newer), Err(InvalidHeader::NotOurs)));
    }
}

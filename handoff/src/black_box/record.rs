//! What the purgatory writes: a record in each record page, and a header before each copy of the
//! kernel log.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::PrintkLog;
use crate::policy::wire_enum;
use crate::{DIGEST_LEN, PhysSpan};

/// Corrupt places that a record can name.
pub const RECORDED_PLACES: usize = 8;

wire_enum! {
    /// How far the purgatory came. A later stage replaces an earlier one.
    Stage {
        /// The block and the seal hold.
        Entered = 1, "entered";
        /// Every segment was verified; the verdict says with what result.
        Verified = 2, "verified";
        /// The purgatory jumped to the capture kernel.
        Jumped = 3, "jumped";
        /// The purgatory refused the image, and reset or halted the machine.
        Refused = 4, "refused";
    }
}

wire_enum! {
    /// Whether the kernel log was copied.
    LogState {
        /// The loader named no log.
        Absent = 0, "absent";
        /// Every copy is complete.
        Copied = 1, "copied";
        /// Reading the log raised an exception. The copies are incomplete.
        Failed = 2, "failed";
    }
}

/// [`Record::magic`]. CR LF catches a text-mode copy, as in PNG's signature.
pub const RECORD_MAGIC: [u8; 8] = *b"kdprec\r\n";
/// [`LogHeader::magic`].
pub const LOG_MAGIC: [u8; 8] = *b"kdplog\r\n";
/// The only version of [`Record`] and [`LogHeader`] that this crate describes.
pub const RECORD_VERSION: u32 = 1;

/// A place that differs from what was loaded.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct CorruptPlace {
    /// The place's physical memory: a leaf, or a zero tail.
    pub span: PhysSpan,
    /// A [`crate::RegionKind`].
    pub region: U32,
    /// 1 if it is a zero tail, 0 if it is a leaf.
    pub zero_tail: U32,
}

/// An exception that ended the purgatory. All zero: none.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct RecordedException {
    /// 1 if one was raised.
    pub raised: U32,
    /// Its vector.
    pub vector: U32,
    /// Its error code.
    pub error_code: U64,
    /// RIP.
    pub rip: U64,
    /// CR2. For a machine check: the start of the span that was being read, or 0.
    pub address: U64,
}

/// One run of the purgatory, at the start of each record page.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Record {
    /// [`RECORD_MAGIC`].
    pub magic: [u8; 8],
    /// [`RECORD_VERSION`].
    pub version: U32,
    /// `size_of::<Record>()`.
    pub size: U32,
    /// [`super::BlackBox::generation`].
    pub generation: U64,
    /// [`crate::Block::seal`]: the image.
    pub image: [u8; DIGEST_LEN],
    /// A [`Stage`].
    pub stage: U32,
    /// A [`crate::Verdict`]. Before [`Stage::Verified`]: 0, and without meaning.
    pub verdict: U32,
    /// A [`crate::EngineId`].
    pub engine: U32,
    /// Non-maskable interrupts until now.
    pub nmis: U32,
    /// 0: not checked yet, else 1 + the variant's place in [`crate::report::Elfcorehdr`].
    pub elfcorehdr: U32,
    /// A [`LogState`].
    pub log: U32,
    /// Microseconds from the purgatory's entry to this record at [`Stage::Entered`].
    pub entered_us: U64,
    /// The same when the log was copied; 0 if it was not.
    pub log_copied_us: U64,
    /// The same at [`Stage::Verified`]; 0 before.
    pub verified_us: U64,
    /// The same at [`Stage::Jumped`] or [`Stage::Refused`]; 0 before.
    pub ended_us: U64,
    /// How many places are corrupt; `places` names the first of them.
    pub corrupt_places: U32,
    /// Zero.
    pub reserved: U32,
    /// The first corrupt places.
    pub places: [CorruptPlace; RECORDED_PLACES],
    /// The exception that ended the run.
    pub exception: RecordedException,
    /// Zero.
    pub reserved1: U32,
    /// [`crc32`] of everything before this field.
    pub crc: U32,
}

/// The start of a copy of the kernel log. The ring buffer's struct follows, then the kept part of
/// the descriptors, the infos and the text, without gaps.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct LogHeader {
    /// [`LOG_MAGIC`]. Written last: while the copy is incomplete, it is zero.
    pub magic: [u8; 8],
    /// [`RECORD_VERSION`].
    pub version: U32,
    /// `size_of::<LogHeader>()`.
    pub size: U32,
    /// [`super::BlackBox::generation`].
    pub generation: U64,
    /// Place in the kernel's array of the first descriptor and the first info in the copy.
    pub first_descriptor: U32,
    /// Place in the kernel's array of the first byte of text in the copy.
    pub first_text: U32,
    /// What was copied.
    pub log: PrintkLog,
    /// Zero.
    pub reserved: U32,
    /// [`crc32`] of everything before this field.
    pub crc: U32,
}

const _: () = {
    assert!(offset_of!(Record, stage) == 0x38);
    assert!(offset_of!(Record, entered_us) == 0x50);
    assert!(offset_of!(Record, places) == 0x78);
    assert!(offset_of!(Record, exception) == 0x138);
    assert!(offset_of!(Record, crc) == 0x15c);
    assert!(size_of::<Record>() == 0x160);
    assert!(offset_of!(LogHeader, log) == 0x20);
    assert!(offset_of!(LogHeader, crc) == 0x84);
    assert!(size_of::<LogHeader>() == 0x88);
};

/// Gives a type that ends with its CRC the three functions of its life.
macro_rules! closed_by_crc {
    ($name:ident, $magic:ident) => {
        impl $name {
            /// Zeroes with magic, version and size set, and without a CRC.
            pub fn blank() -> Self {
                Self {
                    magic: $magic,
                    version: RECORD_VERSION.into(),
                    size: (size_of::<Self>() as u32).into(),
                    ..Self::new_zeroed()
                }
            }

            /// Sets the CRC, after every other field.
            pub fn close(&mut self) {
                self.crc = self.computed_crc().into();
            }

            /// The value at the start of `bytes`, if magic, version, size and CRC are right.
            pub fn read(bytes: &[u8]) -> Option<Self> {
                let (read, _) = Self::read_from_prefix(bytes).ok()?;
                let whole = read.magic == $magic
                    && read.version.get() == RECORD_VERSION
                    && read.size.get() as usize == size_of::<Self>()
                    && read.crc.get() == read.computed_crc();
                whole.then_some(read)
            }

            fn computed_crc(&self) -> u32 {
                crc32(&self.as_bytes()[..offset_of!(Self, crc)])
            }
        }
    };
}

closed_by_crc!(Record, RECORD_MAGIC);
closed_by_crc!(LogHeader, LOG_MAGIC);

/// CRC-32 as in IEEE 802.3 and zlib, bit by bit: a table would be larger than the records.
pub const fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    let mut at = 0;
    while at < bytes.len() {
        crc ^= bytes[at] as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (CRC_POLYNOMIAL & (crc & 1).wrapping_neg());
            bit += 1;
        }
        at += 1;
    }
    !crc
}

/// The polynomial of CRC-32 (IEEE 802.3 §3.2.9), with its bits reversed.
const CRC_POLYNOMIAL: u32 = 0xedb8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn closed_record_is_read_and_one_flipped_bit_is_not() {
        let mut record = Record { generation: 7.into(), ..Record::blank() };
        assert_eq!(Record::read(record.as_bytes()), None);
        record.close();
        assert_eq!(Record::read(record.as_bytes()), Some(record));
        // Miri is slow: it tries every seventeenth byte.
        for byte in (0..size_of::<Record>()).step_by(if cfg!(miri) { 17 } else { 1 }) {
            let mut bytes = [0; size_of::<Record>()];
            bytes.copy_from_slice(record.as_bytes());
            bytes[byte] ^= 0x10;
            assert_eq!(Record::read(&bytes), None, "byte {byte}");
        }
        assert_eq!(Record::read(&record.as_bytes()[1..]), None);
    }

    #[test]
    fn closed_log_header_is_read_and_one_flipped_bit_is_not() {
        let mut header = LogHeader { generation: 7.into(), ..LogHeader::blank() };
        header.close();
        assert_eq!(LogHeader::read(header.as_bytes()), Some(header));
        header.first_text = 1.into();
        assert_eq!(LogHeader::read(header.as_bytes()), None);
    }
}

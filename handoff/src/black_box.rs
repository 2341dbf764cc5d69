//! The black box: what the purgatory leaves in crash memory for the boot after a reset.
//!
//! ```text
//! crash region
//! ┌──────────┬────────┬──────────┬────────┬──────────────────────────────┬────────┐
//! │ image …  │ Record │ log copy │ Record │ log copy                     │ Record │
//! │          │ 4 KiB  │          │ 4 KiB  │ LogHeader ‖ prb ‖ descriptors│ 4 KiB  │
//! │          │        │          │        │ ‖ infos ‖ text               │        │
//! └──────────┴────────┴──────────┴────────┴──────────────────────────────┴────────┘
//! ```
//!
//! The loader reserves the pages: no segment, and no RAM of the capture kernel, covers them. Each
//! copy is complete in itself, because a reset keeps some memory and overwrites other memory. A
//! record of another load is told apart by its generation.
//!
//! The purgatory writes here only after the seal holds. If the seal is broken, no address is
//! trusted, and no record is written.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::policy::wire_enum;
use crate::{DIGEST_LEN, PhysSpan};

/// Record pages in a block, at most.
pub const MAX_RECORDS: usize = 4;
/// Copies of the kernel log, at most.
pub const MAX_LOG_COPIES: usize = 2;
/// Bytes of one copy of the kernel log, at most. It bounds how long the purgatory copies.
pub const MAX_LOG_COPY_LEN: u64 = 8 << 20;
/// Corrupt places that a record can name.
pub const RECORDED_PLACES: usize = 8;

/// One array of the kernel's printk ring buffer: descriptors, infos, or text (`struct
/// prb_desc_ring`, `struct prb_data_ring`, kernel/printk/printk_ringbuffer.h).
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
pub struct LogArray {
    /// The whole array in the running kernel's memory. It has a power of two of elements.
    pub span: PhysSpan,
    /// Bytes in an element; 1 for text.
    pub element_len: U32,
    /// Elements to copy: those that end at the ring's head. At most as many as the array has.
    pub kept: U32,
}

/// The running kernel's printk ring buffer. All zero: it is not copied.
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
pub struct PrintkLog {
    /// `struct printk_ringbuffer`, which `prb` points to.
    pub ringbuffer: PhysSpan,
    /// `desc_ring.descs`.
    pub descriptors: LogArray,
    /// `desc_ring.infos`. Has as many elements as `descriptors`.
    pub infos: LogArray,
    /// `text_data_ring.data`.
    pub text: LogArray,
    /// Offset of `desc_ring.head_id` in `ringbuffer`: the newest descriptor, modulo their number.
    pub head_id: U32,
    /// Offset of `text_data_ring.head_lpos` in `ringbuffer`: one past the newest text, modulo the
    /// array's length.
    pub head_lpos: U32,
}

/// Signals out of the machine. A port of 0: none.
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
pub struct Signals {
    /// I/O port of the pvpanic device (docs/specs/pvpanic.rst of QEMU).
    pub pvpanic_port: U32,
    /// I/O port of the KCS interface's data register (IPMI v2.0, chapter 9).
    pub kcs_port: U32,
    /// Bytes from the data register to the status register: 1, 4 or 16 (SMBIOS type 38).
    pub kcs_spacing: U32,
    /// Zero.
    pub reserved: U32,
}

/// Where the purgatory leaves its records. All zero: nowhere.
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
pub struct BlackBox {
    /// The number of this load on this machine, from 1. Each record and each copy carries it. 0:
    /// there is no record and no copy.
    pub generation: U64,
    /// Physical addresses of the record pages, ascending; the unused ones at the end are 0.
    pub records: [U64; MAX_RECORDS],
    /// Where the copies of the kernel log go, in whole pages, ascending. Both have the same length,
    /// which is at least that of [`PrintkLog::copy_len`]; the unused ones at the end are zero.
    pub log_copies: [PhysSpan; MAX_LOG_COPIES],
    /// What is copied.
    pub log: PrintkLog,
    /// Signals out of the machine. They need no record.
    pub signals: Signals,
    /// Zero.
    pub reserved: U64,
}

impl PrintkLog {
    /// Bytes of one copy with its [`LogHeader`]. `None` if they do not fit 64 bits.
    pub fn copy_len(&self) -> Option<u64> {
        let arrays = [&self.descriptors, &self.infos, &self.text];
        arrays.into_iter().try_fold(
            (size_of::<LogHeader>() as u64).checked_add(self.ringbuffer.len.get())?,
            |sum, array| {
                let len = u64::from(array.element_len.get()) * u64::from(array.kept.get());
                sum.checked_add(len)
            },
        )
    }
}

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
    /// [`BlackBox::generation`].
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
    /// [`BlackBox::generation`].
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
    assert!(offset_of!(BlackBox, records) == 0x08);
    assert!(offset_of!(BlackBox, log_copies) == 0x28);
    assert!(offset_of!(BlackBox, log) == 0x48);
    assert!(offset_of!(BlackBox, signals) == 0xa8);
    assert!(offset_of!(BlackBox, reserved) == 0xb8);
    assert!(size_of::<BlackBox>() == 0xc0);
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

impl Record {
    /// A record of zeroes with magic, version and size set, not yet sealed by its CRC.
    pub fn blank() -> Self {
        Self {
            magic: RECORD_MAGIC,
            version: RECORD_VERSION.into(),
            size: (size_of::<Self>() as u32).into(),
            ..Self::new_zeroed()
        }
    }

    /// Sets the CRC, after every other field.
    pub fn close(&mut self) {
        self.crc = crc32(&self.as_bytes()[..offset_of!(Self, crc)]).into();
    }

    /// The record at the start of a page, if magic, version, size and CRC are right.
    pub fn read(page: &[u8]) -> Option<Self> {
        let (record, _) = Self::read_from_prefix(page).ok()?;
        let whole = record.magic == RECORD_MAGIC
            && record.version.get() == RECORD_VERSION
            && record.size.get() as usize == size_of::<Self>()
            && record.crc.get() == crc32(&record.as_bytes()[..offset_of!(Self, crc)]);
        whole.then_some(record)
    }
}

impl LogHeader {
    /// A header of zeroes with magic, version and size set, not yet sealed by its CRC.
    pub fn blank() -> Self {
        Self {
            magic: LOG_MAGIC,
            version: RECORD_VERSION.into(),
            size: (size_of::<Self>() as u32).into(),
            ..Self::new_zeroed()
        }
    }

    /// Sets the CRC, after every other field.
    pub fn close(&mut self) {
        self.crc = crc32(&self.as_bytes()[..offset_of!(Self, crc)]).into();
    }

    /// The header at the start of a copy, if magic, version, size and CRC are right.
    pub fn read(copy: &[u8]) -> Option<Self> {
        let (header, _) = Self::read_from_prefix(copy).ok()?;
        let whole = header.magic == LOG_MAGIC
            && header.version.get() == RECORD_VERSION
            && header.size.get() as usize == size_of::<Self>()
            && header.crc.get() == crc32(&header.as_bytes()[..offset_of!(Self, crc)]);
        whole.then_some(header)
    }
}

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
        for byte in 0..size_of::<Record>() {
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

    #[test]
    fn copy_has_its_header_the_ring_buffer_and_what_is_kept() {
        let array = |element_len: u32, kept: u32| LogArray {
            element_len: element_len.into(),
            kept: kept.into(),
            ..LogArray::default()
        };
        let mut log = PrintkLog {
            ringbuffer: PhysSpan::new(0x1000, 88),
            descriptors: array(24, 4096),
            infos: array(88, 4096),
            text: array(1, 1 << 17),
            ..PrintkLog::default()
        };
        assert_eq!(log.copy_len(), Some(0x88 + 88 + 24 * 4096 + 88 * 4096 + (1 << 17)));
        log.ringbuffer.len = u64::MAX.into();
        assert_eq!(log.copy_len(), None);
    }
}

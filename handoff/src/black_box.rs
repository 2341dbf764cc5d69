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
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::PhysSpan;

mod record;

pub use record::{
    CorruptPlace, LOG_MAGIC, LogHeader, LogState, RECORD_MAGIC, RECORD_VERSION, RECORDED_PLACES,
    Record, RecordedException, Stage, crc32,
};

/// Record pages in a block, at most.
pub const MAX_RECORDS: usize = 4;
/// Copies of the kernel log, at most.
pub const MAX_LOG_COPIES: usize = 2;
/// Bytes of one copy of the kernel log, at most. It bounds how long the purgatory copies.
pub const MAX_LOG_COPY_LEN: u64 = 8 << 20;

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

const _: () = {
    assert!(offset_of!(BlackBox, records) == 0x08);
    assert!(offset_of!(BlackBox, log_copies) == 0x28);
    assert!(offset_of!(BlackBox, log) == 0x48);
    assert!(offset_of!(BlackBox, signals) == 0xa8);
    assert!(offset_of!(BlackBox, reserved) == 0xb8);
    assert!(size_of::<BlackBox>() == 0xc0);
};

#[cfg(test)]
mod tests {
    use super::*;

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

//! The segment's content after the page: blobs and setup_data nodes, each at a 16-byte boundary.
//! Their addresses are known when they are appended.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::kernel::uapi::SetupData;

/// The types of `enum setup_data_type` (arch/x86/include/uapi/asm/setup_data.h) that are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    E820Ext = 1,
    Efi = 4,
    RngSeed = 9,
}

/// The alignment of setup_data in the kernel's own images (`sizeof(struct setup_data)`).
const ALIGNMENT: usize = 16;

/// `len` rounded up to the next boundary.
pub(super) fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT)
}

/// Bytes of a node with `data_len` bytes of data; 0 without data.
pub(super) fn node_len(data_len: usize) -> usize {
    if data_len == 0 { 0 } else { padded(size_of::<SetupData>() + data_len) }
}

/// A segment under construction.
pub(super) struct Segment {
    at: u64,
    bytes: Vec<u8>,
}

impl Segment {
    /// A segment at physical address `at` that begins with `reserved` bytes to be filled in at the
    /// end.
    pub fn new(at: u64, reserved: usize) -> Self {
        Self { at, bytes: vec![0; reserved] }
    }

    /// Appends `blob` and returns its physical address.
    pub fn append(&mut self, blob: &[u8]) -> u64 {
        self.bytes.resize(padded(self.bytes.len()), 0);
        let address = self.at + self.bytes.len() as u64;
        self.bytes.extend_from_slice(blob);
        address
    }

    /// Appends a setup_data node and returns its physical address. `next` is the address of the
    /// next node in the list.
    pub fn node(&mut self, kind: Kind, data: &[u8], next: u64) -> u64 {
        let header = SetupData {
            next: U64::new(next),
            kind: U32::new(kind as u32),
            len: U32::new(data.len() as u32),
        };
        let address = self.append(header.as_bytes());
        self.bytes.extend_from_slice(data);
        address
    }

    /// The bytes, beginning with `page`.
    pub fn finish(mut self, page: &[u8]) -> Vec<u8> {
        self.bytes[..page.len()].copy_from_slice(page);
        self.bytes
    }
}

//! A window of a file in memory, by mmap(2).
//!
//! *On entry* an open file, an offset that is a multiple of the page size, and a length. *On exit*
//! the bytes, until the [`Mapping`] is dropped.
//!
//! This is the only unsafe code of the crate. It exists because read(2) of /proc/vmcore reaches an
//! eighth of mmap's throughput: the kernel maps and unmaps each page of a read.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ptr::{NonNull, null_mut};
use std::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Mapped bytes, for reading.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes of `/proc/vmcore`, which is `file`.
    ///
    /// The bytes are memory of the crashed kernel. The capture kernel does not use that memory, and
    /// /proc/vmcore cannot become shorter.
    pub fn new(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses an address where nothing is mapped, so no memory of this
        // process changes.
        let at = unsafe { mmap(null_mut(), len, access, flags, file, offset) }?;
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { at, len })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `mmap` returned `len` readable bytes at `at`, which stay mapped until drop.
        // Nothing in this kernel writes to them: they are memory of a kernel that no longer runs. A
        // device that was left running may still write there. So only reads that any value
        // satisfies use this slice: the test for zeroes, and copies.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `at` and `len` are those of a mapping that only this value has, and every slice
        // of it borrowed this value.
        let unmapped = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap of an existing mapping");
    }
}

//! (2) Memory of this process at chosen addresses: segments as kexec_load(2) leaves them, and the
//! code of contestants.
//!
//! *On exit*: every page has been written to. An untouched page would be Linux's shared zero page,
//! which caches hold, and verification would be too fast.

use std::{io, ptr};

use nix::libc;

/// A range of this process's memory that may be read, written and executed.
#[derive(Debug)]
pub struct Memory {
    start: u64,
    len: usize,
}

impl Memory {
    /// `len` bytes of zeros from `start`, or at any address if `start` is 0.
    pub fn new(start: u64, len: u64) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let place = if start == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | place;
        let (len, wanted) = (len as usize, ptr::without_provenance_mut(start as usize));
        // SAFETY: a new mapping. MAP_FIXED_NOREPLACE rejects addresses that are already mapped.
        let at = unsafe { libc::mmap(wanted, len, access, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut memory = Self { start: at.expose_provenance() as u64, len };
        // The kernel maps the crash region with large pages. Without them it is only slower.
        // SAFETY: advice about the mapping just made, which is `len` bytes at `at`.
        unsafe { libc::madvise(at, len, libc::MADV_HUGEPAGE) };
        memory.bytes_mut().fill(0);
        Ok(memory)
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped as long as `self` lives; anonymous mappings are initialized to zero.
        unsafe {
            std::slice::from_raw_parts(ptr::with_exposed_provenance(self.start as usize), self.len)
        }
    }

    /// The `len` bytes at `address`.
    ///
    /// # Panics
    /// If they are not all in this memory.
    pub fn at(&self, address: u64, len: u64) -> &[u8] {
        &self.bytes()[(address - self.start) as usize..][..len as usize]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`. `self` is borrowed exclusively, and contestants' code runs only
        // while no slice is borrowed.
        unsafe {
            std::slice::from_raw_parts_mut(
                ptr::with_exposed_provenance_mut(self.start as usize),
                self.len,
            )
        }
    }

    /// Copies `bytes` to `address`.
    ///
    /// # Panics
    /// If they do not fit there.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        let offset = (address - self.start) as usize;
        self.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `self` owns the mapping, and no slice of it outlives `self`.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(self.start as usize), self.len) };
    }
}

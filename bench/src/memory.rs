//! (2) Memory of this process at addresses of one's own choosing: segments as kexec_load(2) leaves them, and the code of contestants.
//!
//! On exit: every page is there and has been written to, so that nothing is verified that is the one page of zeroes which Linux shows for
//! memory that nobody has touched yet.

use std::io;
use std::ptr;

/// A span of this process's memory, which may be read, written and executed.
#[derive(Debug)]
pub struct Memory {
    start: u64,
    len: usize,
}

impl Memory {
    /// `len` bytes of zeroes from `start`, or anywhere if that is 0.
    pub fn new(start: u64, len: u64) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let place = if start == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | place;
        let len = len as usize;
        // SAFETY: a new mapping, which the kernel refuses to lay over one that is there.
        let at = unsafe { libc::mmap(ptr::without_provenance_mut(start as usize), len, access, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut memory = Self { start: at.addr() as u64, len };
        // The kernel maps the crash region with pages of 2 MiB or 1 GiB; without them it is only slower.
        // SAFETY: advice about the mapping just made.
        unsafe { libc::madvise(at, len, libc::MADV_HUGEPAGE) };
        memory.bytes_mut().fill(0);
        Ok(memory)
    }

    /// Address of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as `self` lives, and initialised: anonymous mappings are zero.
        unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(self.start as usize), self.len) }
    }

    /// All of it, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `self` is borrowed exclusively, and contestants run only while nobody holds a slice.
        unsafe { std::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(self.start as usize), self.len) }
    }

    /// Copies `bytes` to an address inside.
    ///
    /// # Panics
    /// When they do not fit there.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        let offset = (address - self.start) as usize;
        self.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no slice of it outlives the value.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(self.start as usize), self.len) };
    }
}

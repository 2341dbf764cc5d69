//! Where a page of this process lies in physical memory: /proc/self/pagemap
//! (Documentation/admin-guide/mm/pagemap.rst).

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

use sentinel::PAGE_SIZE;

/// Bits 0–54 of an entry: the page frame number, if the page is present and the reader has
/// CAP_SYS_ADMIN.
const FRAME_MASK: u64 = (1 << 55) - 1;
/// Bit 63 of an entry: the page is present in memory.
const PRESENT: u64 = 1 << 63;

/// This process's pagemap, open.
pub struct Pagemap(File);

impl Pagemap {
    /// Opens /proc/self/pagemap.
    pub fn open() -> Result<Self> {
        Ok(Self(
            File::open("/proc/self/pagemap")
                .context("cannot open /proc/self/pagemap; is /proc mounted?")?,
        ))
    }

    /// The physical address of `page`, which starts at a page boundary and has been written to.
    pub fn physical(&self, page: &[u8]) -> Result<u64> {
        let virtual_page = page.as_ptr().addr() / PAGE_SIZE;
        let mut entry = [0; 8];
        self.0
            .read_exact_at(&mut entry, virtual_page as u64 * 8)
            .context("cannot read /proc/self/pagemap")?;
        address(u64::from_le_bytes(entry))
    }
}

/// The physical address that an entry names.
fn address(entry: u64) -> Result<u64> {
    ensure!(entry & PRESENT != 0, "the page is not in memory (pagemap entry {entry:#x})");
    let frame = entry & FRAME_MASK;
    ensure!(
        frame != 0,
        "the kernel hides page frame numbers (pagemap entry {entry:#x}); run as root"
    );
    Ok(frame * PAGE_SIZE as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn present_page_has_the_address_of_its_frame() {
        assert_eq!(address(PRESENT | 1 << 55 | 0x12_3456).unwrap(), 0x1_2345_6000);
    }

    #[test]
    fn absent_and_hidden_pages_are_refused() {
        assert!(address(0x12_3456).unwrap_err().to_string().contains("not in memory"));
        assert!(address(PRESENT).unwrap_err().to_string().contains("run as root"));
    }
}

//! Virtual addresses of a dead kernel, through its page tables (SDM vol. 3A §4.5).
//!
//! Page tables that were overwritten lead anywhere. So every address must be in the crash region,
//! where all memory of a capture kernel is that this program reads.

use loader::image::SpanSummary;
use printk_ring::Vmcoreinfo;
use printk_ring::vmcoreinfo::Error;

use super::memory::OldMemory;
use super::records::is_inside;

/// Where the kernel maps its image (`__START_KERNEL_map`,
/// arch/x86/include/asm/page_64_types.h).
const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
const PAGE: u64 = 4096;
const PRESENT: u64 = 1;
/// The entry maps a page of 1 GiB or 2 MiB.
const LARGE: u64 = 1 << 7;
/// The physical address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Address bits that one level translates.
const LEVEL_BITS: u32 = 9;
/// Limit of one read: the log of `log_buf_len=16M` has 44 MiB of infos.
const MOST: u64 = 64 << 20;

/// The address space of a dead kernel.
pub struct AddressSpace<'a> {
    memory: &'a OldMemory<'a>,
    region: SpanSummary,
    top: u64,
    levels: u32,
    encryption: u64,
}

impl<'a> AddressSpace<'a> {
    /// The address space of the kernel with this VMCOREINFO.
    pub fn of(
        memory: &'a OldMemory<'a>,
        region: SpanSummary,
        vmcoreinfo: &Vmcoreinfo<'_>,
    ) -> Result<Self, Error> {
        let phys_base = vmcoreinfo.number("phys_base")?;
        let image = vmcoreinfo.symbol("init_top_pgt")?.wrapping_sub(START_KERNEL_MAP);
        Ok(Self {
            memory,
            region,
            top: image.wrapping_add_signed(phys_base),
            levels: if vmcoreinfo.number("pgtable_l5_enabled") == Ok(1) { 5 } else { 4 },
            encryption: vmcoreinfo.number("sme_mask").unwrap_or(0) as u64,
        })
    }

    /// Reads memory at a virtual address. `None` if a page is not mapped, outside of the crash
    /// region, or not shown.
    pub fn read(&self, address: u64, len: u64) -> Option<Vec<u8>> {
        if len > MOST {
            return None;
        }
        let mut bytes = Vec::new();
        let (mut at, end) = (address, address.checked_add(len)?);
        while at < end {
            let (physical, left) = self.translate(at)?;
            let piece = left.min(end - at);
            bytes.extend(self.physical(physical, piece)?);
            at += piece;
        }
        Some(bytes)
    }

    /// The physical address, and the bytes up to the end of its page.
    fn translate(&self, address: u64) -> Option<(u64, u64)> {
        let mut table = self.top;
        for level in (0..self.levels).rev() {
            let shift = 12 + LEVEL_BITS * level;
            let index = address >> shift & ((1 << LEVEL_BITS) - 1);
            let entry = self.physical((table & !(PAGE - 1)) + 8 * index, 8)?;
            let entry = u64::from_le_bytes(entry.try_into().ok()?);
            let size = 1u64 << shift;
            if entry & PRESENT == 0 {
                return None;
            }
            let target = entry & ADDRESS & !self.encryption;
            if level == 0 || (1..=2).contains(&level) && entry & LARGE != 0 {
                let offset = address & (size - 1);
                return Some(((target & !(size - 1)) + offset, size - offset));
            }
            table = target;
        }
        None
    }

    fn physical(&self, start: u64, len: u64) -> Option<Vec<u8>> {
        is_inside(self.region, start, len).then(|| self.memory.read(start, len).ok()).flatten()
    }
}

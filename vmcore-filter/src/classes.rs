//! `[7]` Which pages are free.
//!
//! *On entry* a vmcore. *On exit*, section by section, a bitmap without the pages that are free,
//! broken, offline, or no longer in the machine. A page is left out only if everything that leads
//! to it was understood.

use std::ops::AddAssign;

use printk_ring::Vmcoreinfo;

use crate::address_space::{AddressSpace, Tables};
use crate::bitmap::Bitmap;
use crate::page_types::{Kind, PageTypes};
use crate::sections::{Section, Sections};
use crate::vmcore::Vmcore;
use crate::{PAGE_LEN, Unfiltered};

/// Pages whose structs are read at once: 2 MiB of memory, the unit in which arrays have holes
/// (`SUBSECTION_SHIFT`, include/linux/mmzone.h).
const PAGES_AT_ONCE: u64 = 512;

/// Pages that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Pages in free blocks of the page allocator.
    pub free: u64,
    /// Pages whose memory is broken (`PG_hwpoison`). Reading them can raise a machine check.
    pub poisoned: u64,
    /// Pages that are offline: those of a balloon, or that the guest has not accepted yet. Reading
    /// them can panic the capture kernel.
    pub offline: u64,
    /// Pages of memory that was removed from the machine, although the vmcore's headers still list
    /// it. Reading them can raise a machine check.
    pub absent: u64,
}

impl AddAssign for LeftOut {
    fn add_assign(&mut self, other: Self) {
        self.free += other.free;
        self.poisoned += other.poisoned;
        self.offline += other.offline;
        self.absent += other.absent;
    }
}

/// Tells free pages from others.
#[derive(Debug)]
pub struct Classes<'a> {
    space: AddressSpace<'a>,
    sections: Sections,
    types: PageTypes,
    structs: Vec<u8>,
    /// Where the `struct page` of the last huge page is that is marked as broken.
    broken_head: Option<u64>,
}

/// Whether a kernel with this VMCOREINFO marks free pages and lists its sections in a known way: so
/// a running kernel tells what a dump of it will leave out, if nothing is damaged by then. Returns
/// the bytes of a section.
pub fn can_filter(info: &Vmcoreinfo<'_>) -> Result<u64, Unfiltered> {
    Tables::named(info)?;
    let (_, sections) = described(info)?;
    Ok(PAGE_LEN << sections.page_bits)
}

fn described(info: &Vmcoreinfo<'_>) -> Result<(PageTypes, Sections), Unfiltered> {
    let (types, sections) = (PageTypes::of(info)?, Sections::of(info)?);
    if types.orders > sections.page_bits {
        return Err(Unfiltered::unknown("LENGTH(zone.free_area)", types.orders));
    }
    Ok((types, sections))
}

impl<'a> Classes<'a> {
    /// Reads from VMCOREINFO how the crashed kernel marks free pages, and tries its page tables and
    /// its list of sections.
    pub fn find(core: &'a Vmcore) -> Result<Self, Unfiltered> {
        let info = core.vmcoreinfo().ok_or(Unfiltered::NoVmcoreinfo)?;
        let (types, sections) = described(&info)?;
        let mut space = AddressSpace::find(core, &info)?;
        let root = space.root();
        let own = (root / PAGE_LEN) >> sections.page_bits;
        // The kernel's page tables are in memory that it has.
        if !matches!(sections.section(&mut space, own)?, Section::Present(_)) {
            return Err(Unfiltered::Sections { root });
        }
        let structs = vec![0; PAGES_AT_ONCE as usize * types.len];
        Ok(Self { space, sections, types, structs, broken_head: None })
    }

    /// Sections have `2^page_bits` pages.
    pub(crate) fn page_bits(&self) -> u32 {
        self.sections.page_bits
    }

    /// Removes the free, broken, offline and absent pages of a section from the bitmap, which is
    /// that of the whole section.
    pub(crate) fn remove_free(&mut self, bitmap: &mut Bitmap) -> LeftOut {
        let (first, end) = (bitmap.first(), bitmap.end());
        let mut left_out = LeftOut::default();
        let section = first >> self.sections.page_bits;
        // What cannot be read is kept, for whatever reason.
        let mem_map = match self.sections.section(&mut self.space, section) {
            Ok(Section::Present(mem_map)) => mem_map,
            Ok(Section::Absent) => {
                left_out.absent = bitmap.remove(first, end);
                return left_out;
            }
            Ok(Section::Unknown) | Err(_) => return left_out,
        };
        let len = self.types.len as u64;
        let struct_at = |pfn: u64| mem_map.wrapping_add(pfn.wrapping_mul(len));
        // Pages before it are those of a block that was seen.
        let mut seen = first;
        for chunk in (first..end).step_by(PAGES_AT_ONCE as usize) {
            let chunk_end = end.min(chunk + PAGES_AT_ONCE);
            if seen >= chunk_end || !bitmap.has_any(chunk, chunk_end) {
                continue;
            }
            if !matches!(self.space.read(struct_at(chunk), &mut self.structs), Ok(true)) {
                continue;
            }
            for (pfn, page) in (chunk..chunk_end).zip(self.structs.chunks_exact(self.types.len)) {
                if pfn < seen {
                    continue;
                }
                let mut kind = self.types.kind(page);
                if kind == Kind::Poisoned {
                    let next = self.structs.get((pfn + 1 - chunk) as usize * self.types.len..);
                    let next = next.and_then(|rest| rest.get(..self.types.len));
                    // The next page tells where the head is. Up to 7.2, structs of a huge page may
                    // be mapped to the same memory, so that others look like the head's
                    // (`page_fixed_fake_head`, include/linux/page-flags.h).
                    let head = next.and_then(|next| self.types.head(next, struct_at(pfn + 1)));
                    self.broken_head = head.or(self.broken_head);
                } else if let Some(broken) = self.broken_head
                    && self.types.head(page, struct_at(pfn)) == Some(broken)
                {
                    kind = Kind::Poisoned;
                }
                let (order, count) = match kind {
                    Kind::Free { order } => (order, &mut left_out.free),
                    Kind::Unaccepted { order } => (order, &mut left_out.offline),
                    Kind::Offline => (0, &mut left_out.offline),
                    Kind::Poisoned => (0, &mut left_out.poisoned),
                    Kind::Kept => continue,
                };
                // Blocks are aligned to their size, so none leaves its section.
                if pfn.is_multiple_of(1 << order) {
                    seen = pfn + (1 << order);
                    *count += bitmap.remove(pfn, seen);
                }
            }
        }
        left_out
    }
}

//! `[6]` Where the `struct page` of each page is: the sections of the sparse memory model.
//!
//! *On entry* virtual memory can be read. *On exit* the address of the `struct page` array of a
//! section, which is 128 MiB of physical memory, or that the machine has no such section.
//!
//! ```text
//! mem_section ─→ roots ─→ mem_section structs ─→ section_mem_map ─→ struct page of the first page
//! ```

use std::io;

use printk_ring::Vmcoreinfo;

use crate::address_space::AddressSpace;
use crate::{PAGE_LEN, Unfiltered};

/// Flags of `section_mem_map` (include/linux/mmzone.h): the section exists, and has an array.
const MARKED_PRESENT: u64 = 1;
const HAS_MEM_MAP: u64 = 2;
/// The array is aligned to a page, so flags are in the low bits. Linux 6.12 has six.
const FLAGS: u64 = PAGE_LEN - 1;
/// x86-64 has 27 (`SECTION_SIZE_BITS`, arch/x86/include/asm/sparsemem.h). A bitmap of a section is
/// in memory, so it must be short.
const PLAUSIBLE_BITS: std::ops::RangeInclusive<i64> = 24..=32;

/// What the kernel has of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Address of the `struct page` of page 0, if the section's array began there: the kernel keeps
    /// it in this form.
    Present(u64),
    /// The kernel has no such memory. It was removed, and the vmcore's headers still list it.
    Absent,
    /// The vmcore does not tell.
    Unknown,
}

/// How to find sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sections {
    /// Address of the array of roots.
    roots: u64,
    root_count: u64,
    struct_len: u64,
    mem_map: u64,
    /// A section has `2^page_bits` pages.
    pub page_bits: u32,
}

impl Sections {
    /// The sections of the kernel with this VMCOREINFO.
    pub fn of(info: &Vmcoreinfo<'_>) -> Result<Self, Unfiltered> {
        let struct_len = info.size("mem_section")?;
        if !(8..=PAGE_LEN).contains(&struct_len) {
            return Err(Unfiltered::unknown("SIZE(mem_section)", struct_len));
        }
        let mem_map = info.offset("mem_section.section_mem_map")?;
        if mem_map > struct_len - 8 {
            return Err(Unfiltered::unknown("OFFSET(mem_section.section_mem_map)", mem_map));
        }
        let bits = info.number("SECTION_SIZE_BITS")?;
        if !PLAUSIBLE_BITS.contains(&bits) {
            return Err(Unfiltered::unknown("NUMBER(SECTION_SIZE_BITS)", bits));
        }
        Ok(Self {
            roots: info.symbol("mem_section")?,
            root_count: info.length("mem_section")?,
            struct_len,
            mem_map,
            page_bits: bits as u32 - PAGE_LEN.trailing_zeros(),
        })
    }

    /// Looks a section up.
    pub fn section(&self, space: &mut AddressSpace<'_>, section: u64) -> io::Result<Section> {
        let per_root = PAGE_LEN / self.struct_len;
        let (root, index) = (section / per_root, section % per_root);
        if root >= self.root_count {
            return Ok(Section::Unknown);
        }
        let structs = match space.word(self.roots.wrapping_add(root * 8))? {
            None => return Ok(Section::Unknown),
            Some(0) => return Ok(Section::Absent),
            Some(structs) => structs,
        };
        let at = structs.wrapping_add(index * self.struct_len).wrapping_add(self.mem_map);
        Ok(match space.word(at)? {
            Some(0) => Section::Absent,
            Some(coded) if coded & (MARKED_PRESENT | HAS_MEM_MAP) == 3 => {
                Section::Present(coded & !FLAGS)
            }
            Some(_) | None => Section::Unknown,
        })
    }
}

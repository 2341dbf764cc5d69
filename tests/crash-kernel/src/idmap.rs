//! `[10]` The identity map that the purgatory runs on, made at load time from control pages in the
//! holes of the crash region (`init_pgtable`, arch/x86/kernel/machine_kexec_64.c;
//! `kimage_alloc_crash_control_pages`, kernel/kexec_core.c).

use core::ops::Range;

use orders::map::{self, DIRECT_MAP};
use orders::{Crash, Segment};
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageSize, PageTableFlags, PhysFrame, Size1GiB,
    Size2MiB, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use crate::harness::give_up;
use crate::memory::{self, Memory, PAGE};
use crate::{describe, jump};

/// An entry that points to a table (_KERNPG_TABLE, arch/x86/include/asm/pgtable_types.h).
const TABLE: PageTableFlags = PageTableFlags::PRESENT
    .union(PageTableFlags::WRITABLE)
    .union(PageTableFlags::ACCESSED)
    .union(PageTableFlags::DIRTY);
/// A leaf, executable: the control page's (__PAGE_KERNEL_EXEC), and huge ones
/// (__PAGE_KERNEL_IDENT_LARGE_EXEC).
const LEAF: PageTableFlags = TABLE.union(PageTableFlags::GLOBAL);
/// Real-mode memory, which Linux maps besides RAM and segments (`init_mem_mapping`,
/// arch/x86/mm/init.c).
const LOW_MEMORY: Range<u64> = 0..1 << 20;
/// Place of the last entry of a table: of the kernel's half in the table of five levels.
const LAST: u64 = 511 * 8;

/// The tables, and the page from which the purgatory is entered.
#[derive(Debug)]
pub struct Identity {
    /// Page for the code, tables and stack of the jump (`image->control_code_page`).
    pub control_page: u64,
    /// CR3 in the purgatory.
    pub cr3: u64,
    /// CR3 on the way there, with the kernel's four levels. Differs from `cr3` only with
    /// [`Crash::la57`].
    pub four_levels: u64,
}

/// Builds the map.
pub fn build(crash: &Crash<'_>, memory: &Memory) -> Identity {
    let mut pages = ControlPages { crash, next: map::CRASH_REGION_START };
    let (control_page, four) = (pages.take(), pages.take());
    let segments = crash.segments.iter().map(|segment| segment.memory.clone());
    for range in memory.ram.iter().cloned().chain([LOW_MEMORY]).chain(segments) {
        pages.map_one_to_one(four, range);
    }
    let kernel = jump::kernel_address();
    if !crash.la57 {
        pages.map::<Size4KiB>(four, kernel, control_page);
        return Identity { control_page, cr3: four, four_levels: four };
    }
    let (cr3, upper) = (pages.take(), pages.take());
    memory::write_word(cr3, four | TABLE.bits());
    memory::write_word(cr3 + LAST, upper | TABLE.bits());
    pages.map::<Size4KiB>(upper, kernel, control_page);
    // A copy, because with five levels the table of the lowest addresses does not map the control
    // page's kernel address.
    let four_levels = pages.take();
    (0..PAGE)
        .step_by(8)
        .for_each(|at| memory::write_word(four_levels + at, memory::read_word(four + at)));
    pages.map::<Size4KiB>(four_levels, kernel, control_page);
    Identity { control_page, cr3, four_levels }
}

/// Control pages, from the start of the crash region, between the segments.
struct ControlPages<'a> {
    crash: &'a Crash<'a>,
    next: u64,
}

impl ControlPages<'_> {
    /// A page of zeroes.
    fn take(&mut self) -> u64 {
        loop {
            let page = self.next;
            self.next += PAGE;
            if self.next > map::CRASH_REGION_START + map::CRASH_REGION_LEN {
                give_up(format_args!("no page of the crash region is left for page tables"));
            }
            let taken = |segment: &Segment<'_>| segment.memory.contains(&page);
            if !self.crash.segments.iter().any(taken) {
                memory::zero(page, PAGE);
                return page;
            }
        }
    }

    /// Maps a range with 1 GiB leaves where a whole one is inside it, else with 2 MiB leaves,
    /// rounded outwards. Existing 1 GiB leaves are kept (`ident_pud_init`,
    /// arch/x86/mm/ident_map.c).
    fn map_one_to_one(&mut self, root: u64, range: Range<u64>) {
        let mut at = range.start / Size2MiB::SIZE * Size2MiB::SIZE;
        while at < range.end {
            let gib = at / Size1GiB::SIZE * Size1GiB::SIZE;
            let is_whole = range.start <= gib && gib + Size1GiB::SIZE <= range.end;
            if is_whole && describe::has("pdpe1gb") && self.map::<Size1GiB>(root, gib, gib) {
                at = gib + Size1GiB::SIZE;
            } else {
                self.map::<Size2MiB>(root, at, at);
                at += Size2MiB::SIZE;
            }
        }
    }

    /// Maps one page below the table `root` of level 4, unless it is mapped.
    fn map<S: PageSize + core::fmt::Debug>(&mut self, root: u64, virt: u64, physical: u64) -> bool
    where
        OffsetPageTable<'static>: Mapper<S>,
    {
        // SAFETY: a control page that holds a table. No other reference to it exists, and the CPU
        // does not use it yet.
        let root = unsafe { &mut *memory::direct(root).cast() };
        // SAFETY: the direct map covers all control pages.
        let mut tables = unsafe { OffsetPageTable::new(root, VirtAddr::new(DIRECT_MAP)) };
        let page = Page::<S>::containing_address(VirtAddr::new(virt));
        let frame = PhysFrame::containing_address(PhysAddr::new(physical));
        // SAFETY: these tables come into use only after the panic.
        match unsafe { tables.map_to_with_table_flags(page, frame, LEAF, TABLE, self) } {
            // Nothing to flush: the CPU does not use these tables.
            Ok(mapped) => {
                mapped.ignore();
                true
            }
            Err(MapToError::PageAlreadyMapped(_) | MapToError::ParentEntryHugePage) => false,
            Err(error) => give_up(format_args!("{virt:#x} cannot be mapped: {error:?}")),
        }
    }
}

// SAFETY: each page is given once, and belongs to nothing else.
unsafe impl FrameAllocator<Size4KiB> for ControlPages<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        Some(PhysFrame::containing_address(PhysAddr::new(self.take())))
    }
}

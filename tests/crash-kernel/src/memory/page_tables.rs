//! The direct map beyond what boot.S maps: memory is added as `init_memory_mapping` does
//! (arch/x86/mm/init.c).

use alloc::boxed::Box;
use core::ops::Range;

use orders::map::DIRECT_MAP;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size2MiB,
    Size4KiB, Translate,
};
use x86_64::{PhysAddr, VirtAddr};

use super::direct;
use crate::harness::give_up;

/// The page size.
const LARGE_PAGE: u64 = 2 << 20;
/// The direct map's pages: data.
const DATA: PageTableFlags =
    PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).union(PageTableFlags::NO_EXECUTE);

/// The tables that are in use.
fn own() -> OffsetPageTable<'static> {
    let top = direct(Cr3::read().0.start_address().as_u64()).cast::<PageTable>();
    // SAFETY: the top-level table, which boot.S has made. Only the CPU that executes the story
    // changes it.
    let top = unsafe { &mut *top };
    // SAFETY: the direct map covers all physical memory that holds tables.
    unsafe { OffsetPageTable::new(top, VirtAddr::new(DIRECT_MAP)) }
}

/// Adds what is missing of a range to the direct map.
pub fn map_directly(range: &Range<u64>) {
    if !range.start.is_multiple_of(LARGE_PAGE) || !range.end.is_multiple_of(LARGE_PAGE) {
        give_up(format_args!("{range:#x?} does not fill pages of 2 MiB"));
    }
    for at in range.clone().step_by(LARGE_PAGE as usize) {
        let address = VirtAddr::new(DIRECT_MAP + at);
        if own().translate_addr(address).is_some() {
            continue;
        }
        let (page, frame) = (
            Page::<Size2MiB>::containing_address(address),
            PhysFrame::containing_address(PhysAddr::new(at)),
        );
        // SAFETY: this memory is new, so no Rust object is in it, and its place in the direct map
        // is unused.
        match unsafe { own().map_to(page, frame, DATA, &mut FromHeap) } {
            Ok(new) => new.flush(),
            Err(error) => give_up(format_args!("{at:#x} cannot be mapped: {error:?}")),
        }
    }
}

/// Page tables come from the heap, which is in the direct map.
struct FromHeap;

// SAFETY: each frame is its own box, with the size and alignment of a page, and is never freed.
unsafe impl FrameAllocator<Size4KiB> for FromHeap {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let table: &'static mut PageTable = Box::leak(Box::new(PageTable::new()));
        let physical = (&raw const *table).addr() as u64 - DIRECT_MAP;
        Some(PhysFrame::containing_address(PhysAddr::new(physical)))
    }
}

//! [9] The identity map that the purgatory runs on, made at load time from control pages in the holes of the crash region
//! (`init_pgtable`, arch/x86/kernel/machine_kexec_64.c; `kimage_alloc_crash_control_pages`, kernel/kexec_core.c).

use core::ops::Range;

use orders::map;
use x86_64::registers::control::Cr3;

use crate::describe;
use crate::harness::give_up;
use crate::memory::{self, Memory, PAGE};
use crate::ramdisk::Crash;

/// An entry that points to a table: present, writable, accessed, dirty (_KERNPG_TABLE, arch/x86/include/asm/pgtable_types.h).
const TABLE: u64 = 0x063;
/// A leaf: present, writable, accessed, dirty, huge, global; executable (__PAGE_KERNEL_IDENT_LARGE_EXEC).
const LEAF: u64 = 0x1e3;
const PRESENT: u64 = 1;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const MIB_2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;
/// What Linux maps besides RAM and segments: real-mode memory (`init_mem_mapping`, arch/x86/mm/init.c).
const LOW_MEMORY: Range<u64> = 0..1 << 20;
/// How much virtual memory an entry of the top level spans, of four.
const TOP_LEVEL_4: u32 = 39;

/// The tables, and the page from which the purgatory is entered.
#[derive(Debug)]
pub struct Identity {
    /// Page for the code, tables and stack of the jump (`image->control_code_page`).
    pub control_page: u64,
    /// What CR3 holds in the purgatory.
    pub cr3: u64,
    /// The same with the kernel's own mappings, for the way there (`init_transition_pgtable`).
    pub transition: u64,
}

/// Control pages are taken from the crash region, page by page from its start, between the segments.
struct ControlPages<'a> {
    crash: &'a Crash,
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
            let inside = |segment: &crate::ramdisk::Segment| {
                page < segment.memory.start.get() + segment.memory.len.get() && segment.memory.start.get() < page + PAGE
            };
            if !self.crash.segments.iter().any(inside) {
                memory::zero(page, PAGE);
                return page;
            }
        }
    }
}

/// Builds the map.
pub fn build(crash: &Crash, memory: &Memory) -> Identity {
    let mut pages = ControlPages { crash, next: map::CRASH_REGION_START };
    let (control_page, top) = (pages.take(), pages.take());
    let huge = describe::has("pdpe1gb");
    let segments = crash.segments.iter().map(|s| s.memory.start.get()..s.memory.start.get() + s.memory.len.get());
    for range in memory.ram.iter().cloned().chain([LOW_MEMORY]).chain(segments) {
        add(&mut pages, top, range, huge);
    }
    let cr3 = if crash.la57 {
        let five = pages.take();
        memory::write_word(five, top | TABLE);
        five
    } else {
        top
    };
    let transition = pages.take();
    let current = Cr3::read().0.start_address().as_u64();
    for entry in 0..PAGE / 8 {
        let own = memory::read_word(current + entry * 8);
        let identity = memory::read_word(top + entry * 8);
        memory::write_word(transition + entry * 8, if identity & PRESENT != 0 { identity } else { own });
    }
    Identity { control_page, cr3, transition }
}

/// Maps a range: 1 GiB leaves where a whole one lies inside it, else 2 MiB leaves, rounded outwards
/// (`ident_pud_init`, arch/x86/mm/ident_map.c).
fn add(pages: &mut ControlPages<'_>, top: u64, range: Range<u64>, huge: bool) {
    let mut at = range.start / MIB_2 * MIB_2;
    while at < range.end {
        let gib = at / GIB * GIB;
        let third = table(pages, top, at >> TOP_LEVEL_4 & 0x1ff);
        let entry = third + (at >> 30 & 0x1ff) * 8;
        if huge && range.start <= gib && gib + GIB <= range.end {
            memory::write_word(entry, gib | LEAF);
            at = gib + GIB;
            continue;
        }
        let second = table(pages, third, at >> 30 & 0x1ff);
        memory::write_word(second + (at >> 21 & 0x1ff) * 8, at | LEAF);
        at += MIB_2;
    }
}

/// The table behind an entry, made if there is none.
fn table(pages: &mut ControlPages<'_>, parent: u64, index: u64) -> u64 {
    let entry = memory::read_word(parent + index * 8);
    if entry & PRESENT != 0 {
        return entry & ADDRESS;
    }
    let table = pages.take();
    memory::write_word(parent + index * 8, table | TABLE);
    table
}

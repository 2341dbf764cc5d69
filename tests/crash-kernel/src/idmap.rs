//! `[9]` The identity map that the purgatory runs on, made at load time from control pages in the
//! holes of the crash region (`init_pgtable`, arch/x86/kernel/machine_kexec_64.c;
//! `kimage_alloc_crash_control_pages`, kernel/kexec_core.c).

use core::ops::Range;

use orders::map;

use crate::harness::give_up;
use crate::memory::{self, Memory, PAGE};
use crate::ramdisk::{Crash, Segment};
use crate::{describe, jump};

/// An entry that points to a table: present, writable, accessed, dirty (_KERNPG_TABLE,
/// arch/x86/include/asm/pgtable_types.h).
const TABLE: u64 = 0x063;
/// A leaf: present, writable, accessed, dirty, huge, global; executable
/// (__PAGE_KERNEL_IDENT_LARGE_EXEC).
const LEAF: u64 = 0x1e3;
/// The control page's leaf: the same, not huge (__PAGE_KERNEL_EXEC).
const PAGE_LEAF: u64 = 0x163;
const PRESENT: u64 = 1 << 0;
const HUGE: u64 = 1 << 7;
/// Bits 51:12, the address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const MIB_2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;
/// Levels of tables, named by what an entry maps: 4 KiB, 2 MiB, 1 GiB. Four or five levels are in
/// use.
const OF_PAGES: u32 = 1;
const OF_2_MIB: u32 = 2;
const OF_GIB: u32 = 3;
const FOUR: u32 = 4;
const FIVE: u32 = 5;
/// Real-mode memory, which Linux maps besides RAM and segments (`init_mem_mapping`,
/// arch/x86/mm/init.c).
const LOW_MEMORY: Range<u64> = 0..1 << 20;

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

pub fn build(crash: &Crash, memory: &Memory) -> Identity {
    let mut tables = Tables { crash, next: map::CRASH_REGION_START };
    let (control_page, four) = (tables.take(), tables.take());
    let gib_leaves = describe::has("pdpe1gb");
    let segments = crash.segments.iter().map(|segment| segment.memory.clone());
    for range in memory.ram.iter().cloned().chain([LOW_MEMORY]).chain(segments) {
        tables.map_one_to_one(four, range, gib_leaves);
    }
    let mut cr3 = four;
    let mut four_levels = four;
    if crash.la57 {
        cr3 = tables.take();
        memory::write_word(entry(cr3, FIVE, 0), four | TABLE);
        tables.map_page(cr3, FIVE, jump::kernel_address(), control_page);
        // A copy, because with five levels the table of the lowest addresses does not map the
        // control page's kernel address.
        four_levels = tables.take();
        (0..PAGE)
            .step_by(8)
            .for_each(|at| memory::write_word(four_levels + at, memory::read_word(four + at)));
    }
    tables.map_page(four_levels, FOUR, jump::kernel_address(), control_page);
    Identity { control_page, cr3, four_levels }
}

/// Tables are control pages. They are allocated from the start of the crash region, between the
/// segments.
struct Tables<'a> {
    crash: &'a Crash,
    next: u64,
}

impl Tables<'_> {
    /// A page of zeroes.
    fn take(&mut self) -> u64 {
        loop {
            let page = self.next;
            self.next += PAGE;
            if self.next > map::CRASH_REGION_START + map::CRASH_REGION_LEN {
                give_up(format_args!("no page of the crash region is left for page tables"));
            }
            let taken = |segment: &Segment| segment.memory.contains(&page);
            if !self.crash.segments.iter().any(taken) {
                memory::zero(page, PAGE);
                return page;
            }
        }
    }

    /// Maps a range with 1 GiB leaves where a whole one is inside it, else with 2 MiB leaves,
    /// rounded outwards. Existing 1 GiB leaves are kept (`ident_pud_init`,
    /// arch/x86/mm/ident_map.c).
    fn map_one_to_one(&mut self, root: u64, range: Range<u64>, gib_leaves: bool) {
        let mut at = range.start / MIB_2 * MIB_2;
        while at < range.end {
            let gib = at / GIB * GIB..at / GIB * GIB + GIB;
            let table = self.table(root, FOUR, OF_GIB, at);
            let place = entry(table, OF_GIB, at);
            let old = memory::read_word(place);
            if old & HUGE != 0 {
                at = gib.end;
            } else if gib_leaves
                && old & PRESENT == 0
                && range.start <= gib.start
                && gib.end <= range.end
            {
                memory::write_word(place, gib.start | LEAF);
                at = gib.end;
            } else {
                let table = self.table(table, OF_GIB, OF_2_MIB, at);
                memory::write_word(entry(table, OF_2_MIB, at), at | LEAF);
                at += MIB_2;
            }
        }
    }

    /// Maps one page (`init_transition_pgtable`, arch/x86/kernel/machine_kexec_64.c).
    fn map_page(&mut self, root: u64, levels: u32, address: u64, physical: u64) {
        let table = self.table(root, levels, OF_PAGES, address);
        memory::write_word(entry(table, OF_PAGES, address), physical | PAGE_LEAF);
    }

    /// The table of level `to` that maps `address`, below the one of level `from`. Created if
    /// missing.
    fn table(&mut self, mut table: u64, from: u32, to: u32, address: u64) -> u64 {
        for level in (to + 1..=from).rev() {
            let place = entry(table, level, address);
            let old = memory::read_word(place);
            table = if old & PRESENT != 0 { old & ADDRESS } else { self.take() };
            memory::write_word(place, table | TABLE);
        }
        table
    }
}

/// The place of the entry for `address` in a table. Each level translates nine bits.
fn entry(table: u64, level: u32, address: u64) -> u64 {
    table + (address >> (12 + 9 * (level - 1)) & 0x1ff) * 8
}

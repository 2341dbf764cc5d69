//! [3] Physical memory as the firmware describes it, and the way to it.
//!
//! On exit: RAM is known, what `orders::map` sets aside is ours, and there is a heap.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegionKind, MemoryRegions};
use linked_list_allocator::LockedHeap;
use orders::map;
use orders::note::marker;
use x86_64::registers::control::Cr3;

use crate::harness::give_up;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Bytes of heap: an elfcorehdr for 8192 CPUs as it grows, above all.
const HEAP_LEN: u64 = 16 << 20;
/// A page.
pub const PAGE: u64 = 4096;

/// Where the RAM of boot has its marker: the last page of the kernel's data.
const FIRST_MARKER: u64 = map::KERNEL_DATA_START + map::KERNEL_DATA_LEN - PAGE;

/// What there is.
#[derive(Debug)]
pub struct Memory {
    /// Usable memory, ascending, merged; the kernel's own, the bootloader's and the crash region are in it.
    pub ram: Vec<Range<u64>>,
    /// Other ranges that the firmware names.
    pub reserved: Vec<Range<u64>>,
    /// The kernel's text: virtual address, and where that lies.
    pub text: (u64, Range<u64>),
    /// Where `orders::note::marker` has been planted.
    pub markers: Vec<u64>,
}

/// Reads the bootloader's memory map and takes what `orders::map` sets aside.
pub fn take(boot: &BootInfo) -> Memory {
    if boot.physical_memory_offset.into_option() != Some(map::DIRECT_MAP) {
        give_up(format_args!("physical memory is not mapped at {:#x}", map::DIRECT_MAP));
    }
    let own = map::KERNEL_DATA_START..map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    let usable = |region: &&bootloader_api::info::MemoryRegion| region.kind == MemoryRegionKind::Usable;
    if !boot.memory_regions.iter().filter(usable).any(|region| region.start <= own.start && own.end <= region.end) {
        give_up(format_args!("{own:#x?} is not usable memory: give the machine 512 MiB"));
    }
    // SAFETY: the range is usable memory, mapped writable for ever by the bootloader, and by orders::map nobody else's.
    unsafe { HEAP.lock().init(direct(map::KERNEL_HEAP), HEAP_LEN as usize) };

    write_word(FIRST_MARKER, marker(FIRST_MARKER));
    let is_ram = |kind| matches!(kind, MemoryRegionKind::Usable | MemoryRegionKind::Bootloader);
    Memory {
        ram: merged(&boot.memory_regions, is_ram),
        reserved: merged(&boot.memory_regions, |kind| !is_ram(kind)),
        text: text(),
        markers: vec![FIRST_MARKER],
    }
}

/// The ranges of some kinds, whole pages, adjacent ones as one.
fn merged(regions: &MemoryRegions, wanted: impl Fn(MemoryRegionKind) -> bool) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = regions.iter().filter(|r| wanted(r.kind)).map(|r| r.start..r.end).collect();
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range),
        }
    }
    merged.into_iter().map(|r| r.start.next_multiple_of(PAGE)..r.end / PAGE * PAGE).filter(|r| !r.is_empty()).collect()
}

/// The longest run of pages around our own code that is as contiguous in physical memory as it is in virtual.
fn text() -> (u64, Range<u64>) {
    let code = take as *const () as u64 / PAGE * PAGE;
    let physical = |page: u64| translate(page);
    let Some(here) = physical(code) else { give_up(format_args!("the page tables do not map {code:#x}")) };
    let mut first = 0;
    while physical(code - (first + 1) * PAGE) == Some(here - (first + 1) * PAGE) {
        first += 1;
    }
    let mut last = 0;
    while physical(code + (last + 1) * PAGE) == Some(here + (last + 1) * PAGE) {
        last += 1;
    }
    (code - first * PAGE, here - first * PAGE..here + (last + 1) * PAGE)
}

/// Where a byte of physical memory is in our address space.
pub fn direct(physical: u64) -> *mut u8 {
    (map::DIRECT_MAP + physical) as *mut u8
}

/// Copies `bytes` to physical address `start`.
pub fn write(start: u64, bytes: &[u8]) {
    // SAFETY: the caller writes to RAM: the crash region, the kernel's data, or where the orders send a stray write, whose point it is
    // to damage something. `bytes` lies in the ramdisk or in the kernel, which are neither.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), direct(start), bytes.len()) }
}

/// Fills `len` bytes from physical address `start` with zeroes.
pub fn zero(start: u64, len: u64) {
    // SAFETY: as in `write`.
    unsafe { core::ptr::write_bytes(direct(start), 0, len as usize) }
}

/// The eight bytes at physical address `at`, a multiple of eight.
pub fn read_word(at: u64) -> u64 {
    let word: *const u64 = direct(at).cast();
    // SAFETY: all physical memory is mapped; a word of it has no invalid bit pattern. Volatile: another CPU may write it.
    unsafe { word.read_volatile() }
}

/// Writes the eight bytes at physical address `at`, a multiple of eight.
pub fn write_word(at: u64, value: u64) {
    write(at, &value.to_le_bytes());
}

/// Page-table entry: present.
const PRESENT: u64 = 1 << 0;
/// Page-table entry above the last level: a leaf.
const HUGE: u64 = 1 << 7;
/// Bits 51:12, the address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Where a virtual address of the kernel lies, by its page tables.
pub fn translate(address: u64) -> Option<u64> {
    let mut table = Cr3::read().0.start_address().as_u64();
    for level in (0..4).rev() {
        let shift = 12 + 9 * level;
        let entry = read_word(table + (address >> shift & 0x1ff) * 8);
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 0 || level < 3 && entry & HUGE != 0 {
            let within = (1 << shift) - 1;
            return Some(entry & ADDRESS & !within | address & within);
        }
        table = entry & ADDRESS;
    }
    None
}

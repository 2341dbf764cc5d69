//! `[4]` Physical memory as the firmware describes it, and access to it.
//!
//! *On exit*: RAM is known, the memory that `orders::map` reserves is ours, there is a heap, and
//! markers are planted.

mod page_tables; // the kernel's own

use alloc::vec::Vec;
use core::ops::Range;

use linked_list_allocator::LockedHeap;
use orders::note::marker;
use orders::{PhysSpan, map};

use crate::boot::{self, Boot, MemoryRange};
use crate::harness::{crashed, give_up};

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Bytes of heap. The largest object is an elfcorehdr for 8192 CPUs while it grows.
const HEAP_LEN: u64 = 16 << 20;
/// A page.
pub const PAGE: u64 = 4096;

/// One past the crash region.
const CRASH_REGION_END: u64 = map::CRASH_REGION_START + map::CRASH_REGION_LEN;
/// Where markers are planted at boot: the kernel's last page before the crash region, and the first
/// page after it. Both ranges are in the dump.
const MARKERS: [u64; 2] = [map::CRASH_REGION_START - PAGE, CRASH_REGION_END];
/// The memory that must be usable, and is ours.
const OWN: [Range<u64>; 3] = [
    map::KERNEL_DATA_START..CRASH_REGION_END + PAGE,
    map::ORDERS..map::ORDERS + map::ORDERS_LEN,
    map::TRAMPOLINE..map::TRAMPOLINE + PAGE,
];
/// The part of it that is neither heap nor orders: it holds no variable, and no reference points
/// into it.
const BARE: [Range<u64>; 3] = [
    map::KERNEL_DATA_START..map::KERNEL_HEAP,
    map::KERNEL_HEAP + HEAP_LEN..CRASH_REGION_END + PAGE,
    map::TRAMPOLINE..map::TRAMPOLINE + PAGE,
];

const _: () = assert!(map::KERNEL_HEAP + HEAP_LEN <= map::KERNEL_LOG);

unsafe extern "C" {
    static _text: u8;
    static _end: u8;
}

/// The machine's memory.
#[derive(Debug)]
pub struct Memory {
    /// Usable memory, ascending, merged. It includes the kernel, the ramdisk and the crash
    /// region.
    pub ram: Vec<Range<u64>>,
    /// Other ranges that the firmware names.
    pub reserved: Vec<Range<u64>>,
    /// The kernel's image, from text to the end of its data: virtual address and physical range.
    pub text: (u64, Range<u64>),
    /// The addresses at which `orders::note::marker` was planted.
    pub markers: Vec<u64>,
}

/// Takes what `orders::map` reserves from the memory that the map at boot calls RAM.
pub fn take(boot: &Boot) -> Memory {
    let text = text();
    let taken =
        [text.1.clone(), place(boot.memory_map.as_ptr_range()), place(boot.ramdisk.as_ptr_range())];
    let usable = |range: &Range<u64>| {
        let holds = |ram: Range<u64>| ram.start <= range.start && range.end <= ram.end;
        boot.memory_map.iter().any(|known| known.is_ram() && holds(known.range()))
            && !taken.iter().any(|other| overlap(other, range))
    };
    if let Some(range) = OWN.iter().find(|range| !usable(range)) {
        give_up(format_args!("{range:#x?} is not usable memory: give the machine 512 MiB"));
    }
    if taken[1..].iter().any(|handed| overlap(handed, &text.1)) {
        give_up(format_args!("the ramdisk or the memory map is where the kernel is"));
    }
    // SAFETY: boot.S has mapped this usable memory permanently and writable, and orders::map
    // reserves it for the heap.
    unsafe { HEAP.lock().init(direct(map::KERNEL_HEAP), HEAP_LEN as usize) };

    let ram = merged(boot.memory_map, MemoryRange::is_ram);
    let reserved = merged(boot.memory_map, |known| !known.is_ram());
    ram.iter().filter(|range| boot::MAPPED < range.end).for_each(page_tables::map_directly);
    MARKERS.into_iter().for_each(|at| write_word(at, marker(at)));
    Memory { ram, reserved, text, markers: MARKERS.into() }
}

/// The ranges of some kinds in whole pages, with adjacent ones merged.
fn merged(map: &[MemoryRange], wanted: impl Fn(&MemoryRange) -> bool) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> =
        map.iter().filter(|known| wanted(known)).map(MemoryRange::range).collect();
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range),
        }
    }
    merged
        .into_iter()
        .map(|r| r.start.next_multiple_of(PAGE)..r.end / PAGE * PAGE)
        .filter(|r| !r.is_empty())
        .collect()
}

/// The kernel's image.
fn text() -> (u64, Range<u64>) {
    let (start, end) = ((&raw const _text).addr() as u64, (&raw const _end).addr() as u64);
    (start, start - map::KERNEL_MAP..end - map::KERNEL_MAP)
}

/// The physical memory of objects in the direct map.
fn place<T>(objects: Range<*const T>) -> Range<u64> {
    let physical = |address: *const T| address.addr() as u64 - map::DIRECT_MAP;
    physical(objects.start)..physical(objects.end)
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Memory {
    /// Takes a plugged-in DIMM as RAM.
    pub fn add(&mut self, span: PhysSpan) {
        let range = range(span);
        if self.ram.iter().chain(&self.reserved).any(|known| overlap(known, &range)) {
            give_up(format_args!("a DIMM was plugged in at {range:#x?}, where other memory is"));
        }
        page_tables::map_directly(&range);
        // SAFETY: it is mapped now, and overlaps no known memory, so it holds no Rust object.
        unsafe { copy(range.start, &marker(range.start).to_le_bytes()) };
        self.markers.push(range.start);
        self.ram.push(range);
        self.ram.sort_by_key(|range| range.start);
    }

    /// Forgets a DIMM before it is unplugged.
    pub fn remove(&mut self, span: PhysSpan) {
        let range = range(span);
        let Some(index) = self.ram.iter().position(|known| *known == range) else {
            give_up(format_args!("{range:#x?} is to be removed, but is no DIMM"))
        };
        self.ram.remove(index);
        self.markers.retain(|marker| !range.contains(marker));
    }
}

/// A span from outside, as a range.
pub fn range(span: PhysSpan) -> Range<u64> {
    let start = span.start.get();
    let Some(end) = span.end() else {
        give_up(format_args!("{:#x} bytes from {start:#x} wrap around", span.len))
    };
    start..end
}

/// The virtual address of a byte of physical memory.
pub fn direct(physical: u64) -> *mut u8 {
    (map::DIRECT_MAP + physical) as *mut u8
}

/// The virtual address of `len` bytes from physical address `start`. If they are not all in
/// [`BARE`], the run ends.
fn bare(start: u64, len: u64) -> *mut u8 {
    let holds = |range: &Range<u64>| range.contains(&start) && len <= range.end - start;
    if !BARE.iter().any(holds) {
        crashed(format_args!(
            "{len:#x} bytes from {start:#x} are not memory that this kernel may touch"
        ));
    }
    direct(start)
}

/// Copies `bytes` to physical address `start`, which must be in the memory that `orders::map`
/// reserves, outside the heap. Not before [`take`].
pub fn write(start: u64, bytes: &[u8]) {
    bare(start, bytes.len() as u64);
    // SAFETY: `take` has checked that all of BARE is usable memory, mapped writable, so it is
    // neither kernel nor ramdisk. It is also neither the heap nor the place for orders. So it holds
    // no Rust object, and `bytes` is elsewhere.
    unsafe { copy(start, bytes) }
}

/// # Safety
/// The memory is in the direct map, and holds no Rust object.
unsafe fn copy(start: u64, bytes: &[u8]) {
    // SAFETY: the caller guarantees it. `bytes` is a Rust object, so it does not overlap.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), direct(start), bytes.len()) }
}

/// Fills `len` bytes from physical address `start` with zeroes. As [`write()`].
pub fn zero(start: u64, len: u64) {
    let first = bare(start, len);
    // SAFETY: as in `write`.
    unsafe { core::ptr::write_bytes(first, 0, len as usize) }
}

/// The eight bytes at physical address `at`, a multiple of eight. As [`write()`].
pub fn read_word(at: u64) -> u64 {
    let word: *const u64 = bare(at, size_of::<u64>() as u64).cast();
    assert!(word.is_aligned(), "{at:#x} is no multiple of eight");
    // SAFETY: as in `write`. It is aligned, and a word has no invalid bit pattern. Volatile,
    // because another CPU may write it.
    unsafe { word.read_volatile() }
}

/// Writes the eight bytes at physical address `at`. As [`write()`].
pub fn write_word(at: u64, value: u64) {
    write(at, &value.to_le_bytes());
}

//! Physical memory, through our own page tables. The crash kernel's tables are under test, and they
//! do not map memory that was plugged in after loading.
//!
//! The map is one to one, in pages of 2 MiB. Each GiB is mapped on first use, with tables from a
//! fixed supply.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::cell::{Cell, UnsafeCell};
use core::slice;

use capture_payload::page_walk::CR4_LA57;
use capture_payload::range::Range;
use capture_payload::{Physical, Program};

use super::header;

/// Entries of a table, and bits of an address that it translates.
const ENTRIES: usize = 512;
const BITS_PER_TABLE: u32 = 9;
/// Tables in the supply: the root, and those for a GiB or two in every place where a test has
/// memory. Memory beyond that cannot be read, which is reported.
const SUPPLY: usize = 32;
/// Present, writable; for a page also accessed and dirty (SDM vol. 3A, "4-level paging and 5-level
/// paging").
const TABLE: u64 = 0x003;
const PAGE: u64 = 0x0e3;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Levels at which an entry maps 1 GiB and 2 MiB.
const GIB_LEVEL: u32 = 3;
const MIB_LEVEL: u32 = 2;
const GIB: u64 = 1 << 30;
/// CPUID leaf whose EAX bits 7:0 are the width of a physical address (SDM vol. 2A).
const CPUID_ADDRESS_SIZES: u32 = 0x8000_0008;

type Table = [u64; ENTRIES];

#[repr(C, align(4096))]
struct Supply(UnsafeCell<[Table; SUPPLY]>);

// SAFETY: there is one CPU, and only `Memory`, which is made once, touches it.
unsafe impl Sync for Supply {}

static TABLES: Supply = Supply(UnsafeCell::new([[0; ENTRIES]; SUPPLY]));

// From payload.ld. Only their addresses mean anything.
unsafe extern "C" {
    static __payload: u8;
    static __file_end: u8;
    static __image_end: u8;
}

/// Where the payload finds itself.
pub fn program() -> Program {
    Program {
        load: (&raw const __payload).addr() as u64,
        file_end: (&raw const __file_end).addr() as u64,
        image_end: (&raw const __image_end).addr() as u64,
        setup_header: header::copy(),
    }
}

/// All physical memory.
pub struct Memory {
    levels: u32,
    limit: u64,
    used: Cell<usize>,
}

impl Memory {
    /// Switches to tables of our own, which at first map what the payload needs itself. To be
    /// called once.
    pub fn map_ourselves(cr4: u64) -> Self {
        let physical_bits = __cpuid(CPUID_ADDRESS_SIZES).eax as u8;
        let levels = if cr4 & CR4_LA57 == 0 { 4 } else { 5 };
        // One to one only in the lower half of the address space, where bit 47, or 56, is 0.
        let virtual_bits = offset_bits(levels + 1) - 1;
        // The first table is the root.
        let memory = Self {
            levels,
            limit: 1 << u32::from(physical_bits).min(virtual_bits),
            used: Cell::new(1),
        };
        assert!(memory.map(program().image()), "the supply is larger than the payload's own needs");
        let root = TABLES.0.get().addr();
        // SAFETY: text, tables and stack are the payload's image, and stay where they are.
        unsafe {
            asm!("movq {0}, %cr3", in(reg) root, options(att_syntax, nostack, preserves_flags))
        };
        memory
    }

    /// Maps every GiB of the range; fails if there are no tables left.
    fn map(&self, range: Range) -> bool {
        let mut at = range.start() & !(GIB - 1);
        while at < range.end() {
            if !self.map_gib(at) {
                return false;
            }
            at += GIB;
        }
        true
    }

    fn map_gib(&self, at: u64) -> bool {
        let mut table = 0;
        for level in (GIB_LEVEL..=self.levels).rev() {
            match self.next_table(table, index(at, level)) {
                Some(next) => table = next,
                None => return false,
            }
        }
        let page_len = 1 << offset_bits(MIB_LEVEL);
        for entry in 0..ENTRIES {
            set_entry(table, entry, (at + entry as u64 * page_len) | PAGE);
        }
        true
    }

    /// Which of the supply's tables the entry leads to; a new one if it leads nowhere.
    fn next_table(&self, table: usize, entry: usize) -> Option<usize> {
        let first = TABLES.0.get().addr() as u64;
        let there = entry_of(table, entry);
        if there != 0 {
            return Some(((there & ADDRESS) - first) as usize / size_of::<Table>());
        }
        let new = self.used.get();
        if new == SUPPLY {
            return None;
        }
        self.used.set(new + 1);
        set_entry(table, entry, (first + (new * size_of::<Table>()) as u64) | TABLE);
        Some(new)
    }
}

impl Physical for Memory {
    fn bytes(&self, start: u64, len: u64) -> Option<&[u8]> {
        let range = Range::new(start, len)?;
        if range.is_empty() {
            return Some(&[]);
        }
        // A slice cannot begin at 0; nothing that is checked does.
        if start == 0
            || range.end() > self.limit
            || range.overlaps(program().tail())
            || !self.map(range)
        {
            return None;
        }
        // SAFETY: the range is mapped, does not wrap, and nothing that this program writes to is in
        // it.
        Some(unsafe { slice::from_raw_parts(start as *const u8, len as usize) })
    }
}

/// Bits of an address below those that the table at `level` translates.
const fn offset_bits(level: u32) -> u32 {
    12 + BITS_PER_TABLE * (level - 1)
}

/// Which entry of the table at `level` translates `address`.
const fn index(address: u64, level: u32) -> usize {
    (address >> offset_bits(level)) as usize % ENTRIES
}

fn place(table: usize, entry: usize) -> *mut u64 {
    assert!(
        table < SUPPLY && entry < ENTRIES,
        "tables come from the supply, and entries from an address"
    );
    TABLES.0.get().cast::<u64>().wrapping_add(table * ENTRIES + entry)
}

fn entry_of(table: usize, entry: usize) -> u64 {
    // SAFETY: `place` has shown that it lies in the supply.
    unsafe { place(table, entry).read_volatile() }
}

fn set_entry(table: usize, entry: usize, value: u64) {
    // SAFETY: `place` has shown that it lies in the supply. Volatile, because the CPU reads it;
    // nothing that was mapped changes, so that no translation need be forgotten.
    unsafe { place(table, entry).write_volatile(value) };
}

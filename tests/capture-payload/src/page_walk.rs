//! Page tables, as the CPU walks them (SDM vol. 3A, "4-level paging and 5-level paging").

use zerocopy::little_endian::U64;

use crate::Physical;
use crate::range::Range;

/// CR4.LA57: five levels.
pub const CR4_LA57: u64 = 1 << 12;

/// Bytes of an entry.
const ENTRY_LEN: u64 = 8;
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
/// At the levels of 2 MiB and 1 GiB: the entry maps a page; at higher ones it is reserved.
const PAGE_SIZE: u64 = 1 << 7;
/// Bits of an entry that are an address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bits of an address that one table translates.
const BITS_PER_TABLE: u32 = 9;
/// Bits of an address that are an offset in the smallest page.
const PAGE_BITS: u32 = 12;
/// The highest level at which an entry can map a page: 3, of 1 GiB.
const HIGHEST_LEAF: u32 = 3;

/// The page that contains an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its physical address.
    pub physical: u64,
    /// Its size in bytes.
    pub len: u64,
    /// Whether every level allows writing.
    pub writable: bool,
}

/// Why there is no one-to-one mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No entry for it.
    NotPresent,
    /// An entry with a bit set that must be 0 at its level.
    Reserved,
    /// A table is outside memory.
    Table,
    /// It is mapped to another address.
    Elsewhere,
    /// It cannot be written to.
    ReadOnly,
}

impl Gap {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotPresent => "no mapping",
            Self::Reserved => "a reserved bit in the page tables",
            Self::Table => "a page table outside memory",
            Self::Elsewhere => "a mapping to another address",
            Self::ReadOnly => "a read-only mapping",
        }
    }
}

/// The CPU's page tables: the address in CR3, and the number of levels.
#[derive(Clone, Copy, Debug)]
pub struct Tables {
    root: u64,
    levels: u32,
}

impl Tables {
    /// The tables of these CR3 and CR4.
    pub fn new(cr3: u64, cr4: u64) -> Self {
        Self { root: cr3 & ADDRESS, levels: if cr4 & CR4_LA57 == 0 { 4 } else { 5 } }
    }

    /// The page that contains `address`.
    pub fn page(&self, physical: &impl Physical, address: u64) -> Result<Page, Gap> {
        let mut table = self.root;
        let mut writable = true;
        for level in (1..=self.levels).rev() {
            let offset_bits = PAGE_BITS + BITS_PER_TABLE * (level - 1);
            let index = (address >> offset_bits) % (1 << BITS_PER_TABLE);
            let entry = physical.read::<U64>(table + index * ENTRY_LEN).ok_or(Gap::Table)?.get();
            if entry & PRESENT == 0 {
                return Err(Gap::NotPresent);
            }
            writable &= entry & WRITABLE != 0;
            let leaf = level == 1 || entry & PAGE_SIZE != 0;
            if leaf && level > HIGHEST_LEAF {
                return Err(Gap::Reserved);
            }
            if leaf {
                let len = 1 << offset_bits;
                return Ok(Page { physical: entry & ADDRESS & !(len - 1), len, writable });
            }
            table = entry & ADDRESS;
        }
        unreachable!("at level 1 every entry is a leaf")
    }

    /// The first address of `range` that is not mapped one to one and writable. Execution need not
    /// be checked, because the payload runs.
    pub fn gap(&self, physical: &impl Physical, range: Range) -> Option<(u64, Gap)> {
        let mut at = range.start();
        while at < range.end() {
            let page = match self.page(physical, at) {
                Ok(page) => page,
                Err(gap) => return Some((at, gap)),
            };
            let start = at & !(page.len - 1);
            if page.physical != start {
                return Some((at, Gap::Elsewhere));
            }
            if !page.writable {
                return Some((at, Gap::ReadOnly));
            }
            at = start.checked_add(page.len)?;
        }
        None
    }
}

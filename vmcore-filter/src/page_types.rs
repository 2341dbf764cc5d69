//! `[5]` How this kernel marks pages that are free, broken or not backed by memory.
//!
//! *On entry* VMCOREINFO. *On exit* offsets inside `struct page` that were checked, and the values
//! that mark them.
//!
//! | Linux | `page._mapcount` of a free block's first page |
//! | --- | --- |
//! | up to 6.8 | `~PG_buddy`, which is −129 |
//! | 6.9 to 6.11 | `~PG_buddy`, another bit |
//! | 6.12 and newer | the type 0xf0 in the top byte, −268435456 |
//!
//! VMCOREINFO has the value itself, so one comparison covers all of them. It has such values for
//! two more types:
//!
//! | type | since Linux | which page has it |
//! | --- | --- | --- |
//! | offline: a balloon, or memory that is not plugged in yet | 5.1 | each |
//! | unaccepted: a confidential guest has not accepted it yet | 6.16 | the first of a block |
//!
//! Unaccepted blocks have the largest order (`__free_unaccepted`, mm/page_alloc.c).
//!
//! A broken page in a huge page of hugetlb is marked at the huge page's head only
//! (`folio_set_hugetlb_hwpoison`, mm/memory-failure.c), so the head's other pages may be broken.
//! Their structs name the head: by its address up to 7.2, and from 7.3 on by a mask of their own
//! address, if `SIZE(page)` is a power of two (`compound_info_has_mask`, include/linux/page-flags.h).

use printk_ring::{Vmcoreinfo, vmcoreinfo};

use crate::Unfiltered;

/// The kernel's `struct page` has 64 bytes; debug options make it larger.
const LARGEST_PAGE_STRUCT: u64 = 512;
/// Map counts of mapped pages are −1 and more; the kernel leaves a gap below for underflows
/// (`PAGE_MAPCOUNT_RESERVE` and `PAGE_TYPE_BASE`, include/linux/page-flags.h). Types are below
/// −128.
const HIGHEST_TYPE: i32 = -129;
/// Blocks have at most 2^30 bytes on any configuration; more is garbage.
const MOST_ORDERS: u64 = 19;

/// What is read of `struct page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageTypes {
    /// Bytes of `struct page`.
    pub len: usize,
    flags: usize,
    mapcount: usize,
    refcount: usize,
    private: usize,
    /// Where a page of a huge one names its head, if VMCOREINFO says so.
    compound: Option<usize>,
    /// `_mapcount` of a free block's first page.
    buddy: i32,
    /// `_mapcount` of an offline page, if the kernel names it.
    offline: Option<i32>,
    /// `_mapcount` of the first page of an unaccepted block, if the kernel names it.
    unaccepted: Option<i32>,
    /// `PG_hwpoison` in `flags`, 0 if the kernel has none.
    poisoned: u64,
    /// Orders of free blocks are less (`NR_PAGE_ORDERS`).
    pub orders: u32,
}

/// What a `struct page` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first page of a free block of `2^order` pages.
    Free {
        /// Its order, which is less than [`PageTypes::orders`].
        order: u32,
    },
    /// Its memory is broken. Reading it can raise a machine check.
    Poisoned,
    /// The hypervisor has its memory. Reading it can make the hypervisor allocate memory again, or
    /// panic the capture kernel under Hyper-V (Linux 5.1, "kexec: export PG_offline to
    /// VMCOREINFO").
    Offline,
    /// The first page of a block of `2^order` pages that the guest never used.
    Unaccepted {
        /// Its order, which is the largest one.
        order: u32,
    },
    /// Anything else.
    Kept,
}

impl PageTypes {
    /// The marks of the kernel with this VMCOREINFO.
    pub fn of(info: &Vmcoreinfo<'_>) -> Result<Self, Unfiltered> {
        let size = info.size("page")?;
        if !(1..=LARGEST_PAGE_STRUCT).contains(&size) {
            return Err(Unfiltered::unknown("SIZE(page)", size));
        }
        let within = |field: &str, len: u64| {
            let name = format!("page.{field}");
            let at = info.offset(&name)?;
            match at.checked_add(len).is_some_and(|end| end <= size) {
                true => Ok(at as usize),
                false => Err(Unfiltered::unknown(&format!("OFFSET({name})"), at)),
            }
        };
        let page_type = |name: &str| {
            let value = info.number(name)?;
            match i32::try_from(value) {
                Ok(value) if value <= HIGHEST_TYPE => Ok(value),
                _ => Err(Unfiltered::unknown(&format!("NUMBER({name})"), value)),
            }
        };
        let buddy = page_type("PAGE_BUDDY_MAPCOUNT_VALUE")?;
        let orders = info.length("zone.free_area")?;
        if !(1..=MOST_ORDERS).contains(&orders) {
            return Err(Unfiltered::unknown("LENGTH(zone.free_area)", orders));
        }
        let poisoned = match optional(info.number("PG_hwpoison").map_err(Unfiltered::from))? {
            Some(bit @ 0..64) => 1 << bit,
            Some(bit) => return Err(Unfiltered::unknown("NUMBER(PG_hwpoison)", bit)),
            // The kernel was built without CONFIG_MEMORY_FAILURE.
            None => 0,
        };
        Ok(Self {
            len: size as usize,
            flags: within("flags", 8)?,
            mapcount: within("_mapcount", 4)?,
            refcount: within("_refcount", 4)?,
            private: within("private", 8)?,
            compound: match optional(within("compound_head", 8))? {
                Some(at) => Some(at),
                None => optional(within("compound_info", 8))?,
            },
            buddy,
            offline: optional(page_type("PAGE_OFFLINE_MAPCOUNT_VALUE"))?,
            unaccepted: optional(page_type("PAGE_UNACCEPTED_MAPCOUNT_VALUE"))?,
            poisoned,
            orders: orders as u32,
        })
    }

    /// The address of the head's `struct page`, if the struct with these bytes, at this address,
    /// is that of another page of a huge one.
    pub fn head(&self, page: &[u8], address: u64) -> Option<u64> {
        /// Set in every page but the head (`PageTail`, include/linux/page-flags.h).
        const TAIL: u64 = 1;
        let info = word(page, self.compound?);
        if info & TAIL == 0 {
            return None;
        }
        let head = info & !TAIL;
        // A mask is one bits from the top. An address that looks like one is what it masks.
        let is_mask = head.wrapping_neg().is_power_of_two();
        Some(if is_mask { address & head } else { head })
    }

    /// What the bytes of a `struct page` say; there are [`len`](Self::len) of them.
    #[inline]
    pub fn kind(&self, page: &[u8]) -> Kind {
        let word = |at: usize| word(page, at);
        let int = |at: usize| i32::from_le_bytes(std::array::from_fn(|byte| page[at + byte]));
        if word(self.flags) & self.poisoned != 0 {
            return Kind::Poisoned;
        }
        let mapcount = int(self.mapcount);
        if mapcount > HIGHEST_TYPE {
            return Kind::Kept;
        }
        if self.offline == Some(mapcount) {
            return Kind::Offline;
        }
        // These blocks have no users. The value alone could be something else in a struct that
        // overlays `struct page`.
        if int(self.refcount) != 0 {
            return Kind::Kept;
        }
        if self.unaccepted == Some(mapcount) {
            return Kind::Unaccepted { order: self.orders - 1 };
        }
        if mapcount != self.buddy {
            return Kind::Kept;
        }
        match u32::try_from(word(self.private)) {
            Ok(order) if order < self.orders => Kind::Free { order },
            _ => Kind::Kept,
        }
    }
}

#[inline]
fn word(page: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| page[at + byte]))
}

/// A line that not every kernel has.
fn optional<T>(value: Result<T, Unfiltered>) -> Result<Option<T>, Unfiltered> {
    match value {
        Err(Unfiltered::Vmcoreinfo(vmcoreinfo::Error::Missing { .. })) => Ok(None),
        value => value.map(Some),
    }
}

//! `[4]` Virtual memory of the crashed kernel: its page tables, with four or five levels.
//!
//! *On entry* VMCOREINFO names the root of the page tables. *On exit* virtual memory can be read.
//! The tables were tried once: they translate their own root's address to where the root is.

use std::io;

use printk_ring::{Vmcoreinfo, vmcoreinfo};

use crate::memory::PHYSICAL_BITS;
use crate::physical::Physical;
use crate::vmcore::Vmcore;
use crate::{PAGE_LEN, Unfiltered};

/// Virtual address of physical address `phys_base` (`__START_KERNEL_map`,
/// arch/x86/include/asm/page_64_types.h).
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Names of the root: since Linux 4.17, and before.
const ROOTS: [&str; 2] = ["init_top_pgt", "swapper_pg_dir"];

/// `_PAGE_PRESENT`.
const PRESENT: u64 = 1;
/// `_PAGE_PSE`: the entry maps memory and leads to no further table.
const LARGE: u64 = 1 << 7;
/// Bits of a virtual address that index one table.
const INDEX_BITS: u32 = 9;
const PAGE_BITS: u32 = 12;
/// An entry of the tables of level 3 maps 1 GiB at most. Level 4 and 5 have no large pages.
const HIGHEST_LARGE: u32 = 3;

/// The virtual address space of the crashed kernel.
#[derive(Debug)]
pub struct AddressSpace<'a> {
    physical: Physical<'a>,
    /// Physical address of the root.
    root: u64,
    levels: u32,
    /// The bits of an entry that are an address.
    address_bits: u64,
    last: Option<Mapping>,
}

/// A range of virtual memory that is contiguous in physical memory.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    virtual_start: u64,
    physical_start: u64,
    len: u64,
}

/// The page tables, as VMCOREINFO describes them.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Virtual and physical address of the root.
    symbol: u64,
    root: u64,
    levels: u32,
    address_bits: u64,
}

impl Tables {
    /// Those of the kernel with this VMCOREINFO.
    pub fn named(info: &Vmcoreinfo<'_>) -> Result<Self, Unfiltered> {
        let [new, old] = ROOTS.map(|name| info.symbol(name));
        let symbol = new.or_else(|error| old.map_err(|_| error))?;
        let phys_base = info.number("phys_base")? as u64;
        let levels = match info.number("pgtable_l5_enabled")? {
            0 => 4,
            1 => 5,
            value => return Err(Unfiltered::unknown("NUMBER(pgtable_l5_enabled)", value)),
        };
        // The mask is missing on kernels without memory encryption.
        let encrypted = match info.number("sme_mask") {
            Ok(mask) => mask as u64,
            Err(vmcoreinfo::Error::Missing { .. }) => 0,
            Err(garbled) => return Err(garbled.into()),
        };
        let root = symbol.wrapping_sub(KERNEL_MAP).wrapping_add(phys_base);
        let address_bits = ((1 << PHYSICAL_BITS) - PAGE_LEN) & !encrypted;
        Ok(Self { symbol, root, levels, address_bits })
    }
}

impl<'a> AddressSpace<'a> {
    /// Finds the page tables, and tries them.
    pub fn find(core: &'a Vmcore, info: &Vmcoreinfo<'_>) -> Result<Self, Unfiltered> {
        let Tables { symbol, root, levels, address_bits } = Tables::named(info)?;
        let physical = core.physical();
        let mut space = Self { physical, root, levels, address_bits, last: None };
        match space.translate(symbol)? {
            Some(found) if found == root && root.is_multiple_of(PAGE_LEN) => Ok(space),
            found => Err(Unfiltered::PageTables { symbol, root, found }),
        }
    }

    /// Physical address of the root.
    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// The physical address of a virtual one. `None` if it is not mapped, or if the vmcore lacks a
    /// table that leads to it.
    pub fn translate(&mut self, address: u64) -> io::Result<Option<u64>> {
        Ok(self.mapping(address)?.map(|mapping| mapping.physical(address)))
    }

    /// Copies virtual memory. `Ok(false)` if not all of it is mapped and in the vmcore.
    pub fn read(&mut self, address: u64, bytes: &mut [u8]) -> io::Result<bool> {
        let (mut address, mut bytes) = (address, bytes);
        while !bytes.is_empty() {
            let Some(mapping) = self.mapping(address)? else { return Ok(false) };
            let follow = mapping.len - (address - mapping.virtual_start);
            let len = bytes.len().min(usize::try_from(follow).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at_mut(len);
            if !self.physical.read(mapping.physical(address), now)? {
                return Ok(false);
            }
            // After the last address there is no memory.
            let Some(next) = address.checked_add(len as u64) else { return Ok(later.is_empty()) };
            (address, bytes) = (next, later);
        }
        Ok(true)
    }

    /// Reads a pointer or another unsigned long.
    pub fn word(&mut self, address: u64) -> io::Result<Option<u64>> {
        match self.mapping(address)? {
            Some(mapping) if mapping.len - (address - mapping.virtual_start) >= 8 => {
                self.physical.word(mapping.physical(address))
            }
            // In two mappings.
            Some(_) => {
                let mut word = [0; 8];
                Ok(self.read(address, &mut word)?.then_some(u64::from_le_bytes(word)))
            }
            None => Ok(None),
        }
    }

    fn mapping(&mut self, address: u64) -> io::Result<Option<Mapping>> {
        if let Some(last) = self.last.filter(|last| last.contains(address)) {
            return Ok(Some(last));
        }
        let mut table = self.root;
        for level in (1..=self.levels).rev() {
            let shift = PAGE_BITS + INDEX_BITS * (level - 1);
            let index = address >> shift & ((1 << INDEX_BITS) - 1);
            let Some(entry) = self.physical.word(table + index * 8)? else { return Ok(None) };
            if entry & PRESENT == 0 {
                return Ok(None);
            }
            let pointed = entry & self.address_bits;
            let is_last = level == 1 || (level <= HIGHEST_LARGE && entry & LARGE != 0);
            if is_last {
                let len = 1 << shift;
                // The low bits of a large page's address hold flags (PAT).
                let (virtual_start, physical_start) = (address & !(len - 1), pointed & !(len - 1));
                self.last = Some(Mapping { virtual_start, physical_start, len });
                return Ok(self.last);
            }
            table = pointed;
        }
        Ok(None)
    }
}

impl Mapping {
    fn contains(&self, address: u64) -> bool {
        address >= self.virtual_start && address - self.virtual_start < self.len
    }

    fn physical(&self, address: u64) -> u64 {
        self.physical_start + (address - self.virtual_start)
    }
}

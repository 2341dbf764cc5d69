//! A vmcore of a made-up kernel with 4 MiB of memory: page tables, sections, `struct page`s and
//! VMCOREINFO are where a real kernel has them, as far as free pages depend on them.

use std::ops::Range;

pub const PAGE: usize = 4096;
/// Pages of memory, from physical address 0.
pub const PAGES: usize = 1024;
/// Virtual address of physical address 0.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Physical addresses.
const ROOT: u64 = 0x1_0000;
const TABLES: [u64; 3] = [0x1_1000, 0x1_2000, 0x1_3000];
const SECTION_ROOTS: u64 = 0x2_0000;
const SECTION_STRUCTS: u64 = 0x2_1000;
/// `SIZE(mem_section)`.
const SECTION_STRUCT: u64 = 32;
const PAGE_STRUCTS: u64 = 0x10_0000;
/// Bytes of `struct page`, and where its fields are.
const STRUCT: u64 = 64;
const FLAGS: u64 = 0;
pub const COMPOUND: u64 = 8;
const PRIVATE: u64 = 40;
const MAPCOUNT: u64 = 48;
const REFCOUNT: u64 = 52;
const POISON_BIT: u64 = 21;
/// The pages that hold what is above.
pub const KERNELS_OWN: Range<usize> = 0..0x110;

/// How this kernel marks things.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub five_levels: bool,
    /// `PAGE_BUDDY_MAPCOUNT_VALUE`.
    pub buddy: i32,
    /// `PAGE_OFFLINE_MAPCOUNT_VALUE`.
    pub offline: i32,
}

/// As Linux up to 6.8 and from 6.12 on have it.
pub const KINDS: [Kind; 4] = [
    Kind { five_levels: false, buddy: -129, offline: -257 },
    Kind { five_levels: true, buddy: -129, offline: -257 },
    Kind { five_levels: false, buddy: -268_435_456, offline: -251_658_240 },
    Kind { five_levels: true, buddy: -268_435_456, offline: -251_658_240 },
];

pub struct Kernel {
    pub memory: Vec<u8>,
    pub vmcoreinfo: String,
    kind: Kind,
}

impl Kernel {
    /// No page is free, and each holds its own number.
    pub fn new(kind: Kind) -> Self {
        let Kind { five_levels, buddy, offline } = kind;
        let symbol = |address: u64| KERNEL_MAP + address;
        let vmcoreinfo = format!(
            "OSRELEASE=6.12.0\nPAGESIZE=4096\nSYMBOL(init_top_pgt)={:x}\nNUMBER(phys_base)=0\n\
             NUMBER(pgtable_l5_enabled)={}\nSYMBOL(mem_section)={:x}\nLENGTH(mem_section)=2048\n\
             SIZE(mem_section)={SECTION_STRUCT}\nOFFSET(mem_section.section_mem_map)=0\n\
             NUMBER(SECTION_SIZE_BITS)=27\nSIZE(page)={STRUCT}\nOFFSET(page.flags)={FLAGS}\n\
             OFFSET(page._refcount)={REFCOUNT}\nOFFSET(page._mapcount)={MAPCOUNT}\n\
             OFFSET(page.private)={PRIVATE}\nLENGTH(zone.free_area)=11\n\
             NUMBER(PG_hwpoison)={POISON_BIT}\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)={buddy}\n\
             NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)={offline}\n",
            symbol(ROOT),
            u8::from(five_levels),
            symbol(SECTION_ROOTS),
        );
        let mut kernel = Self { memory: vec![0; PAGES * PAGE], vmcoreinfo, kind };
        for pfn in KERNELS_OWN.end..PAGES {
            kernel.put(pfn as u64 * PAGE as u64, pfn as u64);
        }
        // The last two entries of the tables map the kernel: level 4 and 3, then 2 MiB each.
        let mut table = ROOT;
        let mut below = TABLES.into_iter();
        for index in if five_levels { &[511, 511, 510][..] } else { &[511, 510] } {
            let next = below.next().unwrap();
            kernel.put(table + index * 8, next | 1);
            table = next;
        }
        for large in 0..2 {
            kernel.put(table + large * 8, (large << 21) | 0x81);
        }
        kernel.put(SECTION_ROOTS, symbol(SECTION_STRUCTS));
        kernel.put(SECTION_STRUCTS, symbol(PAGE_STRUCTS) | 3);
        (0..PAGES).for_each(|pfn| kernel.mark(pfn, 0, -1, 1));
        kernel
    }

    /// A free block of `2^order` pages begins here.
    pub fn free(&mut self, pfn: usize, order: u64) {
        self.mark(pfn, order, self.kind.buddy, 0);
    }

    /// What the `struct page` says of private data, map count and users.
    pub fn mark(&mut self, pfn: usize, private: u64, mapcount: i32, refcount: u32) {
        let at = PAGE_STRUCTS + pfn as u64 * STRUCT;
        self.put(at + PRIVATE, private);
        let counts = u64::from(mapcount as u32) | u64::from(refcount) << 32;
        self.put(at + MAPCOUNT, counts);
    }

    /// The kernel's list has no section here.
    pub fn forget_section(&mut self, section: u64) {
        self.put(SECTION_STRUCTS + section * SECTION_STRUCT, 0);
    }

    pub fn poison(&mut self, pfn: usize) {
        self.put(PAGE_STRUCTS + pfn as u64 * STRUCT + FLAGS, 1 << POISON_BIT);
    }

    /// The virtual address of a `struct page`.
    pub fn struct_at(pfn: usize) -> u64 {
        KERNEL_MAP + PAGE_STRUCTS + pfn as u64 * STRUCT
    }

    /// Where a page of a huge one names its head.
    pub fn name_head(&mut self, pfn: usize, info: u64) {
        self.put(PAGE_STRUCTS + pfn as u64 * STRUCT + COMPOUND, info);
    }

    fn put(&mut self, address: u64, word: u64) {
        let at = address as usize;
        self.memory[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    pub fn page(&self, pfn: usize) -> &[u8] {
        &self.memory[pfn * PAGE..(pfn + 1) * PAGE]
    }

    /// The ELF core: one PT_NOTE, one PT_LOAD.
    pub fn core(&self) -> Vec<u8> {
        self.core_of(&[0])
    }

    /// The same with a second PT_LOAD of as many pages, which begin at page `first`.
    pub fn core_with_removed(&self, first: usize) -> Vec<u8> {
        self.core_of(&[0, first * PAGE])
    }

    /// With a PT_LOAD of the whole memory at each of these physical addresses.
    fn core_of(&self, places: &[usize]) -> Vec<u8> {
        let name = b"VMCOREINFO\0\0";
        let mut note = Vec::new();
        for field in [11, self.vmcoreinfo.len() as u32, 0] {
            note.extend(field.to_le_bytes());
        }
        note.extend(name);
        note.extend(self.vmcoreinfo.as_bytes());
        let mut core = vec![0; PAGE];
        core[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        for (at, half) in [(16, 4_u16), (18, 62), (52, 64), (54, 56), (56, 1 + places.len() as u16)]
        {
            core[at..at + 2].copy_from_slice(&half.to_le_bytes());
        }
        core[32..40].copy_from_slice(&64_u64.to_le_bytes());
        // Kind, offset, physical address, bytes.
        let mut headers = vec![(4, PAGE, 0, note.len())];
        for (index, place) in places.iter().enumerate() {
            let len = self.memory.len();
            headers.push((1, 2 * PAGE + index * len, *place, len));
        }
        for (index, (kind, offset, physical, len)) in headers.into_iter().enumerate() {
            let at = 64 + index * 56;
            core[at] = kind;
            for (field, value) in [(8, offset), (24, physical), (32, len), (40, len)] {
                core[at + field..at + field + 8].copy_from_slice(&(value as u64).to_le_bytes());
            }
        }
        core.extend(&note);
        core.resize(2 * PAGE, 0);
        places.iter().for_each(|_| core.extend(&self.memory));
        core
    }
}

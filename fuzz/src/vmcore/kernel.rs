//! The smallest kernel whose free pages are found: a core of which the file has only the bytes that
//! lead to them. A `struct page` has 24 bytes, so that those of 2 MiB of memory are short.

/// Virtual address of physical address 0.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
const PAGE_STRUCTS: u64 = 0x10_0000;
/// `struct page`s that are read at once.
const COUNT: usize = 512;
const STRUCT: usize = 24;

/// What it says of itself. Its page tables have four levels, and five lead to the same.
pub(crate) const KERNEL: &str = "\
OSRELEASE=6.12.0
SYMBOL(init_top_pgt)=ffffffff80010000
NUMBER(phys_base)=0
NUMBER(pgtable_l5_enabled)=0
SYMBOL(mem_section)=ffffffff80020000
LENGTH(mem_section)=2048
SIZE(mem_section)=32
OFFSET(mem_section.section_mem_map)=0
NUMBER(SECTION_SIZE_BITS)=27
SIZE(page)=24
OFFSET(page.flags)=0
OFFSET(page.private)=8
OFFSET(page._mapcount)=16
OFFSET(page._refcount)=20
LENGTH(zone.free_area)=11
NUMBER(PG_hwpoison)=21
NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129
NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-257
";

/// The core of a kernel that says this.
pub(crate) fn seed(vmcoreinfo: &str) -> Vec<u8> {
    let word = |value: u64| value.to_le_bytes().to_vec();
    // With five levels, the entry of the root leads to the table of level 4.
    let above = if vmcoreinfo.contains("l5_enabled)=1") { 511 } else { 510 };
    let memory: Vec<(u64, Vec<u8>)> = vec![
        (0x1_0ff8, word(0x1_1001)),
        (0x1_1000 + above * 8, word(0x1_2001)),
        (0x1_2000, word(0x81)),
        (0x1_2ff0, word(0x1_3001)),
        (0x1_3000, word(0x81)),
        (0x2_0000, word(KERNEL_MAP + 0x2_1000)),
        (0x2_1000, word((KERNEL_MAP + PAGE_STRUCTS) | 3)),
        (PAGE_STRUCTS, structs()),
        // The free block, of which two pages are in the core, the broken page, and a last one.
        (0x18_0010, b"free".to_vec()),
        (0x18_7ff8, b"free until the end of the page, and then kept".to_vec()),
        (0x18_9000, b"broken".to_vec()),
        (0x18_a000, vec![0; 16]),
    ];
    core(vmcoreinfo, &memory)
}

/// Pages 0x180 to 0x187 are free, and page 0x189 is broken.
fn structs() -> Vec<u8> {
    let kept = [0, 0, u64::from(u32::MAX) | 1 << 32].map(u64::to_le_bytes).concat();
    let mut structs = kept.repeat(COUNT);
    let mut mark = |pfn: usize, words: [u64; 3]| {
        structs[pfn * STRUCT..][..STRUCT]
            .copy_from_slice(words.map(u64::to_le_bytes).as_flattened());
    };
    mark(0x180, [0, 3, u64::from((-129_i32) as u32)]);
    mark(0x189, [1 << 21, 0, 1 << 32]);
    structs
}

/// One PT_NOTE, and a PT_LOAD for each part of memory.
fn core(vmcoreinfo: &str, memory: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut note = [11, vmcoreinfo.len() as u32, 0].map(u32::to_le_bytes).concat();
    note.extend(b"VMCOREINFO\0\0");
    note.extend(vmcoreinfo.as_bytes());
    let count = memory.len() + 1;
    let mut offset = 64 + 56 * count as u64;
    let mut core = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    core.extend([0, 64, 0].map(u64::to_le_bytes).as_flattened());
    core.extend([0, 0, 64, 56, count as u16, 0, 0, 0].map(u16::to_le_bytes).as_flattened());
    let mut program = |kind: u64, physical: u64, len: usize| {
        let len = len as u64;
        let fields = [kind, offset, 0, physical, len, len, 0];
        core.extend(fields.map(u64::to_le_bytes).as_flattened());
        offset += len;
    };
    program(4, 0, note.len());
    memory.iter().for_each(|(physical, bytes)| program(1, *physical, bytes.len()));
    core.extend(note);
    memory.iter().for_each(|(_, bytes)| core.extend(bytes));
    core
}

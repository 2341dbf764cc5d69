//! The elfcorehdr as Linux writes it on a hotplug event (`crash_prepare_elf64_headers`,
//! kernel/crash_core.c; `arch_crash_handle_hotplug_event`, arch/x86/kernel/crash.c): in place, and
//! only the pages that it fills. The rest of the segment stays as it is.

use alloc::vec::Vec;
use core::ops::Range;

use orders::{Crash, map};
use spin::Mutex;

use crate::harness::{give_up, line};
use crate::load;
use crate::memory::{self, Memory, PAGE};

/// `sizeof(Elf64_Ehdr)`.
const EHDR_SIZE: usize = 64;
/// `sizeof(Elf64_Phdr)`.
const PHDR_SIZE: usize = 56;
const ET_CORE: u16 = 4;
const EM_X86_64: u16 = 62;
const EV_CURRENT: u32 = 1;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// PF_R | PF_W | PF_X.
const RWX: u32 = 7;
/// The low MiB, where Linux keeps nothing that a dump needs (`elf_header_exclude_ranges`,
/// arch/x86/kernel/crash.c).
const LOW_MEMORY: u64 = 1 << 20;

/// One writer at a time (`__crash_hotplug_lock`).
static LOCK: Mutex<()> = Mutex::new(());

/// The RAM of the dump, ascending: without the low MiB and the crash region.
pub fn dumped(memory: &Memory) -> Vec<Range<u64>> {
    let crash_region = map::CRASH_REGION_START..map::CRASH_REGION_START + map::CRASH_REGION_LEN;
    let mut ranges = Vec::new();
    for range in &memory.ram {
        let start = range.start.max(LOW_MEMORY);
        ranges.push(start..range.end.min(crash_region.start).max(start));
        let start = start.max(crash_region.end);
        ranges.push(start..range.end.max(start));
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// What the elfcorehdr says unless it was damaged.
#[derive(Debug)]
pub struct Written {
    /// Whether the kernel wrote it, and not the loader.
    pub by_kernel: bool,
    /// The RAM that it describes: [`dumped`] when it was written.
    pub ram: Vec<Range<u64>>,
}

impl Written {
    /// Written by the loader, from the machine's RAM at load.
    pub fn at_load(memory: &Memory) -> Self {
        Self { by_kernel: false, ram: dumped(memory) }
    }
}

/// Rewrites the elfcorehdr from what the kernel knows now. If that does not fit, the old one stays,
/// as in Linux.
pub fn rewrite(crash: &Crash<'_>, memory: &Memory, written: &mut Written) {
    let _one_writer = LOCK.lock();
    let Some(segment) = load::elfcorehdr(crash) else {
        give_up(format_args!("no segment begins like an ELF file"))
    };
    let header = header(crash.possible_cpus, memory);
    let count = (header.len() - EHDR_SIZE) / PHDR_SIZE;
    let len = (header.len() as u64).next_multiple_of(PAGE);
    if len > segment.end - segment.start {
        line!("elfcorehdr kept: {len} bytes do not fit {segment:#x?}");
        return;
    }
    memory::write(segment.start, &header);
    memory::zero(segment.start + header.len() as u64, len - header.len() as u64);
    *written = Written { by_kernel: true, ram: dumped(memory) };
    line!("elfcorehdr rewritten: {count} headers");
}

fn header(possible_cpus: u32, memory: &Memory) -> Vec<u8> {
    let (mut programs, mut count) = (Vec::<u8>::new(), 0_u16);
    // p_offset is the physical address, and p_align is 0, as /proc/vmcore expects
    // (fs/proc/vmcore.c).
    let mut program = |kind: u32, flags: u32, virt: u64, physical: u64, len: u64| {
        programs.extend([kind, flags].map(u32::to_le_bytes).as_flattened());
        let words = [physical, virt, physical, len, len, 0];
        programs.extend(words.map(u64::to_le_bytes).as_flattened());
        count += 1;
    };
    for cpu in 0..u64::from(possible_cpus) {
        let note = map::CPU_NOTES + cpu * map::CPU_NOTE_STRIDE;
        program(PT_NOTE, 0, 0, note, map::CPU_NOTE_LEN);
    }
    program(PT_NOTE, 0, 0, map::CRASH_NOTE, map::CRASH_NOTE_LEN);
    let (address, text) = &memory.text;
    program(PT_LOAD, RWX, *address, text.start, text.end - text.start);
    for Range { start, end } in dumped(memory) {
        program(PT_LOAD, RWX, map::DIRECT_MAP + start, start, end - start);
    }

    let mut header = Vec::from(b"\x7fELF\x02\x01\x01");
    header.resize(16, 0);
    header.extend([ET_CORE, EM_X86_64].map(u16::to_le_bytes).as_flattened());
    header.extend(EV_CURRENT.to_le_bytes());
    // e_entry, e_phoff, e_shoff
    header.extend([0, EHDR_SIZE as u64, 0].map(u64::to_le_bytes).as_flattened());
    header.extend(0_u32.to_le_bytes()); // e_flags
    let sizes = [EHDR_SIZE as u16, PHDR_SIZE as u16, count, 0, 0, 0];
    header.extend(sizes.map(u16::to_le_bytes).as_flattened()); // no sections
    header.extend(programs);
    header
}

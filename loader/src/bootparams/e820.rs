//! [5b] The memory map for the capture kernel: which memory it may use, and which it must know of.
//!
//! After `crash_setup_memmap_entries` (arch/x86/kernel/crash.c) and, for persistent memory, kexec-tools.

use crate::machine::Machine;
use crate::phys::{PhysRange, merged, subtract};

/// `enum e820_type` (arch/x86/include/asm/e820/types.h), as far as it is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    Ram = 1,
    Reserved = 2,
    Acpi = 3,
    Nvs = 4,
    Pmem = 7,
    Pram = 12,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub range: PhysRange,
    pub kind: Kind,
}

/// The real-mode trampolines of the capture kernel, and the one that switches between four and five levels of page tables, need RAM
/// below 1 MiB (`reserve_real_mode`, arch/x86/realmode/init.c; arch/x86/boot/compressed/pgtable_64.c).
const LOW_1M: u64 = 1 << 20;

/// The map, ascending, without overlaps. `elfcorehdr` is in none of its entries: the capture kernel reads it with `ioremap_cache`, which
/// refuses RAM (arch/x86/mm/ioremap.c).
pub(super) fn entries(machine: &Machine, elfcorehdr: Option<PhysRange>) -> Vec<Entry> {
    let low = machine.system_ram.iter().filter_map(|range| PhysRange::new(range.start(), range.end().min(LOW_1M)));
    let ram = merged(low.chain(machine.crash_regions.iter().copied()).chain(machine.crash_cma.iter().copied()).collect());
    // Where firmware contradicts itself the higher type wins, as in the kernel (`e820__update_table`, arch/x86/kernel/e820.c).
    let classes: [(Kind, &[PhysRange]); 6] = [
        (Kind::Pram, &machine.pram),
        (Kind::Pmem, &machine.pmem),
        (Kind::Nvs, &machine.acpi_nvs),
        (Kind::Acpi, &machine.acpi_tables),
        (Kind::Reserved, &machine.reserved),
        (Kind::Ram, &ram),
    ];
    let mut taken: Vec<PhysRange> = Vec::new();
    let mut map = Vec::new();
    for (kind, ranges) in classes {
        if kind == Kind::Ram {
            taken.extend(elfcorehdr);
        }
        let ranges = merged(ranges.to_vec());
        map.extend(subtract(&ranges, &taken).into_iter().map(|range| Entry { range, kind }));
        taken.extend(ranges);
    }
    map.sort_unstable_by_key(|entry| entry.range);
    map
}

//! The memory map for the capture kernel: the memory that it may use, and the memory that it must
//! know of.
//!
//! It has the same entries as that of `crash_setup_memmap_entries` (arch/x86/kernel/crash.c), and
//! as kexec-tools' for persistent memory.

use crate::machine::Machine;
use crate::phys::{LOW_1M, PhysRange, merged, subtract};

/// The types of `enum e820_type` (arch/x86/include/asm/e820/types.h) that are passed on.
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

/// The map, ascending, without overlaps. No RAM entry includes `elfcorehdr`, because the capture
/// kernel reads it with `ioremap_cache`, which rejects RAM (arch/x86/mm/ioremap.c). `black_box` is
/// reserved, so that the capture kernel leaves it to the boot after a reset.
pub(super) fn entries(
    machine: &Machine,
    elfcorehdr: Option<PhysRange>,
    black_box: &[PhysRange],
) -> Vec<Entry> {
    // The capture kernel needs RAM below 1 MiB for its real-mode trampolines, and for the one that
    // switches between four and five levels of page tables (`reserve_real_mode`,
    // arch/x86/realmode/init.c; arch/x86/boot/compressed/pgtable_64.c).
    let low = machine
        .system_ram
        .iter()
        .filter_map(|range| PhysRange::new(range.start(), range.end().min(LOW_1M)));
    let ram = merged(
        low.chain(machine.crash_regions.iter().copied())
            .chain(machine.crash_cma.iter().flatten().copied())
            .collect(),
    );
    let reserved = [&machine.reserved, black_box].concat();
    // If firmware contradicts itself, the higher type wins, as in the kernel (`e820__update_table`,
    // arch/x86/kernel/e820.c).
    let classes: [(Kind, &[PhysRange]); 6] = [
        (Kind::Pram, &machine.pram),
        (Kind::Pmem, &machine.pmem),
        (Kind::Nvs, &machine.acpi_nvs),
        (Kind::Acpi, &machine.acpi_tables),
        (Kind::Reserved, &reserved),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::example;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(start, end).unwrap()
    }

    fn map(machine: &Machine, elfcorehdr: PhysRange) -> Vec<(Kind, PhysRange)> {
        entries(machine, Some(elfcorehdr), &[])
            .into_iter()
            .map(|entry| (entry.kind, entry.range))
            .collect()
    }

    #[test]
    fn map_of_the_example_has_low_ram_crash_memory_and_firmwares_ranges() {
        let expected = [
            (Kind::Reserved, range(0, 0x1000)),
            (Kind::Ram, range(0x1000, 0x9fc00)),
            (Kind::Reserved, range(0x9fc00, 0xa_0000)),
            // The CMA area is RAM of the capture kernel, as is the crash region after the
            // elfcorehdr.
            (Kind::Ram, range(0x2000_0000, 0x2100_0000)),
            (Kind::Ram, range(0x2f0e_1000, 0x3b00_0000)),
            (Kind::Acpi, range(0x3ffd_e000, 0x3ffd_f000)),
            (Kind::Nvs, range(0x3ffd_f000, 0x3ffe_0000)),
            (Kind::Reserved, range(0x3ffe_0000, 0x4000_0000)),
            (Kind::Reserved, range(0xb000_0000, 0xc000_0000)),
            (Kind::Pmem, range(0x1_8000_0000, 0x1_8800_0000)),
            (Kind::Pram, range(0x1_8800_0000, 0x1_9000_0000)),
        ];
        assert_eq!(map(&example::machine(), range(0x2f00_0000, 0x2f0e_1000)), expected);
    }

    #[test]
    fn elfcorehdr_in_the_middle_splits_the_crash_region() {
        let map = map(&example::machine(), range(0x3000_0000, 0x3000_1000));
        assert_eq!(
            map[4..6],
            [
                (Kind::Ram, range(0x2f00_0000, 0x3000_0000)),
                (Kind::Ram, range(0x3000_1000, 0x3b00_0000))
            ]
        );
    }

    #[test]
    fn black_box_is_reserved_in_the_middle_of_ram() {
        let black_box = [range(0x3000_0000, 0x3000_1000), range(0x3200_0000, 0x3209_1000)];
        let map = entries(&example::machine(), Some(range(0x2f00_0000, 0x2f00_1000)), &black_box);
        let crash: Vec<_> = map
            .into_iter()
            .filter(|entry| range(0x2f00_0000, 0x3b00_0000).contains(entry.range))
            .map(|entry| (entry.kind, entry.range))
            .collect();
        let expected = [
            (Kind::Ram, range(0x2f00_1000, 0x3000_0000)),
            (Kind::Reserved, black_box[0]),
            (Kind::Ram, range(0x3000_1000, 0x3200_0000)),
            (Kind::Reserved, black_box[1]),
            (Kind::Ram, range(0x3209_1000, 0x3b00_0000)),
        ];
        assert_eq!(crash, expected);
    }

    #[test]
    fn low_crash_region_is_also_ram() {
        let mut machine = example::machine();
        machine.crash_regions.insert(0, range(0x1000_0000, 0x1400_0000));
        assert!(map(&machine, range(0, 0)).contains(&(Kind::Ram, range(0x1000_0000, 0x1400_0000))));
    }

    #[test]
    fn ram_across_the_first_mebibyte_is_cut_there() {
        let mut machine = example::machine();
        machine.system_ram = vec![range(0x8_0000, 0x80_0000)];
        assert!(map(&machine, range(0, 0)).contains(&(Kind::Ram, range(0x8_0000, 0x9fc00))));
        assert!(map(&machine, range(0, 0)).contains(&(Kind::Ram, range(0xa_0000, 0x10_0000))));
    }

    #[test]
    fn where_ranges_overlap_the_higher_type_wins() {
        let mut machine = example::machine();
        machine.reserved = vec![range(0x3000_0000, 0x3000_4000)];
        machine.acpi_tables = vec![range(0x3000_1000, 0x3000_2000)];
        let map = map(&machine, range(0x2f00_0000, 0x2f00_1000));
        let crash: Vec<_> = map
            .into_iter()
            .filter(|(_, at)| range(0x2f00_0000, 0x3b00_0000).contains(*at))
            .collect();
        let expected = [
            (Kind::Ram, range(0x2f00_1000, 0x3000_0000)),
            (Kind::Reserved, range(0x3000_0000, 0x3000_1000)),
            (Kind::Acpi, range(0x3000_1000, 0x3000_2000)),
            (Kind::Reserved, range(0x3000_2000, 0x3000_4000)),
            (Kind::Ram, range(0x3000_4000, 0x3b00_0000)),
        ];
        assert_eq!(crash, expected);
    }
}

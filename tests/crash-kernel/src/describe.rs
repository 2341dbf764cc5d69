//! `[7]` The machine's facts, from which the runner makes the files that the loader reads.

use core::arch::x86_64::__cpuid_count;

use crate::harness::{line, write_line};
use crate::memory::Memory;
use crate::{smp, tsc};

/// CPUID leaf, subleaf, register (0 EAX … 3 EDX) and bit of a feature, and its name in
/// /proc/cpuinfo (arch/x86/include/asm/cpufeatures.h).
const FLAGS: [(u32, u32, usize, u32, &str); 6] = [
    (0x0000_0001, 0, 2, 9, "ssse3"),
    (0x0000_0001, 0, 2, 19, "sse4_1"),
    (0x0000_0007, 0, 1, 29, "sha_ni"),
    (0x0000_0007, 0, 2, 16, "la57"),
    (0x8000_0001, 0, 3, 26, "pdpe1gb"),
    (0x8000_0001, 0, 3, 29, "lm"),
];
/// CPUID leaf whose EAX bits 7:0 are the width of a physical address.
const ADDRESS_SIZES: u32 = 0x8000_0008;

/// Whether the CPU has a feature, by Linux's name for it.
pub fn has(name: &str) -> bool {
    FLAGS.iter().any(|&(leaf, subleaf, register, bit, flag)| {
        let cpuid = __cpuid_count(leaf, subleaf);
        flag == name && [cpuid.eax, cpuid.ebx, cpuid.ecx, cpuid.edx][register] & 1 << bit != 0
    })
}

pub fn say(memory: &Memory) {
    memory.ram.iter().for_each(|range| line!("fact ram {:#x} {:#x}", range.start, range.end));
    memory
        .reserved
        .iter()
        .for_each(|range| line!("fact reserved {:#x} {:#x}", range.start, range.end));
    let (address, text) = &memory.text;
    line!("fact text {address:#x} {:#x} {:#x}", text.start, text.end - text.start);
    line!("fact tsc_khz {}", tsc::khz());
    line!("fact physical_bits {}", __cpuid_count(ADDRESS_SIZES, 0).eax & 0xff);
    let mut flags = alloc::string::String::from("fact flags");
    for (_, _, _, _, name) in FLAGS.iter().filter(|flag| has(flag.4)) {
        flags.push(' ');
        flags.push_str(name);
    }
    write_line(format_args!("{flags}"));
    smp::cpus().for_each(|(cpu, apic_id)| line!("fact apic {cpu} {apic_id}"));
}

//! What the CPU held.

use orders::Ending;
use orders::Nmi;

use super::world::{self, ELFCOREHDR, ELFCOREHDR_LEN, World};
use super::{each_fails, fails, passes};
use crate::Nmis;
use crate::entry_state::{General, Segment};

const RSI: usize = General::Rsi as usize;
const RSP: usize = General::Rsp as usize;

#[test]
fn register_with_something_in_it_is_named() {
    let own = |register: &&General| !matches!(register, General::Rsi | General::Rsp);
    for register in General::ALL.iter().filter(own) {
        fails(Ending::Registers, register.name(), |world| {
            world.entry.general[*register as usize] ^= 1 << 63
        });
    }
    each_fails(
        Ending::Registers,
        &[
            ("rsi: expected", |world| world.entry.general[RSI] += 0x10),
            ("rsi: expected", |world| world.entry.general[RSI] = world::HIGH_MARKER),
            ("rsi: expected", |world| world.poke(world::BOOT_PARAMS + 0x202, b"hdrs")),
        ],
    );
}

#[test]
fn rsp_must_be_an_aligned_stack_of_the_purgatory() {
    for stack in [world::STACK + 8, 0x7000, world::LOAD + 0x3_0000, 0x1400_0010] {
        fails(Ending::Registers, "rsp: expected an aligned", |world| {
            world.entry.general[RSP] = stack
        });
    }
    for stack in [ELFCOREHDR + ELFCOREHDR_LEN, world::INITRD + 0x10, world::BOOT_PARAMS + 0x1040] {
        fails(Ending::Registers, "rsp: expected a stack beside all that was loaded", |world| {
            world.entry.general[RSP] = stack
        });
    }
    // Below a sealed span, and far enough after it.
    for stack in [world::INITRD, world::INITRD + world::INITRD_LEN + 0x50] {
        passes(|world| world.entry.general[RSP] = stack);
    }
}

#[test]
fn payload_must_be_where_its_header_asks() {
    for load in [world::LOAD + 0x21_0000, 0xc0_0000, 0x13fe_0000, 0x1500_0000] {
        fails(Ending::Registers, "rip: expected", |world| world.put_payload(load, 0x4_0000));
    }
}

#[test]
fn selectors_and_descriptors_must_be_those_of_boot_rst() {
    for &segment in Segment::ALL {
        fails(Ending::Segments, segment.name(), |world| {
            world.entry.selectors[segment as usize] = 8
        });
    }
    // 32-bit code; not present; a base; a limit. Read-only data; DPL 3; limit in bytes.
    for (selector, wrong) in [
        (0x10, 0x00cf_9b00_0000_ffff_u64),
        (0x10, 0x00af_1b00_0000_ffff),
        (0x10, 0x00af_9b00_1000_ffff),
        (0x10, 0x00af_9b00_0000_fffe),
        (0x18, 0x00cf_9100_0000_ffff),
        (0x18, 0x00cf_f300_0000_ffff),
        (0x18, 0x004f_9300_0000_ffff),
    ] {
        fails(Ending::Segments, &std::format!("gdt {selector:#x}"), |world| {
            world.word(world::GDT + selector, wrong)
        });
    }
    // Descriptors that were not used yet are as good.
    passes(|world| {
        world.word(world::GDT + 0x10, 0x00af_9a00_0000_ffff);
        world.word(world::GDT + 0x18, 0x008f_9200_0000_ffff);
    });
}

#[test]
fn tables_must_be_in_the_crash_region_and_survive_an_nmi() {
    each_fails(
        Ending::Segments,
        &[
            ("gdt 0x18", |world| world.entry.gdtr.limit = 0x1e),
            ("gdt 0x10", |world| (world.entry.gdtr.base, world.entry.gdtr.limit) = (0, 0)),
            ("idt nmi gate", |world| world.entry.idtr.limit = 0x2e),
            ("idt nmi gate", |world| world.entry.idtr.base = world::HIGH_MARKER),
            ("idt nmi gate", |world| world.entry.idtr.base = u64::MAX - 8),
            ("type and ist", |world| world.poke(world::IDT + 0x25, &[0x0e])),
            ("type and ist", |world| world.poke(world::IDT + 0x24, &[1])),
            ("selector", |world| world.poke(world::IDT + 0x22, &[0x08])),
            ("a handler", |world| world.poke(world::IDT + 0x28, &[1])),
        ],
    );
}

#[test]
fn flags_and_control_registers_are_those_that_the_kernel_left() {
    for (bit, name) in [(8, "TF"), (9, "IF"), (10, "DF"), (14, "NT"), (18, "AC")] {
        fails(Ending::Flags, name, |world| world.entry.rflags |= 1 << bit);
    }
    for register in 0..4 {
        let said = std::format!("dr{register}: expected 0x0 found 0x1000");
        fails(Ending::ControlRegisters, &said, |world| world.entry.addresses[register] = 0x1000);
    }
    each_fails(
        Ending::ControlRegisters,
        &[
            ("cr0", |world| world.entry.cr0 |= 1 << 16),
            ("cr4", |world| world.entry.cr4 |= 1 << 9),
            ("efer", |world| world.entry.efer &= !1),
            ("dr7", |world| world.entry.dr7 |= 1),
            // Rounding up; an exception that is not masked.
            ("mxcsr", |world| world.entry.mxcsr = 0x5f80),
            ("mxcsr", |world| world.entry.mxcsr = 0x1f00),
        ],
    );
    fails(Ending::Paging, "cr3", |world| world.note.cr3 += 0x1000);
}

#[test]
fn page_tables_are_walked() {
    let gap = "payload at 0x11000000: expected a writable one-to-one mapping found no mapping";
    fails(Ending::Paging, gap, |world| world.word(world::PDPT, 0));
    each_fails(
        Ending::Paging,
        &[
            ("another address", |world| world.word(world::PDPT, 0x4000_01e3)),
            ("read-only", |world| world.word(world::PML4, world::PDPT | 0x61)),
            ("reserved", |world| world.word(world::PML4, world::PDPT | 0xe3)),
            ("page table outside memory", |world| world.word(world::PML4, 0x7000_0063)),
        ],
    );
}

/// Maps 2 MiB at a time, but for `without`.
fn map_in_2m(world: &mut World, root: u64, without: Option<u64>) {
    let directory = root + 0x1000;
    world.word(root, directory | 0x63);
    for page in 0..512u64 {
        let entry = if Some(page << 21) == without { 0 } else { page << 21 | 0x1e3 };
        world.word(directory + page * 8, entry);
    }
}

#[test]
fn pages_of_2m_and_five_levels_are_walked() {
    let five_levels = |world: &mut World, without| {
        // PML5, PML4, PDPT, directory.
        world.memory.push((0x1030_0000, std::vec![0; 0x4000]));
        world.word(0x1030_0000, 0x1030_1063);
        world.word(0x1030_1000, 0x1030_2063);
        map_in_2m(world, 0x1030_2000, without);
        (world.entry.cr3, world.note.cr3) = (0x1030_0000, 0x1030_0000.into());
        (world.entry.cr4, world.note.cr4) = (0x1020, 0x1020.into());
    };
    passes(|world| five_levels(world, None));
    fails(Ending::Paging, "payload at 0x11000000", |world| five_levels(world, Some(0x1100_0000)));
    fails(Ending::Paging, "payload at 0x12200000", |world| {
        five_levels(world, Some(0x1220_0000));
        world.put_payload(0x1200_0000, 0x20_1000);
    });
}

#[test]
fn what_is_used_before_the_capture_kernels_own_tables_is_mapped() {
    let changes: [(Ending, &str, super::Change); 5] = [
        (Ending::Paging, "initrd at 0x12000000", |world| {
            world.poke(world::BOOT_PARAMS + 0x218, &0x1200_0000_u32.to_le_bytes())
        }),
        (Ending::Paging, "stack at 0x12000f", |world| world.entry.general[RSP] = 0x1200_1000),
        (Ending::Paging, "nmi handler at 0x12000000", |world| {
            world.word(world::IDT + 0x20, 0x10 << 16 | 0x8e00 << 32 | 0x1200 << 48)
        }),
        (Ending::Segments, "gdt at 0x12000000", |world| world.entry.gdtr.base = 0x1200_0000),
        (Ending::Segments, "idt at 0x12000000", |world| world.entry.idtr.base = 0x1200_0000),
    ];
    for (ending, said, change) in changes {
        fails(ending, said, |world| {
            world.memory.push((0x1030_0000, std::vec![0; 0x2000]));
            map_in_2m(world, 0x1030_0000, Some(0x1200_0000));
            world.word(world::PML4, 0x1030_0063);
            world.memory.push((0x1200_0000, std::vec![0; 0x1000]));
            change(world);
        });
    }
}

#[test]
fn nmis_arrive_as_ordered() {
    let ordered = |nmi: u32, in_purgatory, before_iret, after_iret| {
        move |world: &mut World| {
            world.note.nmi = nmi.into();
            world.report.nmis = in_purgatory;
            world.nmis = Nmis { before_iret, after_iret };
        }
    };
    let [none, latched, storm] = [Nmi::None, Nmi::Latched, Nmi::Storm].map(|nmi| nmi as u32);
    passes(ordered(latched, 0, 0, 1));
    passes(ordered(storm, 1, 70, 99));
    for (said, change) in [
        ("after the first iret: expected 1 found 0", ordered(latched, 0, 0, 0)),
        ("after the first iret: expected 1 found 2", ordered(latched, 0, 0, 2)),
        ("before the first iret: expected 0 found 1", ordered(latched, 0, 1, 2)),
        ("after the first iret: expected 0 found 1", ordered(none, 0, 0, 1)),
        ("before the first iret: expected 0 found 1", ordered(none, 0, 1, 1)),
        ("in the purgatory: expected 0 found 1", ordered(none, 1, 0, 0)),
        ("in the purgatory: expected some", ordered(storm, 0, 70, 99)),
        ("expected a known number", ordered(77, 0, 0, 0)),
    ] {
        fails(Ending::Nmi, said, change);
    }
}

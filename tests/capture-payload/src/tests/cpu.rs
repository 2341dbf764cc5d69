//! What the CPU held.

use orders::Ending;
use orders::orders::Nmi;

use super::world::{self, ELFCOREHDR, ELFCOREHDR_LEN, World};
use super::{fails, passes};
use crate::Nmis;
use crate::entry_state::{General, Segment};

#[test]
fn register_with_something_in_it_is_named() {
    for register in General::ALL
        .iter()
        .copied()
        .filter(|register| !matches!(register, General::Rsi | General::Rsp))
    {
        fails(Ending::Registers, register.name(), |world| {
            world.entry.general[register as usize] ^= 1 << 63
        });
    }
}

#[test]
fn rsi_must_be_a_page_of_the_crash_region() {
    let rsi = General::Rsi as usize;
    fails(Ending::Registers, "rsi: expected", |world| world.entry.general[rsi] += 0x10);
    fails(Ending::Registers, "rsi: expected", |world| {
        world.entry.general[rsi] = world::HIGH_MARKER
    });
    fails(Ending::Registers, "rsi: expected", |world| {
        world.poke(world::BOOT_PARAMS + 0x202, b"hdrs")
    });
}

#[test]
fn rsp_must_be_an_aligned_stack_of_the_purgatory() {
    let rsp = General::Rsp as usize;
    for stack in [world::STACK + 8, 0x7000, world::LOAD + 0x3_0000, 0x1400_0010] {
        fails(Ending::Registers, "rsp: expected an aligned", |world| {
            world.entry.general[rsp] = stack
        });
    }
    for stack in [ELFCOREHDR + ELFCOREHDR_LEN, world::INITRD + 0x10, world::BOOT_PARAMS + 0x1040] {
        fails(Ending::Registers, "rsp: expected a stack beside all that was loaded", |world| {
            world.entry.general[rsp] = stack
        });
    }
    // Below a sealed span, and far enough after it.
    for stack in [world::INITRD, world::INITRD + world::INITRD_LEN + 0x50] {
        passes(|world| world.entry.general[rsp] = stack);
    }
}

#[test]
fn payload_must_lie_where_its_header_asks() {
    for load in [world::LOAD + 0x21_0000, 0xc0_0000, 0x13fe_0000, 0x1500_0000] {
        fails(Ending::Registers, "rip: expected", |world| world.put_payload(load, 0x4_0000));
    }
}

#[test]
fn every_selector_is_compared() {
    for &segment in Segment::ALL {
        fails(Ending::Segments, segment.name(), |world| {
            world.entry.selectors[segment as usize] = 8
        });
    }
}

#[test]
fn descriptors_must_be_flat() {
    // 32-bit code; not present; a base; a limit.
    for wrong in [
        0x00cf_9b00_0000_ffff_u64,
        0x00af_1b00_0000_ffff,
        0x00af_9b00_1000_ffff,
        0x00af_9b00_0000_fffe,
    ] {
        fails(Ending::Segments, "gdt 0x10", |world| {
            world.poke(world::GDT + 0x10, &wrong.to_le_bytes())
        });
    }
    // Read-only; DPL 3; limit in bytes.
    for wrong in [0x00cf_9100_0000_ffff_u64, 0x00cf_f300_0000_ffff, 0x004f_9300_0000_ffff] {
        fails(Ending::Segments, "gdt 0x18", |world| {
            world.poke(world::GDT + 0x18, &wrong.to_le_bytes())
        });
    }
}

#[test]
fn descriptors_that_were_not_used_yet_are_as_good() {
    passes(|world| {
        world.poke(world::GDT + 0x10, &0x00af_9a00_0000_ffff_u64.to_le_bytes());
        world.poke(world::GDT + 0x18, &0x008f_9200_0000_ffff_u64.to_le_bytes());
    });
}

#[test]
fn tables_must_be_long_enough_and_in_the_crash_region() {
    fails(Ending::Segments, "gdt 0x18", |world| world.entry.gdtr.limit = 0x1e);
    fails(Ending::Segments, "gdt 0x10", |world| {
        (world.entry.gdtr.base, world.entry.gdtr.limit) = (0, 0)
    });
    fails(Ending::Segments, "idt nmi gate", |world| world.entry.idtr.limit = 0x2e);
    fails(Ending::Segments, "idt nmi gate", |world| world.entry.idtr.base = world::HIGH_MARKER);
    fails(Ending::Segments, "idt nmi gate", |world| world.entry.idtr.base = u64::MAX - 8);
}

#[test]
fn nmi_gate_must_survive_an_nmi() {
    fails(Ending::Segments, "type and ist", |world| world.poke(world::IDT + 0x25, &[0x0e]));
    fails(Ending::Segments, "type and ist", |world| world.poke(world::IDT + 0x24, &[1]));
    fails(Ending::Segments, "selector", |world| world.poke(world::IDT + 0x22, &[0x08]));
    fails(Ending::Segments, "a handler", |world| world.poke(world::IDT + 0x28, &[1]));
}

#[test]
fn flags_that_code_relies_on_are_clear() {
    for (bit, name) in [(8, "TF"), (9, "IF"), (10, "DF"), (14, "NT"), (18, "AC")] {
        fails(Ending::Flags, name, |world| world.entry.rflags |= 1 << bit);
    }
}

#[test]
fn control_registers_are_those_of_the_crash_note() {
    fails(Ending::ControlRegisters, "cr0", |world| world.entry.cr0 |= 1 << 16);
    fails(Ending::ControlRegisters, "cr4", |world| world.entry.cr4 |= 1 << 9);
    fails(Ending::ControlRegisters, "efer", |world| world.entry.efer &= !1);
    fails(Ending::ControlRegisters, "dr7", |world| world.entry.dr7 |= 1);
    for register in 0..4 {
        let said = std::format!("dr{register}: expected 0x0 found 0x1000");
        fails(Ending::ControlRegisters, &said, |world| world.entry.addresses[register] = 0x1000);
    }
    // Rounding up; an exception that is not masked.
    for mxcsr in [0x5f80, 0x1f00] {
        fails(Ending::ControlRegisters, "mxcsr", |world| world.entry.mxcsr = mxcsr);
    }
    fails(Ending::Paging, "cr3", |world| world.note.cr3 += 0x1000);
}

#[test]
fn page_tables_are_walked() {
    fails(
        Ending::Paging,
        "payload at 0x11000000: expected a writable one-to-one mapping found no mapping",
        |world| {
            world.poke(world::PDPT, &[0; 8]);
        },
    );
    fails(Ending::Paging, "another address", |world| {
        world.poke(world::PDPT, &0x4000_01e3_u64.to_le_bytes())
    });
    fails(Ending::Paging, "read-only", |world| {
        world.poke(world::PML4, &(world::PDPT | 0x61).to_le_bytes())
    });
    fails(Ending::Paging, "reserved", |world| {
        world.poke(world::PML4, &(world::PDPT | 0xe3).to_le_bytes())
    });
    fails(Ending::Paging, "page table outside memory", |world| {
        world.poke(world::PML4, &0x7000_0063_u64.to_le_bytes())
    });
}

/// Maps 2 MiB at a time, but for `without`.
fn map_in_2m(world: &mut World, root: u64, without: Option<u64>) {
    let directory = root + 0x1000;
    world.poke(root, &(directory | 0x63).to_le_bytes());
    for page in 0..512u64 {
        let entry = if Some(page << 21) == without { 0 } else { page << 21 | 0x1e3 };
        world.poke(directory + page * 8, &entry.to_le_bytes());
    }
}

#[test]
fn pages_of_2m_and_five_levels_are_walked() {
    let five_levels = |world: &mut World, without| {
        // PML5, PML4, PDPT, directory.
        world.memory.push((0x1030_0000, std::vec![0; 0x4000]));
        world.poke(0x1030_0000, &0x1030_1063_u64.to_le_bytes());
        world.poke(0x1030_1000, &0x1030_2063_u64.to_le_bytes());
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
    let apart = |world: &mut World| {
        world.memory.push((0x1030_0000, std::vec![0; 0x2000]));
        map_in_2m(world, 0x1030_0000, Some(0x1200_0000));
        world.poke(world::PML4, &0x1030_0063_u64.to_le_bytes());
        world.memory.push((0x1200_0000, std::vec![0; 0x1000]));
    };
    fails(Ending::Paging, "initrd at 0x12000000", |world| {
        apart(world);
        world.poke(world::BOOT_PARAMS + 0x218, &0x1200_0000_u32.to_le_bytes());
    });
    fails(Ending::Paging, "stack at 0x12000f", |world| {
        apart(world);
        world.entry.general[General::Rsp as usize] = 0x1200_1000;
    });
    fails(Ending::Paging, "nmi handler at 0x12000000", |world| {
        apart(world);
        let low = 0x10_u64 << 16 | 0x8e00 << 32 | 0x1200 << 48;
        world.poke(world::IDT + 0x20, &low.to_le_bytes());
    });
    fails(Ending::Segments, "gdt at 0x12000000", |world| {
        apart(world);
        world.entry.gdtr.base = 0x1200_0000;
    });
    fails(Ending::Segments, "idt at 0x12000000", |world| {
        apart(world);
        world.entry.idtr.base = 0x1200_0000;
    });
}

#[test]
fn latched_nmi_must_come_after_iret_and_only_once() {
    let latched = |nmis: Nmis| {
        move |world: &mut World| {
            world.note.nmi = (Nmi::Latched as u32).into();
            world.nmis = nmis;
        }
    };
    passes(latched(Nmis { before_iret: 0, after_iret: 1 }));
    fails(
        Ending::Nmi,
        "after the first iret: expected 1 found 0",
        latched(Nmis { before_iret: 0, after_iret: 0 }),
    );
    fails(
        Ending::Nmi,
        "after the first iret: expected 1 found 2",
        latched(Nmis { before_iret: 0, after_iret: 2 }),
    );
    fails(
        Ending::Nmi,
        "before the first iret: expected 0 found 1",
        latched(Nmis { before_iret: 1, after_iret: 2 }),
    );
}

#[test]
fn nmi_that_was_not_sent_must_not_arrive() {
    fails(Ending::Nmi, "after the first iret: expected 0", |world| world.nmis.after_iret = 1);
    fails(Ending::Nmi, "before the first iret: expected 0", |world| {
        world.nmis = Nmis { before_iret: 1, after_iret: 1 }
    });
    fails(Ending::Nmi, "in the purgatory: expected 0", |world| world.report.nmis = 1);
}

#[test]
fn storm_must_have_reached_the_purgatory() {
    let storm = |in_purgatory| {
        move |world: &mut World| {
            world.note.nmi = (Nmi::Storm as u32).into();
            world.report.nmis = in_purgatory;
            world.nmis = Nmis { before_iret: 70, after_iret: 99 };
        }
    };
    passes(storm(1));
    fails(Ending::Nmi, "in the purgatory: expected some", storm(0));
    fails(Ending::Nmi, "expected a known number", |world| world.note.nmi = 77.into());
}

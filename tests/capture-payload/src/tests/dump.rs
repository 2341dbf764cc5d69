//! What makes the dump: elfcorehdr, notes, PT_LOADs.

use handoff::report::Elfcorehdr;
use orders::Ending;
use orders::PhysSpan;
use orders::map::{CPU_NOTE_STRIDE, CPU_NOTES, CRASH_NOTE, DIRECT_MAP};
use orders::note::marker;

use super::world::{self, ELFCOREHDR, HIGH_MARKER, LOW_MARKER, PT_LOAD, PT_NOTE, World};
use super::{each_fails, fails, passes};

#[test]
fn elfcorehdr_is_checked_as_vmcore_does() {
    // Offset in the ELF header, value, what is said.
    for (offset, value, said) in [
        (16, 2, "e_type"),
        (18, 3, "e_machine"),
        (20, 0, "e_version"),
        (32, 0x48, "e_phoff"),
        (0, 9, "no identification"),
        (4, 9, "no identification"),
        (52, 9, "other sizes"),
        (54, 9, "other sizes"),
        (56, 0, "e_phnum"),
        (57, 0xff, "outside memory"),
    ] {
        fails(Ending::Elfcorehdr, said, |world| world.patches.push((ELFCOREHDR + offset, value)));
    }
    each_fails(
        Ending::Elfcorehdr,
        &[
            ("program header 5: expected every PT_NOTE before the others", |world| {
                let note = world.rows.remove(1);
                world.rows.push(note);
            }),
            ("program header 6: expected PT_NOTE or PT_LOAD found 0x0", |world| {
                world.rows.push((0, 0, 0, 0))
            }),
            ("less room", |world| {
                world.note.elfcorehdr.len = 0x100.into();
                let after = (ELFCOREHDR + 0x100, 0x1400_0000, 1);
                world.e820(&[(0x1000, 0x9_f000, 1), after, world::RESERVED]);
            }),
        ],
    );
}

#[test]
fn crash_note_and_one_note_for_every_online_cpu_are_there() {
    each_fails(
        Ending::Notes,
        &[
            ("no crash note", |world| world.patches.push((CRASH_NOTE + 12, b'c'))),
            ("no crash note", |world| world.patches.push((CRASH_NOTE + 8, 0))),
            ("of another size", |world| world.patches.push((CRASH_NOTE + 4, 0))),
            ("impossible counts", |world| world.note.ram_count = 17.into()),
            ("impossible counts", |world| world.note.reserved_count = 17.into()),
            ("impossible counts", |world| world.note.marker_count = 17.into()),
            ("impossible counts", |world| world.note.sealed_count = 33.into()),
            ("cpus: expected 2 found 1", |world| world.poke(CPU_NOTES, &[0; 12])),
            ("cpus: expected 2 found 1", |world| world.poke(CPU_NOTES + 12, b"core")),
            ("cpus: expected 3 found 2", |world| world.note.online_cpus = 3.into()),
            ("several of apic id 0x3", |world| world.cpu_note(0, 3)),
            ("panicking cpu: no note found of apic id 0x9", |world| world.note.apic_id = 9.into()),
            ("PT_NOTEs: expected 3 found 4", |world| {
                world.rows.insert(3, (PT_NOTE, CPU_NOTES + 5 * CPU_NOTE_STRIDE, 368, 0))
            }),
            // A descriptor that is longer than the PT_NOTE, one that wraps, and no memory.
            ("cpus: expected 2 found 1", |world| world.poke(CPU_NOTES + 4, &[0xff])),
            ("cpus: expected 2 found 1", |world| world.poke(CPU_NOTES, &[0xff; 8])),
            ("cpus: expected 2 found 1", |world| world.rows[0].1 = u64::MAX - 4),
        ],
    );
}

#[test]
fn rewritten_header_has_a_note_for_every_possible_cpu() {
    // CPUs that were never online: their notes are empty.
    let seven = |world: &mut World| {
        world.rows = world::rows(7);
        world.note.possible_cpus = 7.into();
    };
    passes(seven);
    fails(Ending::Notes, "possible cpus: expected 8 found 7", |world| {
        seven(world);
        world.note.possible_cpus = 8.into();
    });
    // The loader's has one for those that were present.
    passes(|world| {
        world.note.possible_cpus = 8.into();
        world.note.rewritten = 0.into();
    });
}

#[test]
fn loads_must_be_the_text_and_all_ram_at_the_panic() {
    let text = "text p_vaddr: expected 0xffffffff81000000 found 0xffffffff81200000";
    let ram = "RAM: expected 0x14000000-0x1ffe0000 found 0x14000000-0x1ffdf000";
    each_fails(
        Ending::Loads,
        &[
            ("text start", |world| world.note.text.start += 0x1000),
            ("text length", |world| world.note.text.len += 0x1000),
            ("text p_vaddr", |world| world.rows[3].3 = DIRECT_MAP + world::TEXT),
            (text, |world| world.rows[3].3 += 0x20_0000),
            ("text: expected one found no PT_LOAD", |world| world.rows.truncate(3)),
            ("direct map found", |world| world.rows[4].3 += 0x1000),
            ("ranges of RAM: expected 2 found 1", |world| _ = world.rows.pop()),
            ("ranges of RAM: expected 3 found 2", |world| {
                world.note.ram[2] = PhysSpan::new(0x1_0000_0000, 0x800_0000);
                world.note.ram_count = 3.into();
            }),
            (ram, |world| world.rows[5].2 -= 0x1000),
            // The loader's own header is compared as exactly.
            (ram, |world| {
                world.note.rewritten = 0.into();
                world.rows[5].2 -= 0x1000;
            }),
            ("expected none of the crash region", |world| world.rows[4].2 += 0x1000),
            ("an empty range", |world| world.rows[5].2 = 0),
            ("PT_LOAD 1: expected p_offset as p_paddr", |world| {
                world.patches.push((ELFCOREHDR + 64 + 4 * 56 + 24, 1))
            }),
            // Markers are read through them.
            ("marker at 0x14000000: expected another word found 0xee", |world| {
                world.poke(HIGH_MARKER + 7, &[0xee])
            }),
            ("marker at 0x14000000: expected a PT_LOAD", |world| world.rows[5].1 += 0x1000),
            ("marker at 0x18000000: expected memory", |world| {
                world.note.markers[1] = 0x1800_0000.into()
            }),
            ("markers: expected some", |world| world.note.marker_count = 0.into()),
        ],
    );
    passes(|world| world.note.rewritten = 0.into());
    // Memory that came when the header had no room for it.
    passes(plugged_in);
}

/// A marker in memory that was plugged in.
fn plugged_in(world: &mut World) {
    world.memory.push((0x1_0000_0000, marker(0x1_0000_0000).to_le_bytes().into()));
    world.note.markers[2] = 0x1_0000_0000.into();
    world.note.marker_count = 3.into();
}

#[test]
fn restored_copy_names_parts_of_ram() {
    let loaders = |world: &mut World| {
        world.report.elfcorehdr = Elfcorehdr::Restored;
        world.rows.truncate(4);
        world.rows.push((PT_LOAD, LOW_MARKER, 0x10_0000, DIRECT_MAP + LOW_MARKER));
        world.rows.push((PT_LOAD, HIGH_MARKER, 0x10_0000, DIRECT_MAP + HIGH_MARKER));
    };
    passes(loaders);
    fails(Ending::Loads, "a part of what the kernel had found 0x20000000-0x20100000", |world| {
        loaders(world);
        world.rows.push((PT_LOAD, 0x2000_0000, 0x10_0000, DIRECT_MAP + 0x2000_0000));
    });
    fails(Ending::Loads, "RAM: expected some found none", |world| {
        loaders(world);
        world.rows.truncate(4);
    });
}

#[test]
fn restored_copy_need_not_know_what_was_plugged_in_since() {
    let outdated = |world: &mut World| {
        world.report.elfcorehdr = Elfcorehdr::Restored;
        world.note.possible_cpus = 8.into();
        world.note.online_cpus = 3.into();
        world.note.apic_id = 9.into();
        world.note.ram[2] = PhysSpan::new(0x1_0000_0000, 0x800_0000);
        world.note.ram_count = 3.into();
        plugged_in(world);
    };
    passes(outdated);
    fails(Ending::Notes, "cpus: expected 1 to 3 notes found 0", |world| {
        outdated(world);
        world.poke(CPU_NOTES, &[0; 12]);
        world.poke(CPU_NOTES + CPU_NOTE_STRIDE, &[0; 12]);
    });
    fails(Ending::Loads, "markers: expected some", |world| {
        outdated(world);
        (world.note.markers[0], world.note.marker_count) = (0x1_0000_0000.into(), 1.into());
    });
}

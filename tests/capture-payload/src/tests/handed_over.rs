//! What the loader wrote and the purgatory filled in: boot_params, command line, contents.

use std::format;

use handoff::Verdict;
use handoff::report::Elfcorehdr;
use orders::{Ending, PhysSpan};

use super::world::{self, BOOT_PARAMS, COMMAND_LINE, ELFCOREHDR, INITRD, LOAD, World};
use super::{each_fails, fails, passes};
use crate::{command_line, setup_header};

/// A memory map's entries: start, end, type.
const LOW: (u64, u64, u32) = (0x1000, 0x9_f000, 1);
const CRASH: (u64, u64, u32) = (ELFCOREHDR + 0x1000, 0x1400_0000, 1);

#[test]
fn setup_header_must_be_the_files_but_for_what_loaders_write() {
    for offset in setup_header::START..setup_header::END {
        let at = BOOT_PARAMS + offset as u64;
        // Those have checks of their own.
        if !setup_header::is_loaders(offset) && !(0x202..0x206).contains(&offset) {
            let said = format!("setup header at {offset:#x}: ");
            fails(Ending::BootParams, &said, |world| world.poke(at, &[0xee]));
        }
    }
    // KASLR_FLAG, QUIET_FLAG, KEEP_SEGMENTS, CAN_USE_HEAP.
    for flag in [1, 5, 6, 7] {
        fails(Ending::BootParams, "loadflags", |world| {
            world.poke(BOOT_PARAMS + 0x211, &[1 | 1 << flag])
        });
    }
    passes(|world| world.poke(BOOT_PARAMS + 0x211, &[0]));
    each_fails(
        Ending::BootParams,
        &[
            ("hardware_subarch", |world| world.poke(BOOT_PARAMS + 0x23c, &[2])),
            // A mere copy of the file's page.
            ("sentinel", |world| world.poke(BOOT_PARAMS + 0x1ef, &[0xff])),
            ("type_of_loader", |world| world.poke(BOOT_PARAMS + 0x210, &[0])),
        ],
    );
}

#[test]
fn initrd_must_be_the_one_that_was_loaded() {
    for place in [0x1500_0000, INITRD + 0x1000, INITRD - 1, 0] {
        fails(Ending::BootParams, "initrd start", |world| {
            world.poke(BOOT_PARAMS + 0x218, &u32::to_le_bytes(place as u32))
        });
    }
    fails(Ending::Paging, "initrd at 0x40000000", |world| world.poke(BOOT_PARAMS + 0x0c4, &[1]));
    fails(Ending::Paging, "initrd at 0x111080000", |world| world.poke(BOOT_PARAMS + 0x0c0, &[1]));
    each_fails(
        Ending::BootParams,
        &[
            ("initrd length: expected 0x800 found 0x801", |world| {
                world.poke(BOOT_PARAMS + 0x21c, &[1, 8])
            }),
            ("initrd: expected one found length 0x0", |world| {
                world.poke(BOOT_PARAMS + 0x218, &[0; 8]);
                world.note.initrd = PhysSpan::default();
            }),
        ],
    );
}

#[test]
fn memory_map_must_be_ours_alone_and_complete() {
    let halves = [LOW, (ELFCOREHDR + 0x1000, 0x1200_0000, 1), (0x1300_0000, 0x1400_0000, 1)];
    for (said, map) in [
        ("expected 2 to 128 entries found 0x0", &[][..]),
        ("none at 0x10001000", &[LOW]),
        ("none at 0x12000000", &halves),
        ("below 1 MiB found 0x1000", &[(0x1000, 0x2000, 1), CRASH]),
        ("the elfcorehdr found 0x10000000-0x14000000", &[LOW, (ELFCOREHDR, 0x1400_0000, 1)]),
        ("found 0x1000-0x101000", &[(0x1000, 0x10_1000, 1), CRASH]),
        ("found 0x20000000-0x30000000", &[LOW, CRASH, (0x2000_0000, 0x3000_0000, 1)]),
        ("separate ranges found one at 0x10001000", &[LOW, CRASH, (0x1200_0000, 0x1200_1000, 2)]),
        ("separate ranges found one at 0x30000000", &[LOW, CRASH, (0x3000_0000, 0x3000_0000, 2)]),
        ("found nothing at 0x1ffe0000", &[LOW, CRASH]),
        ("found nothing at 0x1fff0000", &[LOW, CRASH, (0x1ffe_0000, 0x1fff_0000, 2)]),
    ] {
        fails(Ending::BootParams, said, |world| world.e820(map));
    }
    passes(|world| world.e820(&[LOW, CRASH, world::RESERVED, (0x2000_0000, 0x3000_0000, 2)]));
    passes(|world| {
        world.e820(&[LOW, CRASH, (0x1ffe_0000, 0x1fff_0000, 2), (0x1fff_0000, 0x2000_0000, 4)])
    });
    fails(Ending::BootParams, "found 0xc8", |world| world.poke(BOOT_PARAMS + 0x1e8, &[200]));
}

#[test]
fn setup_data_is_followed_to_the_rest_of_the_memory_map() {
    const FIRST: u64 = COMMAND_LINE + 0x800;
    const SECOND: u64 = COMMAND_LINE + 0x900;
    // A node: next, type, data.
    let node = |world: &mut World, at: u64, next: u64, kind: u32, data: &[u8]| {
        world.word(at, next);
        world.word(at + 8, u64::from(kind) | (data.len() as u64) << 32);
        world.poke(at + 16, data);
    };
    let with = |data: &'static [u8]| {
        move |world: &mut World| {
            world.word(BOOT_PARAMS + 0x250, FIRST);
            node(world, FIRST, SECOND, 9, &[0xab; 32]);
            node(world, SECOND, 0, 1, data);
        }
    };
    // One entry: 0x50000000, 0x1000 bytes, reserved or RAM.
    let reserved = b"\0\0\0\x50\0\0\0\0\0\x10\0\0\0\0\0\0\x02\0\0\0";
    let ram = b"\0\0\0\x50\0\0\0\0\0\x10\0\0\0\0\0\0\x01\0\0\0";
    passes(with(reserved));
    fails(Ending::BootParams, "found 0x50000000-0x50001000", with(ram));
    fails(Ending::BootParams, "a damaged node at 0x11101900", with(&[0; 19]));
    fails(Ending::BootParams, "without end", |world| {
        world.word(BOOT_PARAMS + 0x250, FIRST);
        node(world, FIRST, FIRST, 9, &[0xab; 32]);
    });
    fails(Ending::BootParams, "found one at 0x14000100", |world| {
        world.word(BOOT_PARAMS + 0x250, world::HIGH_MARKER + 0x100)
    });
}

#[test]
fn command_line_must_name_the_elfcorehdr_and_be_the_one_that_was_loaded() {
    let twice = format!("elfcorehdr={ELFCOREHDR:#x} purgatory.report={:200}", "");
    for (line, said) in [
        ("quiet", "no elfcorehdr="),
        ("elfcorehdr=0x10000000 elfcorehdr=0x10000000", "more than one"),
        ("elfcorehdr=268435456", "without hexadecimal digits"),
        ("elfcorehdr=0x1000000g", "not hexadecimal"),
        (&twice, "something after purgatory.report="),
    ] {
        fails(Ending::CommandLine, said, |world| world.command_line = line.into());
    }
    each_fails(
        Ending::CommandLine,
        &[
            ("elfcorehdr=: expected 0x10000800 found 0x10000000", |world| {
                world.note.elfcorehdr = PhysSpan::new(ELFCOREHDR + 0x800, 0x800);
                world.e820(&[LOW, (ELFCOREHDR, 0x1000_0800, 1), CRASH, world::RESERVED]);
            }),
            ("length", |world| world.note.command_line.len = 1.into()),
            ("a command line that nothing ends", |world| {
                world.patches.extend((COMMAND_LINE..COMMAND_LINE + 0x1000).map(|at| (at, b' ')))
            }),
            ("memory in which no command line can be", |world| {
                world.patches.push((BOOT_PARAMS + 0x0c8, 1))
            }),
        ],
    );
    fails(Ending::BootParams, "cmd_line_ptr: expected 0x11101000 found 0x15000000", |world| {
        world.memory.push((0x1500_0000, std::vec![0; 0x1000]));
        world.poke(BOOT_PARAMS + 0x228, &0x1500_0000_u32.to_le_bytes());
    });
}

#[test]
fn only_arguments_of_init_may_follow_the_report() {
    let field = "ok,engine:soft,us:1,nmi:0,elfcorehdr:ok";
    let line = format!("elfcorehdr={ELFCOREHDR:#x} purgatory.report={field:128}");
    for (more, is_ok) in [("", true), (" -- single", true), (" quiet", false)] {
        assert_eq!(command_line::report_field((line.clone() + more).as_bytes()).is_ok(), is_ok);
    }
    assert!(command_line::report_field(&line.as_bytes()[..line.len() - 1]).is_err());
    assert!(command_line::report_field(b"quiet").is_err());
}

#[test]
fn report_must_be_the_purgatorys_words_and_is_printed_whatever_it_is() {
    for verdict in Verdict::ALL {
        passes(|world| world.report.verdict = *verdict);
    }
    for (said, field) in [
        ("no verdict's word", "okay,engine:soft,us:1,nmi:0,elfcorehdr:ok"),
        ("no verdict's word", ""),
        ("no segment's name", "ok,segment:kernels,engine:soft,us:1,nmi:0,elfcorehdr:ok"),
        ("no engine's word", "ok,us:1,nmi:0,elfcorehdr:ok"),
        ("no engine's word", "ok,engine:sha,us:1,nmi:0,elfcorehdr:ok"),
        ("no microseconds", "ok,engine:soft,us:,nmi:0,elfcorehdr:ok"),
        ("no number of NMIs", "ok,engine:soft,us:1,nmi:4294967296,elfcorehdr:ok"),
        ("no word for the elfcorehdr", "ok,engine:soft,us:1,nmi:0,elfcorehdr:"),
        ("in another form", "ok,engine:soft,us:01,nmi:0,elfcorehdr:ok"),
        ("in another form", "ok,engine:soft,us:1,nmi:0,elfcorehdr:ok,more"),
    ] {
        fails(Ending::CommandLine, said, |world| world.report_text = Some(field.into()));
    }
    let mut world = World::sound();
    world.report_text = Some("no\x01report".into());
    let (_, text) = world.run();
    assert!(text.starts_with("payload: report no?report\n"), "{text}");
}

#[test]
fn sealed_spans_are_hashed_and_cover_what_is_handed_over() {
    for (name, sealed) in ["payload", "initrd", "boot_params"].into_iter().zip(0..) {
        let said = format!("{name}: expected it in a sealed span found it in none");
        fails(Ending::Contents, &said, |world| _ = world.sealed.remove(sealed));
        fails(Ending::Contents, &said, |world| world.sealed[sealed].len -= 1);
        fails(Ending::Contents, &said, |world| {
            world.sealed[sealed].start += 1;
            world.sealed[sealed].len -= 1;
        });
    }
    each_fails(
        Ending::Contents,
        &[
            ("command line: expected it in a sealed span", |world| world.line_sealed[0] = false),
            ("command line's end: expected it in", |world| world.line_sealed[1] = false),
            ("span 1 0x11080000+0x800: expected", |world| {
                world.seal(LOAD, 0x1_0000);
                world.seal(INITRD, 0x800);
                world.poke(INITRD + 0x7ff, &[1]);
            }),
            ("that the payload writes to", |world| {
                world.seal(LOAD, 0x1_0000);
                world.note.sealed[0].span.len += 1;
            }),
            // The payload's zero tail.
            ("0x11010000-0x11040000: expected zeroes found something at 0x11020000", |world| {
                world.entry.not_zero = 0x1102_0000
            }),
            ("found something at 0x11010000", |world| world.entry.dirty = 1),
        ],
    );
    // A byte after a span does not matter.
    passes(|world| {
        world.seal(INITRD, 0x800);
        world.poke(INITRD + 0x800, &[1]);
    });
}

#[test]
fn restored_elfcorehdr_is_reported_and_accepted_and_a_broken_one_is_not() {
    passes(|world| {
        world.note.rewritten = 0.into();
        world.report.elfcorehdr = Elfcorehdr::Restored;
    });
    fails(Ending::Elfcorehdr, "e_phnum", |world| {
        world.report.elfcorehdr = Elfcorehdr::Broken;
        world.rows.clear();
    });
}

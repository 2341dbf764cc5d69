//! boot_params: the setup header, the places of initrd and command line, and the memory map, which
//! limits where the capture kernel writes.

use handoff::text::Text;

use super::Group;
use crate::crash_note::Found;
use crate::e820::{self, Map};
use crate::evidence::Evidence;
use crate::range::{CRASH_REGION, LOW_1M, Range};
use crate::zero_page::{self, BadList, E820_MAX_ENTRIES_ZEROPAGE, ZeroPage};
use crate::{Physical, Program, setup_header};

/// The flag in `loadflags` that may be as in the file: `LOADED_HIGH`. The others are internal to
/// the kernel or for other entry points.
const LOADED_HIGH: u8 = setup_header::LOADFLAGS;
/// `X86_SUBARCH_PC`, the crashed kernel's.
const X86_SUBARCH_PC: u64 = 0;

/// Kexec's number among boot loaders, version 0. With 0 the kernel ignores the initrd.
const TYPE_OF_LOADER_KEXEC: u64 = 0xd0;
/// Fewest entries that Linux up to 6.12 accepts in a memory map (`append_e820_table`,
/// arch/x86/kernel/e820.c).
const LEAST_E820_ENTRIES: usize = 2;
/// RAM below 1 MiB that every PC leaves after the firmware's part. The trampoline between four and
/// five levels of page tables needs it (arch/x86/boot/compressed/pgtable_64.c).
const LEAST_LOW_RAM: u64 = 512 << 10;

pub(super) fn check<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    physical: &impl Physical,
) {
    let Some(page) = group.needs("boot_params", evidence.zero_page) else { return };
    header(group, &page, evidence.program);
    // It is 0xff in an unchanged copy of the file's page (`sanitize_boot_params`).
    group.equal("sentinel", 0, page.sentinel().into());
    group.equal("type_of_loader", TYPE_OF_LOADER_KEXEC, page.type_of_loader().into());
    group.equal("loadflags", 0, (page.loadflags() & !LOADED_HIGH).into());
    group.equal("hardware_subarch", X86_SUBARCH_PC, page.hardware_subarch());
    let map = memory_map(group, &page, physical);
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    let (start, len) = page.ramdisk();
    group.equal("initrd start", found.note.initrd.start.get(), start);
    group.equal("initrd length", found.note.initrd.len.get(), len);
    group.expect(len != 0, "initrd: expected one found length", len);
    group.equal("cmd_line_ptr", found.note.command_line.start.get(), page.command_line());
    let Some(map) = map else { return };
    let Some(elfcorehdr) = Range::of(&found.note.elfcorehdr) else {
        return group.fails_with("crash note: the elfcorehdr's place wraps");
    };
    ram(group, map, elfcorehdr);
    reserved(group, map, &found);
}

/// The kernel reads `kernel_alignment` and `init_size` from this copy.
fn header<Out: Text>(group: &mut Group<'_, Out>, page: &ZeroPage<'_>, program: &Program) {
    let pairs = program.setup_header.iter().zip(page.setup_header());
    for (offset, (&expected, &found)) in (setup_header::START..).zip(pairs) {
        let is_right = setup_header::is_loaders(offset) || expected == found;
        let words = "expected the file's byte found";
        group.expect_at("setup header", offset as u64, is_right, words, found.into());
    }
}

/// The memory map, if the list of setup_data is sound. It may contain a part of the map.
fn memory_map<'m, Out: Text>(
    group: &mut Group<'_, Out>,
    page: &ZeroPage<'m>,
    physical: &'m impl Physical,
) -> Option<Map<'m>> {
    let entries = page.e820_entries();
    let is_usual = (LEAST_E820_ENTRIES..=E820_MAX_ENTRIES_ZEROPAGE).contains(&entries);
    group.expect(is_usual, "e820: expected 2 to 128 entries found", entries as u64);
    let mut stray = None;
    let map = zero_page::memory_map(physical, page, |start, len| {
        if !Range::new(start, len).is_some_and(|node| CRASH_REGION.contains(node)) {
            stray.get_or_insert(start);
        }
    });
    if let Some(at) = stray {
        group.expect(false, "setup_data: expected nodes in the crash region found one at", at);
    }
    match map {
        Ok(_) => {}
        Err(BadList::Endless) => {
            group.fails_with("setup_data: expected a list found one without end");
        }
        Err(BadList::Node(at)) => {
            group.expect(false, "setup_data: expected a list found a damaged node at", at);
        }
    }
    map.ok()
}

/// RAM may only be the low MiB and the crash region, because all else is the crashed kernel's. The
/// elfcorehdr may not be RAM, because fs/proc/vmcore.c maps it with `ioremap_cache`, which rejects
/// RAM.
fn ram<Out: Text>(group: &mut Group<'_, Out>, map: Map<'_>, elfcorehdr: Range) {
    if let Some(entry) = e820::malformed(map) {
        group.expect(false, "e820: expected separate ranges found one at", entry.addr.get());
    }
    for ram in e820::entries(map).filter_map(e820::Entry::ram) {
        let ours = LOW_1M.contains(ram) || CRASH_REGION.contains(ram);
        group.ensure(ours && !ram.overlaps(elfcorehdr), |line| {
            line.text("e820: expected no RAM but the low MiB and the crash region without the ");
            line.text("elfcorehdr found ").hex(ram.start()).text("-").hex(ram.end());
        });
    }
    if let Some(at) = e820::first_not_ram(map, CRASH_REGION, elfcorehdr) {
        group.expect(false, "e820: expected RAM in all of the crash region found none at", at);
    }
    let low = e820::ram_in(map, LOW_1M);
    let is_enough = low >= LEAST_LOW_RAM;
    group.expect(is_enough, "e820: expected 0x80000 bytes of RAM or more below 1 MiB found", low);
}

/// Memory of the firmware or a device. The capture kernel reads tables there, and must not map
/// devices over it.
fn reserved<Out: Text>(group: &mut Group<'_, Out>, map: Map<'_>, found: &Found<'_>) {
    for range in found.reserved() {
        let at = range.map_or(Some(0), |range| e820::first_not_reserved(map, range));
        if let Some(at) = at {
            group.expect(false, "e820: expected what is no RAM to be named found nothing at", at);
        }
    }
}

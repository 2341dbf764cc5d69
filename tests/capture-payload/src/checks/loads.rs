//! PT_LOADs: the crashed kernel's text and all its memory, without the crash region, and readable.

use handoff::text::Text;
use orders::map::DIRECT_MAP;
use orders::note::marker;
use zerocopy::little_endian::U64;

use super::Group;
use crate::Physical;
use crate::crash_note::Found;
use crate::elf::{Headers, Phdr};
use crate::evidence::Evidence;
use crate::range::{CRASH_REGION, Range};

pub(super) fn check<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    physical: &impl Physical,
) {
    let Some(headers) = group.needs("elfcorehdr", evidence.headers) else { return };
    let Some(found) = group.needs("crash note", evidence.crash_note) else { return };
    for (index, load) in headers.loads().enumerate() {
        sound(group, index, load);
    }
    text(group, &headers, &found);
    memory(group, evidence, &headers, &found);
    markers(group, evidence, &headers, &found, physical);
}

/// One PT_LOAD by itself.
fn sound<Out: Text>(group: &mut Group<'_, Out>, index: usize, load: &Phdr) {
    let number = index as u64;
    let Some(range) = load.range().filter(|range| !range.is_empty()) else {
        return group.fails(|line| {
            _ = line.text("PT_LOAD ").decimal(number).text(": expected memory found an empty range")
        });
    };
    let agrees = load.p_offset == load.p_paddr && load.p_filesz == load.p_memsz;
    group.ensure(agrees, |line| {
        line.text("PT_LOAD ")
            .decimal(number)
            .text(": expected p_offset p_filesz ")
            .hex(range.start())
            .text(" ")
            .hex(range.len());
        line.text(" found p_paddr p_memsz ")
            .hex(load.p_paddr.get())
            .text(" ")
            .hex(load.p_memsz.get());
    });
    group.ensure(!range.overlaps(CRASH_REGION), |line| {
        line.text("PT_LOAD ")
            .decimal(number)
            .text(": expected none of the crash region found ")
            .hex(range.start());
        line.text("-").hex(range.end());
    });
    // All but the text, which comes first.
    let virt = load.p_vaddr.get();
    group.ensure(index == 0 || virt == DIRECT_MAP.wrapping_add(range.start()), |line| {
        line.text("PT_LOAD ")
            .decimal(number)
            .text(": expected p_vaddr in the direct map found ")
            .hex(virt);
    });
}

fn text<Out: Text>(group: &mut Group<'_, Out>, headers: &Headers<'_>, found: &Found<'_>) {
    let Some(load) = group.found("text", headers.loads().next().ok_or("no PT_LOAD")) else {
        return;
    };
    group.equal("text start", found.note.text.start.get(), load.p_offset.get());
    group.equal("text length", found.note.text.len.get(), load.p_filesz.get());
    group.equal("text p_vaddr", found.note.text_virtual.get(), load.p_vaddr.get());
}

/// All but the text: the RAM of which the header's last writer knew, or, if the loader's copy was
/// put back since, parts of it.
fn memory<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    headers: &Headers<'_>,
    found: &Found<'_>,
) {
    let loads = || headers.loads().skip(1).map(Phdr::range);
    if !evidence.outdated() {
        group.equal_count("ranges of RAM", found.ram().count() as u64, loads().count() as u64);
        for (expected, found) in found.ram().zip(loads()) {
            group.ensure(expected == found, |line| {
                let (expected, found) = (ends(expected), ends(found));
                line.text("RAM: expected ").hex(expected.0).text("-").hex(expected.1);
                line.text(" found ").hex(found.0).text("-").hex(found.1);
            });
        }
        return;
    }
    group.ensure(loads().count() > 0, |line| _ = line.text("RAM: expected some found none"));
    for load in loads() {
        let known =
            found.ram().any(|ram| ram.zip(load).is_some_and(|(ram, load)| ram.contains(load)));
        group.ensure(known, |line| {
            let (start, end) = ends(load);
            line.text("RAM: expected a part of what the kernel had found ")
                .hex(start)
                .text("-")
                .hex(end);
        });
    }
}

fn ends(range: Option<Range>) -> (u64, u64) {
    range.map_or((0, 0), |range| (range.start(), range.end()))
}

/// Reads the crash kernel's markers through the PT_LOADs.
fn markers<Out: Text>(
    group: &mut Group<'_, Out>,
    evidence: &Evidence<'_>,
    headers: &Headers<'_>,
    found: &Found<'_>,
    physical: &impl Physical,
) {
    let mut reached = 0;
    for address in found.markers() {
        let all = Range::new(address, size_of::<u64>() as u64);
        let holds = |range: Range| all.is_some_and(|all| range.contains(all));
        let covered = headers.loads().skip(1).filter_map(Phdr::range).any(holds);
        reached += u64::from(covered);
        // An elfcorehdr that was restored, or kept for lack of room, does not cover memory that was
        // plugged in later.
        let known = found.ram().flatten().any(holds);
        group.ensure(covered || !known || evidence.outdated(), |line| {
            line.text("marker at ").hex(address).text(": expected a PT_LOAD around it found none");
        });
        match physical.read::<U64>(address) {
            Some(word) => group.ensure(word.get() == marker(address), |line| {
                line.text("marker at ")
                    .hex(address)
                    .text(": expected ")
                    .hex(marker(address))
                    .text(" found ")
                    .hex(word.get());
            }),
            None => group.fails(|line| {
                _ = line.text("marker at ").hex(address).text(": expected memory found none")
            }),
        }
    }
    group.ensure(reached > 0, |line| {
        _ = line.text("markers: expected some in a PT_LOAD found none")
    });
}

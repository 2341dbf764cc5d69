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
    let mut expect = |holds, words, found| group.expect_of("PT_LOAD", index, holds, words, found);
    let Some(range) = load.range().filter(|range| !range.is_empty()) else {
        return expect(false, "expected memory found an empty range at", load.p_offset.get());
    };
    let (paddr, memsz, virt) = (load.p_paddr.get(), load.p_memsz.get(), load.p_vaddr.get());
    expect(load.p_offset.get() == paddr, "expected p_offset as p_paddr found", paddr);
    expect(load.p_filesz.get() == memsz, "expected p_filesz as p_memsz found", memsz);
    let is_apart = !range.overlaps(CRASH_REGION);
    expect(is_apart, "expected none of the crash region found some from", range.start());
    // All but the text, which comes first.
    let is_direct = index == 0 || virt == DIRECT_MAP.wrapping_add(range.start());
    expect(is_direct, "expected p_vaddr in the direct map found", virt);
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
    if loads().count() == 0 {
        group.fails_with("RAM: expected some found none");
    }
    for load in loads() {
        let known =
            found.ram().any(|ram| ram.zip(load).is_some_and(|(ram, load)| ram.contains(load)));
        group.ensure(known, |line| {
            let (start, end) = ends(load);
            line.text("RAM: expected a part of what the kernel had found ").hex(start);
            line.text("-").hex(end);
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
        let is_reached = covered || !known || evidence.outdated();
        let mut expect = |holds, words, n| group.expect_at("marker", address, holds, words, n);
        expect(is_reached, "expected a PT_LOAD around it found", 0);
        match physical.read::<U64>(address).map(U64::get) {
            Some(word) => expect(word == marker(address), "expected another word found", word),
            None => expect(false, "expected memory found", 0),
        }
    }
    group.expect(reached > 0, "markers: expected some in a PT_LOAD found", 0);
}

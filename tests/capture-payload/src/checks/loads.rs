//! PT_LOADs: the crashed kernel's text and memory, all of it, nothing of the crash region, and readable.

use handoff::text::Text;
use orders::map::{DIRECT_MAP, KERNEL_TEXT};
use orders::note::marker;
use zerocopy::little_endian::U64;

use super::Group;
use crate::Physical;
use crate::crash_note::Found;
use crate::elf::{Headers, Phdr};
use crate::evidence::Evidence;
use crate::range::{CRASH_REGION, Range};

/// How much of the address space is the kernel's text (`KERNEL_IMAGE_SIZE` with KASLR, arch/x86/include/asm/page_64_types.h), less
/// where it begins.
const TEXT_MAPPING_LEN: u64 = (1 << 30) - (16 << 20);
/// The smallest unit that is mapped.
const PAGE_SIZE: u64 = 4096;

pub(super) fn check<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>, physical: &impl Physical) {
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
        return group.fails(|line| _ = line.text("PT_LOAD ").decimal(number).text(": expected memory found an empty range"));
    };
    let agrees = load.p_offset == load.p_paddr && load.p_filesz == load.p_memsz;
    group.ensure(agrees, |line| {
        line.text("PT_LOAD ").decimal(number).text(": expected p_offset p_filesz ").hex(range.start()).text(" ").hex(range.len());
        line.text(" found p_paddr p_memsz ").hex(load.p_paddr.get()).text(" ").hex(load.p_memsz.get());
    });
    group.ensure(!range.overlaps(CRASH_REGION), |line| {
        line.text("PT_LOAD ").decimal(number).text(": expected none of the crash region found ").hex(range.start());
        line.text("-").hex(range.end());
    });
    // The text is mapped as it is linked, all else by the direct map.
    let virt = load.p_vaddr.get();
    let mapped = match index {
        0 => (KERNEL_TEXT..KERNEL_TEXT + TEXT_MAPPING_LEN).contains(&virt) && (virt ^ range.start()).is_multiple_of(PAGE_SIZE),
        _ => virt == DIRECT_MAP.wrapping_add(range.start()),
    };
    group.ensure(mapped, |line| {
        line.text("PT_LOAD ").decimal(number).text(": expected p_vaddr in ");
        line.text(if index == 0 { "the kernel's text mapping" } else { "the direct map" }).text(" found ").hex(virt);
    });
}

fn text<Out: Text>(group: &mut Group<'_, Out>, headers: &Headers<'_>, found: &Found<'_>) {
    let (start, len) = headers.loads().next().map_or((0, 0), |load| (load.p_offset.get(), load.p_filesz.get()));
    group.equal("text start", found.note.text.start.get(), start);
    group.equal("text length", found.note.text.len.get(), len);
}

/// All but the text: the RAM that there was at the panic if the kernel said so, else parts of it.
fn memory<Out: Text>(group: &mut Group<'_, Out>, evidence: &Evidence<'_>, headers: &Headers<'_>, found: &Found<'_>) {
    let loads = || headers.loads().skip(1).map(Phdr::range);
    if evidence.rewritten() && !evidence.outdated() {
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
        let known = found.ram().any(|ram| ram.zip(load).is_some_and(|(ram, load)| ram.contains(load)));
        group.ensure(known, |line| {
            let (start, end) = ends(load);
            line.text("RAM: expected a part of what the kernel had found ").hex(start).text("-").hex(end);
        });
    }
}

fn ends(range: Option<Range>) -> (u64, u64) {
    range.map_or((0, 0), |range| (range.start(), range.end()))
}

/// Reads through the PT_LOADs what the crash kernel has planted.
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
        let covered = headers.loads().skip(1).filter_map(Phdr::range).any(|load| all.is_some_and(|all| load.contains(all)));
        reached += u64::from(covered);
        // An elfcorehdr that was put back knows nothing of memory that was plugged in since.
        group.ensure(covered || evidence.outdated(), |line| {
            line.text("marker at ").hex(address).text(": expected a PT_LOAD around it found none");
        });
        match physical.read::<U64>(address) {
            Some(word) => group.ensure(word.get() == marker(address), |line| {
                line.text("marker at ").hex(address).text(": expected ").hex(marker(address)).text(" found ").hex(word.get());
            }),
            None => group.fails(|line| _ = line.text("marker at ").hex(address).text(": expected memory found none")),
        }
    }
    group.ensure(reached > 0, |line| _ = line.text("markers: expected some in a PT_LOAD found none"));
}

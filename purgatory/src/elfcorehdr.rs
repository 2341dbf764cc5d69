//! `[6]` The elfcorehdr. No digest covers it, because the kernel rewrites it on hotplug. Without it
//! there is no /proc/vmcore.
//!
//! *On entry*: the segment's bytes, written by the loader or later by the kernel
//! (`crash_prepare_elf64_headers`, kernel/crash_core.c).
//!
//! *On exit*, one of these holds:
//! * The header has every property that the kernel's writer guarantees.
//! * The first violation is named, and the load-time copy was restored if it is sound.
//!
//! The writer states most facts twice: offset and physical address, file and memory size, one
//! direct-map offset for all ranges, ranges in ascending order. That makes a flipped bit visible
//! without a digest. A header that the kernel rewrote always passes. A machine can have several
//! crash regions, but the block names only the one that contains the image. So only that one is
//! checked.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::received::Span;

/// `Elf64_Ehdr` (elf.h).
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Elf64Ehdr {
    e_ident: [u8; 16],
    e_type: U16,
    e_machine: U16,
    e_version: U32,
    e_entry: U64,
    e_phoff: U64,
    e_shoff: U64,
    e_flags: U32,
    e_ehsize: U16,
    e_phentsize: U16,
    e_phnum: U16,
    e_shentsize: U16,
    e_shnum: U16,
    e_shstrndx: U16,
}

/// `Elf64_Phdr` (elf.h).
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Elf64Phdr {
    p_type: U32,
    p_flags: U32,
    p_offset: U64,
    p_vaddr: U64,
    p_paddr: U64,
    p_filesz: U64,
    p_memsz: U64,
    p_align: U64,
}

const EHDR_SIZE: usize = size_of::<Elf64Ehdr>();
const PHDR_SIZE: usize = size_of::<Elf64Phdr>();
const _: () = assert!(EHDR_SIZE == 64 && PHDR_SIZE == 56);

/// ELFMAG, ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
const IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
const ET_CORE: u16 = 4;
const EM_X86_64: u16 = 62;
const EV_CURRENT: u32 = 1;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// From this value on, `e_phnum` is stored elsewhere, which /proc/vmcore does not support.
const PN_XNUM: u16 = 0xffff;
/// Virtual address from which the kernel's text is mapped (`__START_KERNEL_map`,
/// arch/x86/include/asm/page_64_types.h).
const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// KASLR moves the direct map by multiples of this (`PUD_SIZE`, `kernel_randomize_memory`,
/// arch/x86/mm/kaslr.c).
const DIRECT_MAP_ALIGNMENT: u64 = 1 << 30;
/// The kernel pads what it writes with zeroes to this (ELF_CORE_HEADER_ALIGN,
/// include/linux/crash_core.h).
const PADDED_TO: usize = 4096;

/// A defect of an elfcorehdr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The identification is not that of a 64-bit little-endian ELF file.
    Magic,
    /// Not a core file for x86-64 of the current version.
    Type,
    /// A header has a wrong size or offset.
    HeaderSizes,
    /// No program header, or more than the segment holds.
    Count,
    /// Data follows the last program header.
    AfterLast,
    /// A program header is neither PT_NOTE nor PT_LOAD.
    Kind,
    /// A PT_NOTE follows a PT_LOAD: /proc/vmcore merges only leading ones.
    Order,
    /// No PT_NOTE or no PT_LOAD at all.
    Missing,
    /// Offset and physical address, or file and memory size, differ.
    Disagreement,
    /// A range is empty, wraps, or ends above physical memory.
    Range,
    /// A PT_LOAD reaches into the crash region.
    CrashRegion,
    /// Ranges of memory are not in ascending order, or overlap.
    Ascent,
    /// A virtual address is outside the kernel's text mapping, or not at the one offset of the
    /// direct map.
    VirtualAddress,
}

impl Defect {
    /// The defect in words, for the console.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Magic => "not the identification of a 64-bit ELF file",
            Self::Type => "not an x86-64 core file",
            Self::HeaderSizes => "wrong header size or offset",
            Self::Count => "impossible number of program headers",
            Self::AfterLast => "data follows the last program header",
            Self::Kind => "a program header is neither PT_NOTE nor PT_LOAD",
            Self::Order => "a PT_NOTE follows a PT_LOAD",
            Self::Missing => "no PT_NOTE or no PT_LOAD",
            Self::Disagreement => "a program header contradicts itself",
            Self::Range => "a program header points outside physical memory",
            Self::CrashRegion => "a PT_LOAD reaches into the crash region",
            Self::Ascent => "memory ranges overlap or are out of order",
            Self::VirtualAddress => "a PT_LOAD has an impossible virtual address",
        }
    }
}

/// Fails with `defect` unless `condition` holds.
fn ensure(condition: bool, defect: Defect) -> Result<(), Defect> {
    if condition { Ok(()) } else { Err(defect) }
}

/// Checks the header in `segment`, which is all of the elfcorehdr's memory.
pub fn check(segment: &[u8], crash_region: Span, phys_limit: u64) -> Result<(), Defect> {
    let (header, rest) = Elf64Ehdr::ref_from_prefix(segment).map_err(|_| Defect::Count)?;
    ensure(header.e_ident[..IDENT.len()] == IDENT, Defect::Magic)?;
    let kind = (header.e_type.get(), header.e_machine.get(), header.e_version.get());
    ensure(kind == (ET_CORE, EM_X86_64, EV_CURRENT), Defect::Type)?;
    let sizes =
        (header.e_ehsize.get() as usize, header.e_phentsize.get() as usize, header.e_phoff.get());
    ensure(sizes == (EHDR_SIZE, PHDR_SIZE, EHDR_SIZE as u64), Defect::HeaderSizes)?;

    let count = header.e_phnum.get();
    ensure(count != 0 && count != PN_XNUM, Defect::Count)?;
    let (programs, after) = <[Elf64Phdr]>::ref_from_prefix_with_elems(rest, count as usize)
        .map_err(|_| Defect::Count)?;
    let used = EHDR_SIZE + programs.len() * PHDR_SIZE;
    let padding = (used.next_multiple_of(PADDED_TO) - used).min(after.len());
    ensure(after[..padding].iter().all(|&byte| byte == 0), Defect::AfterLast)?;

    let notes = programs.iter().take_while(|program| program.p_type.get() == PT_NOTE).count();
    let (notes, loads) = programs.split_at(notes);
    for load in loads {
        ensure(load.p_type.get() != PT_NOTE, Defect::Order)?;
        ensure(load.p_type.get() == PT_LOAD, Defect::Kind)?;
    }
    ensure(!notes.is_empty() && !loads.is_empty(), Defect::Missing)?;
    programs.iter().try_for_each(|program| check_range(program, phys_limit))?;
    loads.iter().try_for_each(|load| check_load(load, crash_region))?;
    let (text, memory) = loads.split_first().ok_or(Defect::Missing)?;
    ensure(!memory.is_empty(), Defect::Missing)?;
    ensure(text.p_vaddr.get() >= START_KERNEL_MAP, Defect::VirtualAddress)?;
    check_memory(memory)
}

/// Physical start and end of a program header, as read now. A CPU that did not stop may write to it
/// between two checks, so no check relies on what another one read.
fn range(program: &Elf64Phdr) -> Result<(u64, u64), Defect> {
    let start = program.p_paddr.get();
    let end = start.checked_add(program.p_memsz.get()).ok_or(Defect::Range)?;
    Ok((start, end))
}

fn check_range(program: &Elf64Phdr, phys_limit: u64) -> Result<(), Defect> {
    let says_twice = program.p_offset == program.p_paddr && program.p_filesz == program.p_memsz;
    ensure(says_twice, Defect::Disagreement)?;
    let (start, end) = range(program)?;
    ensure(start != end && end <= phys_limit, Defect::Range)
}

fn check_load(load: &Elf64Phdr, crash_region: Span) -> Result<(), Defect> {
    let (start, end) = range(load)?;
    let apart = end <= crash_region.start() || crash_region.end() <= start;
    ensure(apart, Defect::CrashRegion)
}

/// The PT_LOADs after the kernel's text. `walk_system_ram_res` ascends, and all ranges are in the
/// direct map.
fn check_memory(memory: &[Elf64Phdr]) -> Result<(), Defect> {
    let offset = |load: &Elf64Phdr| load.p_vaddr.get().wrapping_sub(load.p_paddr.get());
    let direct_map = memory.first().map_or(0, offset);
    ensure(direct_map.is_multiple_of(DIRECT_MAP_ALIGNMENT), Defect::VirtualAddress)?;
    let mut last_end = 0;
    for load in memory {
        ensure(offset(load) == direct_map, Defect::VirtualAddress)?;
        let (start, end) = range(load)?;
        ensure(last_end <= start, Defect::Ascent)?;
        last_end = end;
    }
    Ok(())
}

/// The outcome for a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// It has no defect.
    Sound,
    /// It had this defect, and the copy was restored.
    Restored(Defect),
    /// It has this defect, and there is no sound copy.
    Broken(Defect),
}

/// Checks the header in `segment`, and restores `copy` if it is broken.
pub fn mend(
    segment: &mut [u8],
    copy: Option<&[u8]>,
    crash_region: Span,
    phys_limit: u64,
) -> Mended {
    let Err(defect) = check(segment, crash_region, phys_limit) else { return Mended::Sound };
    let Some(copy) = copy else { return Mended::Broken(defect) };
    // Zeroes after the copy, as kexec_load(2) left them. The kernel's rewrite may have put more
    // there.
    let (front, rest) = segment.split_at_mut(copy.len());
    front.copy_from_slice(copy);
    rest.fill(0);
    Mended::Restored(defect)
}

#[cfg(test)]
mod tests;

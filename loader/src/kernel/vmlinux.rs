//! `[2c]` vmlinux: the kernel as it was linked, an ELF file without the code that unpacks and moves
//! it.
//!
//! On x86-64 it can run at a physical address for which it was not linked. `startup_64`
//! determines its address and adapts its page tables (`__startup_64`,
//! arch/x86/boot/startup/map_kernel.c; before 6.16 arch/x86/kernel/head64.c). It requires an
//! alignment of 2 MiB, and boot parameters at RSI. A vmlinux has no setup header, so one is made
//! here.

use std::borrow::Cow;
use std::ops::Range;

use object::LittleEndian;
use object::elf::{
    EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, PT_LOAD, ProgramHeader64, SHF_ALLOC, SHT_NOBITS,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::bzimage::{XLF_CAN_BE_LOADED_ABOVE_4G, XLF_EFI_KEXEC, XLF_KERNEL_64};
use super::uapi::SetupHeader;
use super::{CaptureKernel, Defect, Format, Measure};

/// The row of [`super::FORMATS`].
pub const FORMAT: Format = Format { name: "vmlinux", probe, measure, parse };

/// Lowest virtual address of the kernel's own mapping (`__START_KERNEL_map`,
/// Documentation/arch/x86/x86_64/mm.rst).
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Alignment of its physical address; it hangs at any other (`PMD_SIZE`, `__startup_64`).
const ALIGNMENT: u64 = 2 << 20;
/// COMMAND_LINE_SIZE without the NUL (arch/x86/include/asm/setup.h).
const CMDLINE_SIZE: u32 = 2047;
/// The boot protocol of the setup header that is made here, which uses nothing newer.
const VERSION: u16 = 0x020f;
/// Most bytes of memory that a kernel can have (`KERNEL_IMAGE_SIZE`,
/// arch/x86/include/asm/page_64_types.h). It limits what a damaged header can claim.
const MOST: u64 = 1 << 30;
const HDRS: [u8; 4] = *b"HdrS";
const BOOT_FLAG: u16 = 0xaa55;

/// A vmlinux is an ELF file for x86-64 with a segment in the kernel's own mapping.
fn probe(bytes: &[u8]) -> bool {
    let Some((header, loads)) = headers(bytes) else { return false };
    let kind = header.e_type(LittleEndian);
    header.e_machine(LittleEndian) == EM_X86_64
        && (kind == ET_EXEC || kind == ET_DYN)
        && loads.iter().any(|load| load.p_vaddr(LittleEndian) >= KERNEL_MAP)
}

fn headers(
    bytes: &[u8],
) -> Option<(&FileHeader64<LittleEndian>, Vec<&ProgramHeader64<LittleEndian>>)> {
    let header = FileHeader64::parse(bytes).ok()?;
    let headers = header.program_headers(LittleEndian, bytes).ok()?;
    let loads = headers
        .iter()
        .filter(|load| load.p_type(LittleEndian) == PT_LOAD && load.p_memsz(LittleEndian) > 0);
    Some((header, loads.collect()))
}

/// The whole file must be read: the section headers, which show whether it has code, are at its
/// end.
fn measure(head: &[u8]) -> Option<Measure> {
    let (_, mut loads) = headers(head)?;
    loads.sort_unstable_by_key(|load| load.p_paddr(LittleEndian));
    let span = span(&loads).ok()?;
    Some(Measure { memory: span.end - span.start, ..Measure::default() })
}

fn parse(bytes: &[u8]) -> Result<CaptureKernel<'_>, Defect> {
    let (header, mut loads) = headers(bytes).expect("it was probed");
    loads.sort_unstable_by_key(|load| load.p_paddr(LittleEndian));
    let span = span(&loads)?;
    has_code(header, &loads, bytes)?;
    let gaps = gaps(&loads);
    if gaps > loads.len() as u64 * ALIGNMENT {
        return Err(Defect::Segments {
            what: "its segments are further apart than those of a kernel",
            at: gaps,
        });
    }
    let mut payload = Vec::new();
    for load in loads {
        let (offset, file_len) = load.file_range(LittleEndian);
        let end = offset.saturating_add(file_len);
        let content = load.data(LittleEndian, bytes);
        let content =
            content.map_err(|()| Defect::Truncated { len: bytes.len(), part: "a segment", end })?;
        payload.resize((load.p_paddr(LittleEndian) - span.start) as usize, 0);
        payload.extend_from_slice(content);
    }
    // Its physical address as linked (`phys_startup_64`, arch/x86/kernel/vmlinux.lds.S).
    let entry = header.e_entry(LittleEndian);
    let entry_offset = entry - span.start;
    let init_size = span.end - span.start;
    Ok(CaptureKernel {
        file: bytes,
        setup_header: Cow::Owned(setup_header(init_size).as_bytes().to_vec()),
        payload: Cow::Owned(payload),
        init_size,
        alignment: ALIGNMENT,
        pref_address: 0,
        cmdline_size: CMDLINE_SIZE,
        version: VERSION,
        xloadflags: XLOADFLAGS,
        entry_offset,
    })
}

/// Rejects a file made with `objcopy --only-keep-debug` or `eu-strip -f`. It has a kernel's
/// headers, but no code.
fn has_code(
    header: &FileHeader64<LittleEndian>,
    loads: &[&ProgramHeader64<LittleEndian>],
    bytes: &[u8],
) -> Result<(), Defect> {
    let entry = header.e_entry(LittleEndian);
    let offset_in = |load: &ProgramHeader64<_>| entry.checked_sub(load.p_paddr(LittleEndian));
    let inside = |load: &&&ProgramHeader64<_>| {
        offset_in(load).is_some_and(|offset| offset < load.p_memsz(LittleEndian))
    };
    let wrong = |what| Defect::Segments { what, at: entry };
    let load =
        loads.iter().find(inside).ok_or(wrong("its entry point is outside all of its segments"))?;
    let offset = offset_in(load).expect("it is inside");
    let mut without_code = offset >= load.p_filesz(LittleEndian);
    // A kernel need not have sections. If the file has them, they are reliable; its program headers
    // may be the original kernel's.
    let entry = load.p_vaddr(LittleEndian).wrapping_add(offset);
    for section in header.section_headers(LittleEndian, bytes).unwrap_or_default() {
        let offset = entry.wrapping_sub(section.sh_addr(LittleEndian));
        let holds_entry = section.sh_flags(LittleEndian).contains(SHF_ALLOC)
            && offset < section.sh_size(LittleEndian);
        without_code |= holds_entry && section.sh_type(LittleEndian) == SHT_NOBITS;
    }
    if without_code {
        Err(Defect::WithoutCode { entry: header.e_entry(LittleEndian) })
    } else {
        Ok(())
    }
}

/// Bytes between the content of each segment and the start of the next. They become zeroes in the
/// payload. In a kernel, each gap is smaller than the next segment's alignment
/// (arch/x86/kernel/vmlinux.lds.S); a damaged header can claim any number.
fn gaps(loads: &[&ProgramHeader64<LittleEndian>]) -> u64 {
    let content_end =
        |load: &ProgramHeader64<_>| load.p_paddr(LittleEndian) + load.p_filesz(LittleEndian);
    loads.windows(2).map(|pair| pair[1].p_paddr(LittleEndian) - content_end(pair[0])).sum()
}

/// The `xloadflags` of its setup header. The file does not show whether it supports five levels of
/// page tables, so XLF_5LEVEL is not set.
const XLOADFLAGS: u16 = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G | XLF_EFI_KEXEC;

fn setup_header(init_size: u64) -> SetupHeader {
    let mut header = SetupHeader::new_zeroed();
    header.boot_flag = U16::new(BOOT_FLAG);
    header.header = HDRS;
    header.version = U16::new(VERSION);
    header.kernel_alignment = U32::new(ALIGNMENT as u32);
    header.relocatable_kernel = 1;
    header.xloadflags = U16::new(XLOADFLAGS);
    header.cmdline_size = U32::new(CMDLINE_SIZE);
    header.init_size = U32::new(init_size as u32);
    header
}

/// The physical addresses that it was linked for, from the first segment to the end of the last.
/// `loads` are sorted.
fn span(loads: &[&ProgramHeader64<LittleEndian>]) -> Result<Range<u64>, Defect> {
    let wrong = |what, at| Defect::Segments { what, at };
    let start = loads.first().map_or(0, |load| load.p_paddr(LittleEndian));
    if !start.is_multiple_of(ALIGNMENT) {
        return Err(wrong("its first segment does not begin at a multiple of 2 MiB", start));
    }
    let mut end = start;
    for load in loads {
        let (at, len) = (load.p_paddr(LittleEndian), load.p_memsz(LittleEndian));
        if at < end {
            return Err(wrong("two of its segments overlap", at));
        }
        if load.p_filesz(LittleEndian) > len {
            return Err(wrong("a segment has more bytes in the file than in memory", at));
        }
        end = at
            .checked_add(len)
            .filter(|end| end - start <= MOST)
            .ok_or(wrong("its segments take more than 1 GiB", at))?;
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests;

//! `[1b]` /proc/kcore: virtual and physical addresses of the kernel's text and of its direct map.
//!
//! /proc/kallsyms would not do: kptr_restrict hides it, and it has `_end` only with
//! CONFIG_KALLSYMS_ALL.

use std::io::{self, Read};

use object::LittleEndian;
use object::elf::{EM_X86_64, ET_CORE, FileHeader64, PT_LOAD, PT_NOTE, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::machine::source::Found;
use crate::machine::{Error, Kcore};

/// Lowest virtual address of the kernel's own image (`__START_KERNEL_map`,
/// arch/x86/include/asm/page_64_types.h).
const START_KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// `p_paddr` of a segment that is neither RAM nor text (`get_kcore_size` and `read_kcore_iter`,
/// fs/proc/kcore.c).
const NO_PHYSICAL_ADDRESS: u64 = u64::MAX;

const EHDR_LEN: usize = size_of::<FileHeader64<LittleEndian>>();
const PHDR_LEN: usize = size_of::<ProgramHeader64<LittleEndian>>();

/// Most bytes that are read: 0xffff program headers and a few notes. fs/proc/kcore.c writes no
/// more.
const MAX_HEADERS_LEN: u64 = 8 << 20;

/// Reads the file up to the end of its program headers and notes.
pub(in crate::machine) fn read_headers(file: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_up_to(file, EHDR_LEN as u64, &mut bytes)?;
    let Ok(header) = FileHeader64::<LittleEndian>::parse(&*bytes) else { return Ok(bytes) };
    let table_len = u64::from(header.e_phnum.get(LittleEndian)) * PHDR_LEN as u64;
    read_up_to(file, header.e_phoff.get(LittleEndian).saturating_add(table_len), &mut bytes)?;
    let header = FileHeader64::<LittleEndian>::parse(&*bytes).map_err(io::Error::other)?;
    let Ok(segments) = header.program_headers(LittleEndian, &*bytes) else { return Ok(bytes) };
    let notes = segments.iter().filter(|segment| segment.p_type(LittleEndian) == PT_NOTE);
    let end = notes
        .map(|note| note.p_offset(LittleEndian).saturating_add(note.p_filesz(LittleEndian)))
        .max();
    read_up_to(file, end.unwrap_or(0), &mut bytes)?;
    Ok(bytes)
}

/// Appends to `bytes` until it is `end` long, or the file or the limit ends.
fn read_up_to(file: &mut dyn Read, end: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let wanted = end.min(MAX_HEADERS_LEN).saturating_sub(bytes.len() as u64);
    file.take(wanted).read_to_end(bytes)?;
    Ok(())
}

pub(in crate::machine) fn parse(file: &Found) -> Result<Kcore, Error> {
    let elf =
        |cause: object::Error| file.garbled(format!("a file that does not parse as ELF ({cause})"));
    let bytes = &*file.bytes;
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(elf)?;
    let (kind, machine) = (header.e_type.get(LittleEndian), header.e_machine.get(LittleEndian));
    if header.endian().is_err() || kind != ET_CORE || machine != EM_X86_64 {
        return Err(file.garbled(format!("an ELF file of type {kind} for machine {machine}")));
    }
    let segments = header.program_headers(LittleEndian, bytes).map_err(elf)?;
    let mapped = segments.iter().filter(|segment| {
        segment.p_type(LittleEndian) == PT_LOAD
            && segment.p_paddr(LittleEndian) != NO_PHYSICAL_ADDRESS
    });
    let (text, ram): (Vec<_>, Vec<_>) =
        mapped.partition(|segment| segment.p_vaddr(LittleEndian) >= START_KERNEL_MAP);

    let [text] = text[..] else {
        return Err(file.garbled(format!("{} segments of kernel text instead of one", text.len())));
    };
    let offset_of = |segment: &ProgramHeader64<_>| {
        segment.p_vaddr(LittleEndian).checked_sub(segment.p_paddr(LittleEndian))
    };
    let page_offset = ram.first().and_then(&offset_of);
    let Some(page_offset) =
        page_offset.filter(|_| ram.iter().all(|segment| offset_of(segment) == page_offset))
    else {
        return Err(
            file.garbled(format!("{} segments of RAM that do not form one direct map", ram.len()))
        );
    };
    let (text_virt, text_len) = (text.p_vaddr(LittleEndian), text.p_memsz(LittleEndian));
    if text_len == 0 || text_virt.checked_add(text_len).is_none() {
        return Err(file.garbled(format!("kernel text of {text_len:#x} bytes at {text_virt:#x}")));
    }
    Ok(Kcore { text_virt, text_phys: text.p_paddr(LittleEndian), text_len, page_offset })
}

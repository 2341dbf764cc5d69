//! `[6c]` The elfcorehdr: ELF program headers that tell the capture kernel which memory of the
//! crashed machine to dump.
//!
//! It has the layout of the kernel's own `crash_prepare_elf64_headers` (kernel/crash_core.c). The
//! kernel rewrites the segment in that layout on every CPU or memory hotplug event, and the dump
//! must not depend on whether it did:
//!
//! * one PT_NOTE per CPU, then one for VMCOREINFO. `merge_note_headers_elf64` (fs/proc/vmcore.c)
//!   needs them first and together;
//! * one PT_LOAD for the kernel's text, by its link-time mapping;
//! * one PT_LOAD per range of System RAM, ascending. The low 1 MiB is left out, because the kernel
//!   keeps nothing worth dumping there (`reserve_real_mode`, arch/x86/realmode/init.c), as is the
//!   memory of the capture kernel itself.

use object::elf::{
    ELFCLASS64, ELFDATA2LSB, ELFMAG, ELFOSABI_NONE, EM_X86_64, ET_CORE, EV_CURRENT, FileHeader64,
    Ident, PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramFlags, ProgramHeader64, ProgramType,
};
use object::pod::bytes_of;
use object::{LittleEndian, U16, U32, U64};

use crate::machine::{CrashNotes, Machine, without_crash_memory};
use crate::phys::{PhysRange, align_up};

/// Bytes of the ELF header.
pub(crate) const EHDR_LEN: usize = size_of::<FileHeader64<LittleEndian>>();
/// Bytes of a program header.
pub(crate) const PHDR_LEN: usize = size_of::<ProgramHeader64<LittleEndian>>();
const _: () = assert!(EHDR_LEN == 64 && PHDR_LEN == 56);

/// The first number of program headers that does not fit `e_phnum`. fs/proc/vmcore.c does not
/// support the extension for it (`PN_XNUM`).
const PHNUM_LIMIT: usize = 0xffff;
/// Program headers besides those of CPUs and RAM: VMCOREINFO and the kernel's text.
pub const FIXED_PHDRS: u64 = 2;

/// The length of the elfcorehdr's segment, in whole pages.
///
/// With `hotplug`, the kernel rewrites the segment for as many CPUs and ranges as the machine can
/// ever have. It reports how many bytes that needs, without the ELF header
/// (`arch_crash_get_elfcorehdr_size`, arch/x86/kernel/crash.c), and compares page-rounded sizes.
pub(crate) fn segment_len(machine: &Machine, hotplug: bool) -> u64 {
    let phdrs = u64::from(machine.possible_cpus).max(machine.crash_notes.len() as u64)
        + FIXED_PHDRS
        + dumped(machine).len() as u64;
    let own = EHDR_LEN as u64 + phdrs * PHDR_LEN as u64;
    let kernels = kernels_len(machine).filter(|_| hotplug).unwrap_or(0);
    align_up(own.max(kernels), handoff::PAGE_SIZE).unwrap_or(u64::MAX)
}

/// The elfcorehdr's bytes for the machine as it is now.
pub fn build(machine: &Machine) -> Result<Vec<u8>, Error> {
    let mut phdrs: Vec<ProgramHeader64<LittleEndian>> = Vec::new();
    let mut cpus: Vec<CrashNotes> = machine.crash_notes.clone();
    cpus.sort_unstable_by_key(|notes| notes.cpu);
    phdrs.extend(cpus.iter().map(|notes| note(notes.range)));
    phdrs.push(note(machine.vmcoreinfo));
    let kcore = machine.kcore;
    let text = PhysRange::with_len(kcore.text_phys, kcore.text_len);
    phdrs.push(load(
        text.ok_or(Error::Text { start: kcore.text_phys, len: kcore.text_len })?,
        kcore.text_virt,
    ));
    for range in dumped(machine) {
        let page_offset = kcore.page_offset;
        let virt = page_offset
            .checked_add(range.start())
            .filter(|virt| virt.checked_add(range.len()).is_some());
        phdrs.push(load(range, virt.ok_or(Error::DirectMap { range, page_offset })?));
    }
    if phdrs.len() >= PHNUM_LIMIT {
        return Err(Error::TooMany { phdrs: phdrs.len(), limit: PHNUM_LIMIT });
    }
    let ehdr = header(phdrs.len() as u16);
    let table = phdrs.iter().flat_map(bytes_of);
    Ok(bytes_of(&ehdr).iter().chain(table).copied().collect())
}

/// How many program headers fit a segment of `len` bytes.
pub fn capacity(len: u64) -> u64 {
    len.saturating_sub(EHDR_LEN as u64) / PHDR_LEN as u64
}

/// The length of a segment that the kernel can keep up to date, as the kernel reports it.
pub fn kernels_len(machine: &Machine) -> Option<u64> {
    Some(machine.elfcorehdr_size?.saturating_add(EHDR_LEN as u64))
}

/// The System RAM of a machine that belongs in a dump.
pub(crate) fn dumped(machine: &Machine) -> Vec<PhysRange> {
    without_crash_memory(
        &machine.system_ram,
        &machine.crash_regions,
        machine.crash_cma.as_deref().unwrap_or_default(),
    )
}

fn header(phnum: u16) -> FileHeader64<LittleEndian> {
    FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: ELFCLASS64,
            data: ELFDATA2LSB,
            version: EV_CURRENT,
            os_abi: ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(LittleEndian, ET_CORE),
        e_machine: U16::new(LittleEndian, EM_X86_64),
        e_version: U32::new(LittleEndian, u32::from(EV_CURRENT.0)),
        e_entry: U64::default(),
        e_phoff: U64::new(LittleEndian, EHDR_LEN as u64),
        e_shoff: U64::default(),
        e_flags: U32::default(),
        e_ehsize: U16::new(LittleEndian, EHDR_LEN as u16),
        e_phentsize: U16::new(LittleEndian, PHDR_LEN as u16),
        e_phnum: U16::new(LittleEndian, phnum),
        e_shentsize: U16::default(),
        e_shnum: U16::default(),
        e_shstrndx: U16::default(),
    }
}

fn note(range: PhysRange) -> ProgramHeader64<LittleEndian> {
    phdr(PT_NOTE, ProgramFlags(0), range, 0)
}

fn load(range: PhysRange, virt: u64) -> ProgramHeader64<LittleEndian> {
    phdr(PT_LOAD, PF_R | PF_W | PF_X, range, virt)
}

/// fs/proc/vmcore.c uses `p_offset` as the physical address. `p_paddr` repeats it for the tools
/// that read the dump.
fn phdr(
    kind: ProgramType,
    flags: ProgramFlags,
    range: PhysRange,
    virt: u64,
) -> ProgramHeader64<LittleEndian> {
    ProgramHeader64 {
        p_type: U32::new(LittleEndian, kind),
        p_flags: U32::new(LittleEndian, flags),
        p_offset: U64::new(LittleEndian, range.start()),
        p_vaddr: U64::new(LittleEndian, virt),
        p_paddr: U64::new(LittleEndian, range.start()),
        p_filesz: U64::new(LittleEndian, range.len()),
        p_memsz: U64::new(LittleEndian, range.len()),
        p_align: U64::default(),
    }
}

/// Why there is no elfcorehdr for this machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More program headers than `e_phnum` can count.
    #[error(
        "this machine's CPUs and ranges of memory need {phdrs} program headers, but a capture \
         kernel reads fewer than {limit}: boot the running kernel with fewer CPUs (nr_cpus=)"
    )]
    TooMany {
        /// How many program headers are needed.
        phdrs: usize,
        /// The first number that is too large.
        limit: usize,
    },
    /// The kernel's text exceeds the address space.
    #[error(
        "/proc/kcore puts {len:#x} bytes of kernel text at physical {start:#x}, beyond the end of \
         the address space: if this is a snapshot, take it again"
    )]
    Text {
        /// Its physical address.
        start: u64,
        /// Its length.
        len: u64,
    },
    /// A range of RAM does not fit the direct map.
    #[error(
        "System RAM {range} does not fit above {page_offset:#x}, where /proc/kcore says that the \
         direct map begins: if this is a snapshot, take it again"
    )]
    DirectMap {
        /// The range.
        range: PhysRange,
        /// Virtual address of physical address 0.
        page_offset: u64,
    },
}

#[cfg(test)]
mod tests;

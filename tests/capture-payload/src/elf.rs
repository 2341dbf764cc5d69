//! The elfcorehdr and its notes, as fs/proc/vmcore.c reads them: every address is physical, and
//! every walk has a bound.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::Physical;
use crate::range::Range;

/// `Elf64_Ehdr` (elf.h).
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[expect(missing_docs, reason = "elf.h's names")]
pub struct Ehdr {
    pub e_ident: [u8; 16],
    pub e_type: U16,
    pub e_machine: U16,
    pub e_version: U32,
    pub e_entry: U64,
    pub e_phoff: U64,
    pub e_shoff: U64,
    pub e_flags: U32,
    pub e_ehsize: U16,
    pub e_phentsize: U16,
    pub e_phnum: U16,
    pub e_shentsize: U16,
    pub e_shnum: U16,
    pub e_shstrndx: U16,
}

/// `Elf64_Phdr` (elf.h).
#[derive(Clone, Copy, Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
#[expect(missing_docs, reason = "elf.h's names")]
pub struct Phdr {
    pub p_type: U32,
    pub p_flags: U32,
    pub p_offset: U64,
    pub p_vaddr: U64,
    pub p_paddr: U64,
    pub p_filesz: U64,
    pub p_memsz: U64,
    pub p_align: U64,
}

/// Bytes of an [`Ehdr`].
pub const EHDR_LEN: usize = size_of::<Ehdr>();
/// Bytes of a [`Phdr`].
pub const PHDR_LEN: usize = size_of::<Phdr>();
const _: () = assert!(EHDR_LEN == 64 && PHDR_LEN == 56);

/// ELFMAG, ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
pub const IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
/// A core file.
pub const ET_CORE: u16 = 4;
/// Of an x86-64.
pub const EM_X86_64: u16 = 62;
/// The one version of ELF.
pub const EV_CURRENT: u32 = 1;
/// Memory.
pub const PT_LOAD: u32 = 1;
/// Notes.
pub const PT_NOTE: u32 = 4;

impl Phdr {
    /// Its physical memory: /proc/vmcore uses `p_offset`.
    pub fn range(&self) -> Option<Range> {
        Range::new(self.p_offset.get(), self.p_filesz.get())
    }
}

/// An elfcorehdr whose program headers can be found.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'m> {
    /// Where it is.
    pub at: u64,
    /// The ELF header.
    pub ehdr: &'m Ehdr,
    /// The program headers.
    pub phdrs: &'m [Phdr],
}

impl<'m> Headers<'m> {
    /// The headers at `at`. Checks only what is needed to find them.
    pub fn read(physical: &'m impl Physical, at: u64) -> Result<Self, &'static str> {
        let outside = "an elfcorehdr outside memory";
        let ehdr = physical
            .bytes(at, EHDR_LEN as u64)
            .and_then(|bytes| Ehdr::ref_from_bytes(bytes).ok())
            .ok_or(outside)?;
        if ehdr.e_ident[..IDENT.len()] != IDENT {
            return Err("no identification of a 64-bit ELF file");
        }
        if usize::from(ehdr.e_ehsize.get()) != EHDR_LEN
            || usize::from(ehdr.e_phentsize.get()) != PHDR_LEN
        {
            return Err("headers of other sizes");
        }
        let table = at.checked_add(EHDR_LEN as u64).ok_or(outside)?;
        let table = physical
            .bytes(table, u64::from(ehdr.e_phnum.get()) * PHDR_LEN as u64)
            .ok_or(outside)?;
        let phdrs = <[Phdr]>::ref_from_bytes(table).map_err(|_| outside)?;
        Ok(Self { at, ehdr, phdrs })
    }

    /// Its PT_NOTEs, in order.
    pub fn notes(&self) -> impl Iterator<Item = &'m Phdr> + use<'m> {
        self.phdrs.iter().filter(|phdr| phdr.p_type.get() == PT_NOTE)
    }

    /// Its PT_LOADs, in order.
    pub fn loads(&self) -> impl Iterator<Item = &'m Phdr> + Clone + use<'m> {
        self.phdrs.iter().filter(|phdr| phdr.p_type.get() == PT_LOAD)
    }
}

/// `Elf64_Nhdr` (elf.h).
#[derive(Clone, Copy, Debug, FromBytes)]
#[repr(C)]
struct Nhdr {
    n_namesz: U32,
    n_descsz: U32,
    n_type: U32,
}

/// One note.
#[derive(Clone, Copy, Debug)]
pub struct Note<'m> {
    /// With its NUL.
    pub name: &'m [u8],
    /// `n_type`.
    pub kind: u32,
    /// Its descriptor.
    pub descriptor: &'m [u8],
}

/// The notes of one PT_NOTE, up to the first without a name or without room
/// (`update_note_header_size_elf64`).
pub fn notes<'m>(physical: &'m impl Physical, phdr: &Phdr) -> impl Iterator<Item = Note<'m>> {
    let mut left = physical.bytes(phdr.p_offset.get(), phdr.p_filesz.get()).unwrap_or_default();
    core::iter::from_fn(move || {
        let (header, rest) = Nhdr::read_from_prefix(left).ok()?;
        let (name_len, descriptor_len) =
            (header.n_namesz.get() as usize, header.n_descsz.get() as usize);
        if name_len == 0 {
            return None;
        }
        let name = rest.get(..name_len)?;
        let rest = rest.get(name_len.next_multiple_of(4)..)?;
        let descriptor = rest.get(..descriptor_len)?;
        left = rest.get(descriptor_len.next_multiple_of(4)..).unwrap_or_default();
        Some(Note { name, kind: header.n_type.get(), descriptor })
    })
}

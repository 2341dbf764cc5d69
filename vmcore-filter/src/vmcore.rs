//! `[1]` The vmcore: an ELF file with notes and physical memory.
//!
//! *On entry* /proc/vmcore or a core file. *On exit* its notes, its VMCOREINFO, and where it has
//! which memory.

use std::fs::File;
use std::io;
use std::path::Path;

use printk_ring::Vmcoreinfo;

use crate::memory::{Memory, PHYSICAL_BITS, Range};
use crate::notes::{self, MOST_NOTES, Notes};
use crate::physical::Physical;
use crate::source::Source;

/// Bytes of `Elf64_Ehdr`.
const ELF_HEADER: usize = 64;
/// Bytes of `Elf64_Phdr`.
const PROGRAM_HEADER: usize = 56;
/// `e_ident`: ELF, 64 bits, little-endian, version 1.
const IDENT: [u8; 7] = *b"\x7fELF\x02\x01\x01";
/// `e_type` of a core file.
const ET_CORE: u16 = 4;
/// `e_machine` of x86-64.
const EM_X86_64: u16 = 62;
/// `e_phnum` if the real number is elsewhere. Linux writes no such vmcore.
const PN_XNUM: u16 = 0xffff;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// Why a file is not a vmcore of this kind.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or read.
    #[error("cannot read the vmcore: {0}")]
    Read(#[from] io::Error),
    /// The first bytes are not those of an ELF64 core file for x86-64.
    #[error("the file is not an ELF64 core file of an x86-64 machine: {what} is {value:#x}")]
    NotCore {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A program header's numbers do not fit together.
    #[error("program header {index} has {what} {value:#x}, which is too large")]
    Header {
        /// Its number, from 0.
        index: usize,
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// No program header describes memory.
    #[error("the vmcore describes no memory: none of its {headers} program headers is a PT_LOAD")]
    NoMemory {
        /// How many program headers there are.
        headers: usize,
    },
    /// Program headers of different memory name the same bytes of the file. Each byte would be
    /// read once for each of them, 65 534 times at worst. The kernel writes no such vmcore.
    #[error(
        "the program headers describe {memory} bytes of memory in a vmcore of {len} bytes: some \
         name the same bytes; the vmcore is damaged"
    )]
    SharedBytes {
        /// Bytes of memory that the program headers describe, each address counted once.
        memory: u64,
        /// Bytes of the vmcore.
        len: u64,
    },
}

/// A vmcore that is open for reading.
#[derive(Debug)]
pub struct Vmcore {
    pub(crate) source: Source,
    pub(crate) memory: Memory,
    notes: Notes,
    missing: u64,
}

impl Vmcore {
    /// Opens /proc/vmcore or an ELF core file, and reads its headers and notes.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::read(Source::of(File::open(path)?)?)
    }

    /// A vmcore whose bytes are in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, OpenError> {
        Self::read(Source::Memory(bytes))
    }

    fn read(source: Source) -> Result<Self, OpenError> {
        let mut header = [0; ELF_HEADER];
        source.read(0, &mut header)?;
        let (at, count) = program_headers(&header)?;
        let mut headers = vec![0; count * PROGRAM_HEADER];
        source.read(at, &mut headers)?;
        let (mut ranges, mut notes, mut missing) = (Vec::new(), Vec::new(), 0_u64);
        for (index, header) in headers.chunks_exact(PROGRAM_HEADER).enumerate() {
            let header = ProgramHeader::read(index, header)?;
            let in_file = header.len.min(source.len().saturating_sub(header.offset));
            match header.kind {
                PT_LOAD => {
                    header.check_memory()?;
                    missing = missing.saturating_add(header.len - in_file);
                    let (start, end) = (header.physical, header.physical + in_file);
                    ranges.push(Range { start, end, offset: header.offset });
                }
                PT_NOTE => {
                    if notes.len() as u64 + in_file > MOST_NOTES {
                        return Err(header.too_large("p_filesz", header.len));
                    }
                    let before = notes.len().next_multiple_of(notes::ALIGN);
                    notes.resize(before + in_file as usize, 0);
                    source.read(header.offset, &mut notes[before..])?;
                }
                _ => {}
            }
        }
        let memory = Memory::new(ranges);
        if memory.ranges().is_empty() {
            return Err(OpenError::NoMemory { headers: count });
        }
        if memory.len() > source.len() {
            return Err(OpenError::SharedBytes { memory: memory.len(), len: source.len() });
        }
        Ok(Self { source, memory, notes: Notes::new(notes), missing })
    }

    /// The text of VMCOREINFO. `None` if the vmcore has no such note.
    pub fn vmcoreinfo(&self) -> Option<Vmcoreinfo<'_>> {
        self.notes.vmcoreinfo().map(|range| Vmcoreinfo::new(&self.notes.bytes()[range]))
    }

    /// The notes of all PT_NOTE segments: registers of each CPU, VMCOREINFO.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Bytes of memory that the program headers describe but the file lacks, because it was cut. 0
    /// for /proc/vmcore.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Physical memory, read through a window of its own.
    pub fn physical(&self) -> Physical<'_> {
        Physical::new(self)
    }
}

/// Offset and number of the program headers.
fn program_headers(header: &[u8; ELF_HEADER]) -> Result<(u64, usize), OpenError> {
    let not_core = |what, value: u16| Err(OpenError::NotCore { what, value: value.into() });
    if header[..IDENT.len()] != IDENT {
        let value = u64::from_be_bytes(std::array::from_fn(|at| header[at]));
        return Err(OpenError::NotCore { what: "e_ident", value });
    }
    let half = |at| u16::from_le_bytes([header[at], header[at + 1]]);
    let (kind, machine, entry_len, count) = (half(16), half(18), half(54), half(56));
    if kind != ET_CORE {
        return not_core("e_type", kind);
    }
    if machine != EM_X86_64 {
        return not_core("e_machine", machine);
    }
    if usize::from(entry_len) != PROGRAM_HEADER {
        return not_core("e_phentsize", entry_len);
    }
    if count == PN_XNUM {
        return not_core("e_phnum", count);
    }
    Ok((word(header, 32), count.into()))
}

/// The fields of `Elf64_Phdr` that matter here.
struct ProgramHeader {
    index: usize,
    kind: u32,
    offset: u64,
    physical: u64,
    len: u64,
}

impl ProgramHeader {
    fn read(index: usize, bytes: &[u8]) -> Result<Self, OpenError> {
        let kind = u32::from_le_bytes(std::array::from_fn(|at| bytes[at]));
        let (offset, physical, len) = (word(bytes, 8), word(bytes, 24), word(bytes, 32));
        let header = Self { index, kind, offset, physical, len };
        match offset.checked_add(len) {
            Some(_) => Ok(header),
            None => Err(header.too_large("p_filesz", len)),
        }
    }

    fn check_memory(&self) -> Result<(), OpenError> {
        let end = self.physical.checked_add(self.len);
        match end.is_some_and(|end| end <= 1 << PHYSICAL_BITS) {
            true => Ok(()),
            false => Err(self.too_large("p_paddr", self.physical)),
        }
    }

    fn too_large(&self, what: &'static str, value: u64) -> OpenError {
        OpenError::Header { index: self.index, what, value }
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

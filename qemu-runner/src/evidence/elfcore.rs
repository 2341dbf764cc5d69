//! ELF cores: the elfcorehdr, written by the loader or the kernel, and /proc/vmcore, which the
//! capture kernel makes of it.

use std::ops::Range;

use object::elf::{FileHeader64, NT_PRSTATUS, PT_LOAD, PT_NOTE};
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::error::Error;
use crate::machine::ram::Ram;

/// Bytes that hold the ELF header and every program header of the machines here.
pub const HEADER_LEN: usize = 4096;

const PAGE: u64 = sentinel::PAGE_SIZE as u64;

/// Lowest virtual address of the kernel's own mapping (`__START_KERNEL_map`,
/// Documentation/arch/x86/x86_64/mm.rst).
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// The name of the note with the crashed kernel's facts (`VMCOREINFO_NOTE_NAME`,
/// include/linux/vmcore_info.h).
const VMCOREINFO: &[u8] = b"VMCOREINFO";
/// The line of it that names the release (`VMCOREINFO_OSRELEASE`, include/linux/vmcore_info.h).
const OSRELEASE: &str = "OSRELEASE=";

/// A span of the crashed kernel's memory in a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// In the file.
    pub offset: u64,
    pub physical: Range<u64>,
    /// Whether it is the kernel's text, which is mapped a second time besides the memory that it is
    /// in.
    pub is_text: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfCore {
    pub loads: Vec<Load>,
    pub note_headers: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// How many CPUs left their registers.
    pub prstatus: usize,
    pub osrelease: String,
}

impl ElfCore {
    /// Reads the headers at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let headers = header(bytes)?.program_headers(LittleEndian, bytes).map_err(broken)?;
        let loads =
            headers.iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD).map(|header| {
                let start = header.p_paddr(LittleEndian);
                let physical = start..start.saturating_add(header.p_memsz(LittleEndian));
                let is_text = header.p_vaddr(LittleEndian) >= KERNEL_MAP;
                Load { offset: header.p_offset(LittleEndian), physical, is_text }
            });
        let note_headers =
            headers.iter().filter(|header| header.p_type(LittleEndian) == PT_NOTE).count();
        Ok(Self { loads: loads.collect(), note_headers })
    }

    /// Reads the elfcorehdr at this place in a guest's memory.
    pub fn in_memory(ram: &Ram, place: &Range<u64>) -> Result<Self, Error> {
        let len = HEADER_LEN.min((place.end - place.start) as usize);
        Self::parse(&ram.read(place.start, len)?)
    }

    pub fn memory(&self) -> Vec<Range<u64>> {
        self.loads.iter().filter(|load| !load.is_text).map(|load| load.physical.clone()).collect()
    }

    /// Where the PT_LOADs of the kernel's text start; a complete core has one.
    pub fn texts(&self) -> Vec<u64> {
        self.loads.iter().filter(|load| load.is_text).map(|load| load.physical.start).collect()
    }

    /// What the PT_LOADs take in a vmcore: whole pages (`process_ptload_program_headers_elf64`,
    /// fs/proc/vmcore.c).
    pub fn load_bytes(&self) -> u64 {
        let pages = |load: &Load| {
            load.physical.end.next_multiple_of(PAGE) - load.physical.start / PAGE * PAGE
        };
        self.loads.iter().map(pages).sum()
    }

    /// How long a vmcore with these headers is: headers and notes, then the PT_LOADs
    /// (`get_vmcore_size`, fs/proc/vmcore.c).
    pub fn vmcore_len(&self) -> u64 {
        self.first_load_offset() / PAGE * PAGE + self.load_bytes()
    }

    /// Where in the file the first PT_LOAD is: all before it is headers and notes.
    pub fn first_load_offset(&self) -> u64 {
        self.loads.iter().map(|load| load.offset).min().unwrap_or(0)
    }

    pub fn file_offset(&self, physical: u64) -> Result<u64, Error> {
        let load = self.loads.iter().find(|load| load.physical.contains(&physical));
        load.map(|load| load.offset + (physical - load.physical.start)).ok_or_else(|| {
            Error::Failed(format!("physical address {physical:#x} is in no PT_LOAD of the vmcore"))
        })
    }
}

impl Notes {
    /// Reads the notes of a vmcore; `bytes` is the file up to its first PT_LOAD.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let headers = header(bytes)?.program_headers(LittleEndian, bytes).map_err(broken)?;
        let (mut prstatus, mut osrelease) = (0, None);
        for header in headers {
            let Some(mut notes) = header.notes(LittleEndian, bytes).map_err(broken)? else {
                continue;
            };
            while let Some(note) = notes.next().map_err(broken)? {
                if note.name() == b"CORE" && note.n_type(LittleEndian) == NT_PRSTATUS {
                    prstatus += 1;
                } else if note.name() == VMCOREINFO {
                    let text = String::from_utf8_lossy(note.desc());
                    osrelease = text
                        .lines()
                        .find_map(|line| line.strip_prefix(OSRELEASE))
                        .map(str::to_owned);
                }
            }
        }
        let none = || Error::Failed("the vmcore has no VMCOREINFO note with a release".into());
        Ok(Self { prstatus, osrelease: osrelease.ok_or_else(none)? })
    }
}

fn header(bytes: &[u8]) -> Result<&FileHeader64<LittleEndian>, Error> {
    FileHeader64::parse(bytes).map_err(broken)
}

fn broken(error: object::read::Error) -> Error {
    Error::unreadable("the ELF core", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of a little-endian ELF64 file, one after another.
    fn core(headers: &[(u32, u64, u64, u64, u64)], rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend(4_u16.to_le_bytes()); // ET_CORE
        bytes.extend(62_u16.to_le_bytes()); // EM_X86_64
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend([0_u64, 64, 0].map(u64::to_le_bytes).concat()); // entry, phoff, shoff
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend([64, 56, headers.len() as u16, 64, 0, 0].map(u16::to_le_bytes).concat());
        for &(kind, offset, virtual_address, physical, len) in headers {
            bytes.extend([kind, 7].map(u32::to_le_bytes).concat());
            bytes.extend(
                [offset, virtual_address, physical, len, len, 0].map(u64::to_le_bytes).concat(),
            );
        }
        bytes.extend(rest);
        bytes
    }

    fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut bytes = [name.len() as u32, desc.len() as u32, kind].map(u32::to_le_bytes).concat();
        for part in [name, desc] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn addresses_are_found_in_the_file() {
        let bytes = core(&[(4, 0x1000, 0, 0, 8), (1, 0x2000, 0, 0x10_0000, 0x8000)], &[]);
        let core = ElfCore::parse(&bytes).unwrap();
        assert_eq!(
            (core.note_headers, core.load_bytes(), core.first_load_offset()),
            (1, 0x8000, 0x2000)
        );
        assert_eq!(core.file_offset(0x10_2000).unwrap(), 0x4000);
        assert!(core.file_offset(0x50_0000).is_err(), "it is not dumped");
    }

    #[test]
    fn vmcore_is_as_long_as_its_headers_and_whole_pages() {
        // The first and the last page of the second PT_LOAD are not in it as a whole.
        let loads = [
            (4, 0x1000, 0, 0, 8),
            (1, 0x3000, 0, 0x10_0000, 0x8000),
            (1, 0xb400, 0, 0x20_0400, 0x1000),
        ];
        let core = ElfCore::parse(&core(&loads, &[])).unwrap();
        assert_eq!((core.load_bytes(), core.vmcore_len()), (0xa000, 0xd000));
    }

    #[test]
    fn text_is_told_from_memory_that_starts_at_the_same_address() {
        let text = KERNEL_MAP + 0x100_0000;
        let bytes = core(
            &[(1, 0x2000, text, 0x100_0000, 0x1000), (1, 0x3000, 1 << 63, 0x100_0000, 0x8000)],
            &[],
        );
        let core = ElfCore::parse(&bytes).unwrap();
        let memory = core.memory();
        assert_eq!((memory.len(), &memory[0]), (1, &(0x100_0000..0x100_8000)));
        assert_eq!(core.texts(), [0x100_0000]);
    }

    #[test]
    fn notes_are_counted_and_the_release_is_found() {
        let mut notes = note(b"CORE\0", 1, &[0; 336]);
        notes.extend(note(b"CORE\0", 1, &[0; 336]));
        notes.extend(note(b"VMCOREINFO\0", 0, b"OSRELEASE=6.12.1-cloud\nPAGESIZE=4096\n"));
        let start = 64 + 56;
        let bytes = core(&[(4, start, 0, start, notes.len() as u64)], &notes);
        assert_eq!(
            Notes::parse(&bytes).unwrap(),
            Notes { prstatus: 2, osrelease: "6.12.1-cloud".into() }
        );
    }

    #[test]
    fn damaged_cores_are_refused() {
        assert!(ElfCore::parse(&[0; 64]).is_err());
        assert!(Notes::parse(&core(&[(4, 64, 0, 64, 0)], &[])).is_err(), "no release");
    }
}

//! `[1]` ELF notes: the registers of each CPU, and VMCOREINFO.
//!
//! *On entry* the bytes of all PT_NOTE segments. *On exit* where the VMCOREINFO is in them, and how
//! many CPUs left registers.

use std::ops::Range;

/// Names and descriptors are padded to multiples of it (elf(5)).
pub(crate) const ALIGN: usize = 4;
/// More than the notes of 8192 CPUs (some 3 MiB). A capture kernel has little memory.
pub(crate) const MOST_NOTES: u64 = 16 << 20;
/// Bytes of `Elf64_Nhdr`.
const NOTE_HEADER: usize = 12;
/// Name of the note with VMCOREINFO (`VMCOREINFO_NOTE_NAME`, include/linux/vmcore_info.h).
const VMCOREINFO: &[u8] = b"VMCOREINFO";
/// Name of notes with registers (`CRASH_CORE_NOTE_NAME`).
const CORE: &[u8] = b"CORE";
/// Type of notes with registers.
const NT_PRSTATUS: u32 = 1;

/// The notes of a vmcore.
#[derive(Clone, Debug)]
pub struct Notes {
    bytes: Vec<u8>,
    vmcoreinfo: Option<Range<usize>>,
    cpus: u32,
}

impl Notes {
    /// Reads the notes up to the first that is malformed.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let (mut vmcoreinfo, mut cpus, mut at) = (None, 0, 0);
        while let Some(note) = Note::read(&bytes, at) {
            if note.name == VMCOREINFO && vmcoreinfo.is_none() {
                vmcoreinfo = Some(note.descriptor.clone());
            }
            cpus += u32::from(note.name == CORE && note.kind == NT_PRSTATUS);
            at = note.next;
        }
        Self { bytes, vmcoreinfo, cpus }
    }

    /// All notes as they are in the vmcore.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the text of VMCOREINFO is in [`bytes`](Self::bytes).
    pub fn vmcoreinfo(&self) -> Option<Range<usize>> {
        self.vmcoreinfo.clone()
    }

    /// How many CPUs left their registers.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }
}

struct Note<'a> {
    name: &'a [u8],
    kind: u32,
    descriptor: Range<usize>,
    next: usize,
}

impl<'a> Note<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Option<Self> {
        let header = bytes.get(at..at.checked_add(NOTE_HEADER)?)?;
        let field = |at: usize| u32::from_le_bytes(std::array::from_fn(|byte| header[at + byte]));
        let (name_len, len, kind) = (field(0) as usize, field(4) as usize, field(8));
        let name_at = at + NOTE_HEADER;
        let name = bytes.get(name_at..name_at.checked_add(name_len)?)?;
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        let start = name_at + name_len.checked_next_multiple_of(ALIGN)?;
        let end = start.checked_add(len)?;
        bytes.get(start..end)?;
        let next = start + len.checked_next_multiple_of(ALIGN)?;
        Some(Self { name, kind, descriptor: start..end, next })
    }
}

//! `[1i]` VMCOREINFO: what the running kernel says about its own structures, in lines such as
//! `SYMBOL(prb)=ffffffff82c5ac80` (kernel/vmcore_info.c). /proc/kcore has it in a note.

use object::LittleEndian;
use object::elf::{FileHeader64, PT_NOTE};
use object::read::elf::{FileHeader, ProgramHeader};

use super::printk::Unresolved;
use super::source::{parse_decimal, parse_hexadecimal};

/// The note's name (`VMCOREINFO_NOTE_NAME`, include/linux/vmcore_info.h).
const NOTE_NAME: &[u8] = b"VMCOREINFO";

/// The text of the note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vmcoreinfo(String);

impl Vmcoreinfo {
    /// Finds it in the headers and notes of /proc/kcore.
    pub fn find(headers: &[u8]) -> Option<Self> {
        let header = FileHeader64::<LittleEndian>::parse(headers).ok()?;
        let segments = header.program_headers(LittleEndian, headers).ok()?;
        segments.iter().filter(|segment| segment.p_type(LittleEndian) == PT_NOTE).find_map(
            |segment| {
                let mut notes = segment.notes(LittleEndian, headers).ok()??;
                while let Ok(Some(note)) = notes.next() {
                    if note.name() == NOTE_NAME {
                        let text = String::from_utf8_lossy(note.desc());
                        return Some(Self(text.trim_end_matches('\0').to_owned()));
                    }
                }
                None
            },
        )
    }

    /// This text.
    #[cfg(feature = "fuzzing")]
    pub fn of(text: String) -> Self {
        Self(text)
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Virtual address of a symbol.
    pub fn symbol(&self, name: &str) -> Result<u64, Unresolved> {
        self.number(format!("SYMBOL({name})"), parse_hexadecimal)
    }

    /// Bytes of a structure.
    pub fn size(&self, name: &str) -> Result<u64, Unresolved> {
        self.number(format!("SIZE({name})"), parse_decimal)
    }

    /// Offset of a field, given as `structure.field`.
    pub fn offset(&self, name: &str) -> Result<u64, Unresolved> {
        self.number(format!("OFFSET({name})"), parse_decimal)
    }

    fn number(&self, key: String, parse: fn(&str) -> Option<u64>) -> Result<u64, Unresolved> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(name, _)| *name == key)
            .and_then(|(_, value)| parse(value))
            .ok_or(Unresolved::Lacks(key))
    }
}

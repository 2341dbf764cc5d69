//! `[5a]` What an ELF file for x86-64 names: its interpreter, its libraries, and where those are.
//!
//! It is read as ld.so reads it: by program headers. Section headers may have been removed.

use object::LittleEndian;
use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64,
    ProgramHeader64,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

const LITTLE: LittleEndian = LittleEndian;

/// What the file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The program that loads it (PT_INTERP). A static program and a library have none.
    pub interpreter: Option<String>,
    /// The libraries that it needs (DT_NEEDED).
    pub libraries: Vec<String>,
    /// Directories of libraries (DT_RUNPATH, otherwise DT_RPATH), with `$ORIGIN` as it is.
    pub directories: Vec<String>,
}

/// Reads the file. None if it is no program or library for x86-64, or damaged.
pub fn read(bytes: &[u8]) -> Option<Named> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).ok()?;
    let is_loaded = [ET_EXEC, ET_DYN].contains(&header.e_type(LITTLE));
    // Bytes of the class and of the byte order were checked by `parse`.
    if header.e_machine(LITTLE) != EM_X86_64 || !is_loaded {
        return None;
    }
    let segments = header.program_headers(LITTLE, bytes).ok()?;
    let mut named = Named::default();
    let mut dynamic = None;
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(LITTLE, bytes).ok()? {
            named.interpreter = Some(String::from_utf8(interpreter.to_vec()).ok()?);
        }
        dynamic = segment.dynamic(LITTLE, bytes).ok()?.or(dynamic);
    }
    let Some(entries) = dynamic else { return Some(named) };
    let value = |tag| {
        entries.iter().find(|entry| entry.d_tag(LITTLE) == tag).map(|entry| entry.d_val(LITTLE))
    };
    let strings = strings(segments, bytes, value(DT_STRTAB)?, value(DT_STRSZ)?)?;
    let text = |at: u64| {
        let text = strings.get(usize::try_from(at).ok()?..)?;
        let end = text.iter().position(|&byte| byte == 0)?;
        String::from_utf8(text[..end].to_vec()).ok()
    };
    let needed = entries.iter().filter(|entry| entry.d_tag(LITTLE) == DT_NEEDED);
    named.libraries = needed.map(|entry| text(entry.d_val(LITTLE))).collect::<Option<_>>()?;
    if let Some(at) = value(DT_RUNPATH).or_else(|| value(DT_RPATH)) {
        named.directories = text(at)?.split(':').map(str::to_owned).collect();
    }
    Some(named)
}

/// The bytes of the string table, which is at this address once the file is loaded.
fn strings<'a>(
    segments: &[ProgramHeader64<LittleEndian>],
    bytes: &'a [u8],
    address: u64,
    len: u64,
) -> Option<&'a [u8]> {
    segments.iter().find_map(|segment| segment.data_range(LITTLE, bytes, address, len).ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::example::{Elf, library};
    use super::*;

    #[test]
    fn names_of_a_program_are_read_without_section_headers() {
        let program = Elf {
            interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
            libraries: &["libz.so.1", "libc.so.6"],
            run_path: Some("$ORIGIN/../lib:/opt/lib"),
            ..Elf::default()
        };
        let named = Named {
            interpreter: Some("/lib64/ld-linux-x86-64.so.2".into()),
            libraries: vec!["libz.so.1".into(), "libc.so.6".into()],
            directories: vec!["$ORIGIN/../lib".into(), "/opt/lib".into()],
        };
        assert_eq!(read(&program.bytes()), Some(named));
        assert_eq!(read(&Elf::default().bytes()), Some(Named::default()), "a static program");
    }

    #[test]
    fn files_of_other_machines_and_damaged_ones_are_none() {
        let whole = library(&["libc.so.6"]);
        assert!(read(&whole).is_some());
        let with = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        // The class; the type of a core file; the machine of 32-bit x86.
        for (at, byte) in [(0, 0), (4, 1), (16, 4), (18, 3)] {
            assert_eq!(read(&with(at, byte)), None, "byte {at}");
        }
        for len in 0..whole.len() {
            let _ = read(&whole[..len]);
        }
        assert_eq!(read(b"#!/bin/sh\nexec makedumpfile \"$@\"\n"), None);
    }
}

//! `[3a]` Takes our purgatory's ELF file apart, and checks its rules:
//! * two segments, the first at address 0;
//! * no relocations and no undefined symbols;
//! * a section for the block.

use std::ops::Range;

use handoff::block::{MAGIC, VERSION};
use handoff::{Block, HANDOFF_SECTION};
use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym};

use super::{Error, MAX_LEN, Program};
use crate::request::InputFile;

type Header = elf::FileHeader64<LittleEndian>;
type Segment = elf::ProgramHeader64<LittleEndian>;

/// Takes the file apart. The errors name the first rule that is broken.
pub fn parse(file: &InputFile) -> Result<Program, Error> {
    let path = || file.path.clone();
    let data = file.bytes.as_slice();
    if !data.starts_with(&elf::ELFMAG) {
        return Err(Error::NotElf { path: path(), found: data[..data.len().min(4)].to_vec() });
    }
    let damaged = |what| move |source| Error::Damaged { path: file.path.clone(), what, source };
    let header = Header::parse(data).map_err(damaged("header"))?;
    let endian = header.endian().map_err(damaged("byte order"))?;
    for (field, found, expected) in [
        ("machine", header.e_machine(endian).0, elf::EM_X86_64.0),
        ("type", header.e_type(endian).0, elf::ET_DYN.0),
    ] {
        if found != expected {
            return Err(Error::ElfHeader {
                path: path(),
                field,
                found: found.into(),
                expected: expected.into(),
            });
        }
    }
    let segments = header.program_headers(endian, data).map_err(damaged("program header table"))?;
    let sections = header.sections(endian, data).map_err(damaged("section header table"))?;
    no_relocations(file, endian, &sections)?;
    nothing_undefined(file, endian, &sections)?;

    let Loaded { text, writable, image } = load(file, endian, segments)?;
    let entry = header.e_entry(endian);
    if !text.contains(&entry) {
        return Err(layout(
            file,
            format!(
                "its entry point {entry:#x} is outside its text {:#x}..{:#x}",
                text.start, text.end
            ),
        ));
    }
    let handoff = handoff_section(file, endian, &sections, &writable)?;
    Ok(Program { image, text, handoff, entry })
}

fn layout(file: &InputFile, what: impl Into<String>) -> Error {
    Error::Layout { path: file.path.clone(), what: what.into() }
}

fn section_name(
    endian: LittleEndian,
    sections: &SectionTable<'_, Header>,
    section: &elf::SectionHeader64<LittleEndian>,
) -> String {
    String::from_utf8_lossy(sections.section_name(endian, section).unwrap_or(b"(unnamed)"))
        .into_owned()
}

fn no_relocations(
    file: &InputFile,
    endian: LittleEndian,
    sections: &SectionTable<'_, Header>,
) -> Result<(), Error> {
    for section in sections.iter() {
        let kind = section.sh_type(endian);
        let bytes = section.sh_size(endian);
        if matches!(kind, elf::SHT_REL | elf::SHT_RELA | elf::SHT_RELR) && bytes > 0 {
            return Err(Error::Relocations {
                path: file.path.clone(),
                section: section_name(endian, sections, section),
                bytes,
            });
        }
    }
    Ok(())
}

fn nothing_undefined(
    file: &InputFile,
    endian: LittleEndian,
    sections: &SectionTable<'_, Header>,
) -> Result<(), Error> {
    let data = file.bytes.as_slice();
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let symbols = sections.symbols(endian, data, kind).map_err(|source| Error::Damaged {
            path: file.path.clone(),
            what: "symbol table",
            source,
        })?;
        // Symbol 0 is undefined in every table, by definition.
        if let Some(symbol) = symbols.iter().skip(1).find(|symbol| symbol.is_undefined(endian)) {
            let name = symbol.name(endian, symbols.strings()).unwrap_or(b"(unreadable name)");
            return Err(Error::Undefined {
                path: file.path.clone(),
                symbol: String::from_utf8_lossy(name).into_owned(),
            });
        }
    }
    Ok(())
}

/// The two segments of linker/purgatory.ld, as in memory.
struct Loaded {
    text: Range<u64>,
    /// The part of the writable segment that is in the file.
    writable: Range<u64>,
    image: Vec<u8>,
}

fn load(file: &InputFile, endian: LittleEndian, segments: &[Segment]) -> Result<Loaded, Error> {
    let loads: Vec<&Segment> =
        segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).collect();
    let [text, data] = loads[..] else {
        return Err(layout(file, format!("it has {} loadable segments, not 2", loads.len())));
    };
    for (segment, name, flags) in
        [(text, "first", elf::PF_R | elf::PF_X), (data, "second", elf::PF_R | elf::PF_W)]
    {
        let found = segment.p_flags(endian) & (elf::PF_R | elf::PF_W | elf::PF_X);
        if found != flags {
            return Err(layout(
                file,
                format!("its {name} segment has flags {found:#x}, not {flags:#x}"),
            ));
        }
        if segment.p_filesz(endian) > segment.p_memsz(endian) {
            return Err(layout(
                file,
                format!("its {name} segment is larger in the file than in memory"),
            ));
        }
    }
    let end = data.p_vaddr(endian).checked_add(data.p_memsz(endian)).filter(|&end| end <= MAX_LEN);
    let end = end.ok_or_else(|| layout(file, format!("it needs more than {MAX_LEN} bytes")))?;
    let text_end = text
        .p_vaddr(endian)
        .checked_add(text.p_memsz(endian))
        .filter(|&end| end <= data.p_vaddr(endian));
    if text.p_vaddr(endian) != 0 || text_end.is_none() {
        return Err(layout(file, "its first segment does not begin at 0, or overlaps the second"));
    }
    let mut image = vec![0; end as usize];
    for segment in [text, data] {
        let bytes = segment.data(endian, file.bytes.as_slice()).map_err(|()| {
            layout(file, "a segment extends beyond the end of the file, which is truncated")
        })?;
        let at = segment.p_vaddr(endian) as usize;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let writable = data.p_vaddr(endian)..data.p_vaddr(endian) + data.p_filesz(endian);
    Ok(Loaded { text: 0..text.p_filesz(endian), writable, image })
}

/// Offset of the section for the block, after its size, place and version were checked.
fn handoff_section(
    file: &InputFile,
    endian: LittleEndian,
    sections: &SectionTable<'_, Header>,
    writable: &Range<u64>,
) -> Result<u64, Error> {
    let path = || file.path.clone();
    let (_, section) = sections
        .section_by_name(endian, HANDOFF_SECTION.as_bytes())
        .ok_or_else(|| Error::NoHandoff { path: path() })?;
    let (start, size) = (section.sh_addr(endian), section.sh_size(endian));
    let expected = size_of::<Block>() as u64;
    if size != expected {
        return Err(Error::Version { path: path(), field: "size", found: size, expected });
    }
    if start < writable.start || start.checked_add(size).is_none_or(|end| end > writable.end) {
        return Err(layout(
            file,
            format!("its section {HANDOFF_SECTION} at {start:#x} is not in its writable segment"),
        ));
    }
    let bytes = section.data(endian, file.bytes.as_slice()).map_err(|source| Error::Damaged {
        path: path(),
        what: HANDOFF_SECTION,
        source,
    })?;
    // If the section holds a blank block, it shows the version. Zeroes show none.
    if let Some(version) = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk()) {
        let found = u32::from_le_bytes(*version);
        if found != VERSION {
            return Err(Error::Version {
                path: path(),
                field: "version",
                found: found.into(),
                expected: VERSION.into(),
            });
        }
    }
    Ok(start)
}

#[cfg(test)]
mod tests;

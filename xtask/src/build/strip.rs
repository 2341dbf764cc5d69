//! The purgatory and the loader as they ship: without symbols, which the audit, the fault matrix,
//! `cargo lab bench` and gdb need, and no user.
//!
//! * On entry: a linked program.
//! * On exit: a file with the same segments, byte for byte, and the names of sections, by which the
//!   loader finds the purgatory's block.

use anyhow::{Context, Result, ensure};
use object::build::elf::Builder;
use object::elf::SHF_ALLOC;
use object::{Object, ObjectSegment};

/// Bytes of a 64-bit ELF header (elf(5), Elf64_Ehdr).
const ELF_HEADER: u64 = 64;

/// Removes symbols and comments.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(elf).context("cannot read the program as ELF")?;
    let names = builder
        .sections
        .iter()
        .map(|section| section.name.to_vec())
        .filter(|name| name == b".shstrtab")
        .count();
    ensure!(names == 1, "the program has {names} tables of section names");
    for symbol in builder.symbols.iter_mut() {
        symbol.delete = true;
    }
    for section in
        builder.sections.iter_mut().filter(|section| !section.sh_flags.contains(SHF_ALLOC))
    {
        section.delete = section.name.as_slice() != b".shstrtab";
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("cannot write the program without symbols")?;
    ensure!(loaded(elf)? == loaded(&stripped)?, "the stripped program would differ in memory");
    Ok(stripped)
}

/// Every segment's address, size and bytes, without the ELF header, which has the offset of the
/// section headers.
fn loaded(elf: &[u8]) -> Result<Vec<(u64, u64, Vec<u8>)>> {
    let file = object::File::parse(elf)?;
    let segment = |segment: object::Segment<'_, '_>| {
        let (at, _) = segment.file_range();
        let header = usize::try_from(ELF_HEADER.saturating_sub(at))?;
        let data = segment.data()?;
        Ok((segment.address(), segment.size(), data[header.min(data.len())..].to_vec()))
    };
    file.segments().map(segment).collect()
}

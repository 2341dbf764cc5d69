//! The purgatory as it ships: without symbols, which the audit, the fault matrix, the benchmark and gdb need, and no user's disk.
//!
//! On entry: what the linker made. On exit: the same segments, byte for byte, in a file with nothing beside them but the names of sections, by
//! which the loader finds the block.

use anyhow::{Context, Result, ensure};
use object::build::elf::Builder;
use object::elf::SHF_ALLOC;
use object::{Object, ObjectSegment};

/// Takes symbols and comments out.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(elf).context("cannot read the purgatory as ELF")?;
    let names = builder.sections.iter().map(|section| section.name.to_vec()).filter(|name| name == b".shstrtab").count();
    ensure!(names == 1, "the purgatory has {names} tables of section names");
    for symbol in builder.symbols.iter_mut() {
        symbol.delete = true;
    }
    for section in builder.sections.iter_mut().filter(|section| !section.sh_flags.contains(SHF_ALLOC)) {
        section.delete = section.name.as_slice() != b".shstrtab";
    }
    let mut stripped = Vec::new();
    builder.write(&mut stripped).context("cannot write the purgatory without symbols")?;
    ensure!(loaded(elf)? == loaded(&stripped)?, "without symbols the purgatory would be loaded as something else");
    Ok(stripped)
}

/// What of a file is loaded, and where.
fn loaded(elf: &[u8]) -> Result<Vec<(u64, u64, Vec<u8>)>> {
    let file = object::File::parse(elf)?;
    let segment = |segment: object::Segment<'_, '_>| Ok((segment.address(), segment.size(), segment.data()?.to_vec()));
    file.segments().map(segment).collect()
}

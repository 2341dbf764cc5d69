//! An object that replaces a host's purgatory, as the host's loaders will read it.
//!
//! * On exit: a sentence for every violation of the host's contract. The rules are the kernel's
//!   (`kexec_load_purgatory` in kernel/kexec_file.c; arch/x86/kernel/machine_kexec_64.c) and
//!   kexec-tools' (kexec/kexec-elf-rel.c), of old versions too.

use anyhow::Result;
use loader::purgatory::foreign::STACK_END;
use object::elf::{
    EM_X86_64, ET_REL, FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHN_LORESERVE, SHT_NOBITS, SHT_REL,
    SHT_RELA, SHT_RELR, SHT_SYMTAB, STB_GLOBAL, STT_SECTION, Sym64,
};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym};
use object::{LittleEndian, SymbolIndex};

use loader::purgatory::relocatable::{Bound, Relocatable};
use loader::request::InputFile;

use super::image::{ELF_MAGIC, Image};
use crate::build::drop_in::{DropIn, ENTRY};

const LE: LittleEndian = LittleEndian;
/// Addresses at which kernels place purgatories: below 4 GiB, and above.
const ADDRESSES: [u64; 2] = [0x1000_0000, 0x7f_4321_f000];

/// Every violation.
pub fn faults(object: &[u8], drop_in: &DropIn) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let (len, most) = (object.len() as u64, drop_in.max_file);
    if len > most {
        faults.push(format!("it has {len} bytes, {} more than the {most} allowed", len - most));
    }
    let header = FileHeader64::<LittleEndian>::parse(object)?;
    if (header.e_type(LE), header.e_machine(LE)) != (ET_REL, EM_X86_64) {
        faults.push("it is not an object (ET_REL) for x86-64".into());
    }
    let sections = header.sections(LE, object)?;
    for section in sections.iter() {
        let name = String::from_utf8_lossy(sections.section_name(LE, section)?);
        if [SHT_REL, SHT_RELA, SHT_RELR].contains(&section.sh_type(LE)) {
            faults.push(format!("section {name} has relocations, which the linker must resolve"));
        }
        if !section.sh_flags(LE).contains(SHF_ALLOC) {
            continue;
        }
        // The kernel rounds up to a multiple of it. A multiple of 0 would overwrite earlier
        // sections.
        if !section.sh_addralign(LE).is_power_of_two() {
            faults.push(format!("section {name} is aligned to {}", section.sh_addralign(LE)));
        }
        let at = section.sh_addr(LE);
        if at != 0 {
            let why = "which old kernels would use as its entry point";
            faults.push(format!("section {name} has the address {at:#x}, {why}"));
        }
        if section.data(LE, object)?.starts_with(ELF_MAGIC) {
            let why = "the kernel would treat it as the elfcorehdr";
            faults.push(format!("section {name} starts with ELF's magic: {why}"));
        }
    }
    let code =
        sections.iter().filter(|section| section.sh_flags(LE).contains(SHF_EXECINSTR)).count();
    if code != 1 {
        let why = "old kernels enter the first that has the entry's address";
        faults.push(format!("{code} sections are executable: {why}"));
    }
    faults.extend(symbol_faults(object, header, &sections, drop_in)?);
    Ok(faults)
}

/// Differences between the object as a loader places it and the `linked` program, at any address.
/// The loader here is ours. It lays objects out as the kernel does, as tests on the kernel's and
/// kexec-tools' own purgatories show.
pub fn binding_faults(
    file: &InputFile,
    drop_in: &DropIn,
    linked: &Image<'_>,
) -> Result<Vec<String>> {
    let program = Relocatable::parse(file)?;
    let mut faults = Vec::new();
    let images = ADDRESSES.map(|address| program.bind(address).map(Bound::into_bytes));
    let [Ok(one), Ok(other)] = &images else {
        return Ok(vec![format!("it cannot be bound to {ADDRESSES:#x?}")]);
    };
    if one != other {
        faults.push("it is not the same at every address, although nothing is relocated".into());
    }
    let [_, address] = ADDRESSES;
    let mut bound = program.bind(address)?;
    for name in drop_in.symbols() {
        let (found, expected) = (bound.address_of(name)? - address, linked.address_of(name));
        if expected != Some(found) {
            faults.push(format!(
                "symbol {name} would be at {found:#x}, but it was linked at {expected:#x?}"
            ));
        }
    }
    for (name, size) in drop_in.written() {
        bound.set(name, &vec![0xa5; size as usize])?;
    }
    let (changed, written) =
        (one.iter().zip(bound.bytes()).filter(|(a, b)| a != b).count() as u64, drop_in.written());
    // No symbol has this byte before.
    let expected: u64 = written.map(|(_, size)| size).sum();
    if changed != expected {
        faults.push(format!("{changed} bytes change when the host's loader writes its {expected}"));
    }
    Ok(faults)
}

fn symbol_faults(
    object: &[u8],
    header: &FileHeader64<LittleEndian>,
    sections: &SectionTable<'_, FileHeader64<LittleEndian>>,
    drop_in: &DropIn,
) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let table = sections.symbols(LE, object, SHT_SYMTAB)?;
    let mut global = Vec::new();
    // `ld -r` adds a symbol without a name for each section.
    let named = |symbol: &Sym64<LittleEndian>| symbol.st_type() != STT_SECTION;
    for (_, symbol) in table.enumerate().filter(|(at, one)| *at != SymbolIndex(0) && named(one)) {
        let name = String::from_utf8_lossy(table.symbol_name(LE, symbol)?).into_owned();
        // SHN_UNDEF, SHN_ABS and SHN_COMMON are no sections.
        if symbol.st_shndx(LE).0 == 0 || symbol.st_shndx(LE).0 >= SHN_LORESERVE {
            faults.push(format!("symbol {name} is in no section"));
        } else if symbol.st_bind() != STB_GLOBAL {
            faults.push(format!("symbol {name} is not global"));
        } else if global.iter().any(|(_, other): &(_, String)| *other == name) {
            faults.push(format!("symbol {name} exists twice; loaders do not read the second"));
        } else {
            global.push((symbol, name));
        }
    }
    let find =
        |name: &str| global.iter().find(|(_, other)| other == name).map(|(symbol, _)| *symbol);
    let section_of = |symbol: &Sym64<LittleEndian>| {
        sections.section(object::SectionIndex(symbol.st_shndx(LE).0.into()))
    };

    for (name, size) in drop_in.written() {
        let Some(symbol) = find(name) else {
            faults.push(format!("there is no symbol {name}, which the host's loader writes"));
            continue;
        };
        let (found, section) = (symbol.st_size(LE), section_of(symbol)?);
        if found != size {
            faults
                .push(format!("symbol {name} has {found} bytes, the host's loader writes {size}"));
        }
        if section.sh_type(LE) == SHT_NOBITS {
            faults.push(format!("symbol {name} is not in the file, where the loader writes it"));
        }
        if symbol.st_value(LE) + size > section.sh_size(LE) {
            faults.push(format!("symbol {name} reaches out of its section"));
        }
    }
    let unnamed = [STACK_END, ENTRY].into_iter().filter(|name| find(name).is_none());
    faults.extend(unnamed.map(|name| format!("there is no symbol {name}")));
    if let Some(symbol) = find(ENTRY) {
        let (section, value, entry) =
            (section_of(symbol)?, symbol.st_value(LE), header.e_entry(LE));
        if !section.sh_flags(LE).contains(SHF_EXECINSTR) || value >= section.sh_size(LE) {
            faults.push(format!("symbol {ENTRY} is not in code"));
        }
        if entry != value {
            faults.push(format!("its entry point is {entry:#x}, but {ENTRY} is at {value:#x}"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests;

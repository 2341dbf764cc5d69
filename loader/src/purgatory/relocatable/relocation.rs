//! The relocations of loaded sections, and how each is applied (x86-64 psABI, "Relocation Types").
//! The kernel and kexec-tools apply the same types (`arch_kexec_apply_relocations_add`,
//! `machine_apply_elf_rel`).
//!
//! *On entry*
//! * the place of each section.
//!
//! *On exit*
//! * for each relocation: where it writes in the image, in which form, and which value, an address
//!   in the image or a number.
//!
//! Types that only a linker can apply are rejected by name.

use object::read::elf::{Rela, SectionHeader, Sym};
use object::{LittleEndian, SectionIndex, SymbolIndex, elf};

use super::layout::{self, Layout, Place};
use super::{Defect, Section, SectionTable, SymbolTable, symbols};

/// How a relocation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// S + A, 64 bits.
    Absolute64,
    /// S + A, 32 bits, zero-extended.
    Absolute32,
    /// S + A, 32 bits, sign-extended.
    Absolute32Signed,
    /// S + A - P, 32 bits, signed. L + A - P is the same here: without a linker, there is no
    /// procedure linkage table.
    Relative32(&'static str),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Absolute64 => "R_X86_64_64",
            Self::Absolute32 => "R_X86_64_32",
            Self::Absolute32Signed => "R_X86_64_32S",
            Self::Relative32(name) => name,
        }
    }

    /// One past the highest address that fits; `None` if the address does not matter.
    fn limit(self) -> Option<u64> {
        match self {
            Self::Absolute32 => Some(1 << 32),
            Self::Absolute32Signed => Some(1 << 31),
            Self::Absolute64 | Self::Relative32(_) => None,
        }
    }

    /// Bytes that are written.
    fn len(self) -> u64 {
        if self == Self::Absolute64 { 8 } else { 4 }
    }
}

/// The value S + A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// An address, as an offset from the image's start. It can be outside of the image.
    Offset(u64),
    /// A number that does not depend on the address.
    Absolute(u64),
}

/// One relocation.
#[derive(Clone, Debug)]
pub(super) struct Relocation {
    kind: Kind,
    /// Offset in the image.
    at: u64,
    target: Target,
    /// The name of the symbol or of its section, for messages.
    symbol: String,
}

impl Relocation {
    /// One past the highest address that it can refer to; `None` if it does not matter.
    pub(super) fn limit(&self) -> Option<u64> {
        self.kind.limit().filter(|_| matches!(self.target, Target::Offset(_)))
    }

    /// Applies it to the image, which is bound to `address`.
    pub(super) fn apply(&self, address: u64, image: &mut [u8]) -> Result<(), Defect> {
        let target = match self.target {
            Target::Offset(offset) => address.wrapping_add(offset),
            Target::Absolute(value) => value,
        };
        let place = address + self.at;
        let value =
            if let Kind::Relative32(_) = self.kind { target.wrapping_sub(place) } else { target };
        let fits = match self.kind {
            Kind::Absolute64 => true,
            Kind::Absolute32 => u32::try_from(value).is_ok(),
            Kind::Absolute32Signed | Kind::Relative32(_) => {
                i32::try_from(value.cast_signed()).is_ok()
            }
        };
        if !fits {
            let (kind, limit) = (self.kind.name(), self.limit());
            return Err(Defect::Overflow {
                kind,
                symbol: self.symbol.clone(),
                at: self.at,
                value,
                limit,
            });
        }
        let len = self.kind.len() as usize;
        image[self.at as usize..][..len].copy_from_slice(&value.to_le_bytes()[..len]);
        Ok(())
    }
}

/// The relocations of all loaded sections, in the order of the file.
pub(super) fn all(
    endian: LittleEndian,
    data: &[u8],
    sections: &SectionTable<'_>,
    table: &SymbolTable<'_>,
    layout: &Layout,
) -> Result<Vec<Relocation>, Defect> {
    let mut relocations = Vec::new();
    for section in sections.iter() {
        let kind = match section.sh_type(endian) {
            elf::SHT_RELA => "SHT_RELA",
            elf::SHT_REL => "SHT_REL",
            elf::SHT_CREL => "SHT_CREL",
            elf::SHT_RELR => "SHT_RELR",
            _ => continue,
        };
        let name = || layout::name(endian, sections, section);
        // Of the four kinds, only SHT_RELR belongs to no section.
        let target = SectionIndex(section.sh_info(endian) as usize);
        let changed = sections.section(target).map_err(|_| {
            let index = section.sh_info(endian);
            Defect::Dangling { section: name(), what: "section", index }
        })?;
        let place = layout.place(target.0);
        match (kind, place) {
            ("SHT_RELA", Some(place)) => {
                let (entries, link) = section
                    .rela(endian, data)
                    .map_err(Defect::damaged("relocations"))?
                    .expect("it is of type SHT_RELA");
                if link != table.section() {
                    return Err(Defect::Dangling {
                        section: name(),
                        what: "symbol table",
                        index: section.sh_link(endian),
                    });
                }
                let reader = Reader { endian, sections, table, layout, section, changed, place };
                for entry in entries {
                    relocations.extend(reader.read(entry)?);
                }
            }
            ("SHT_RELR", _) | (_, Some(_)) => {
                return Err(Defect::RelocationSection { section: name(), kind });
            }
            // Sections that are not loaded, such as debug information, may refer to anything.
            (_, None) => {}
        }
    }
    Ok(relocations)
}

/// Reads the entries of one relocation section.
struct Reader<'a, 'data> {
    endian: LittleEndian,
    sections: &'a SectionTable<'data>,
    table: &'a SymbolTable<'data>,
    layout: &'a Layout,
    /// The section that holds the entries.
    section: &'a Section,
    /// The section that they change.
    changed: &'a Section,
    /// The place of the changed section.
    place: Place,
}

impl Reader<'_, '_> {
    fn read(&self, entry: &elf::Rela64<LittleEndian>) -> Result<Option<Relocation>, Defect> {
        let endian = self.endian;
        let section = || layout::name(endian, self.sections, self.changed);
        let at = entry.r_offset(endian);
        let kind = match entry.r_type(endian, false) {
            elf::R_X86_64_NONE => return Ok(None),
            elf::R_X86_64_64 => Kind::Absolute64,
            elf::R_X86_64_32 => Kind::Absolute32,
            elf::R_X86_64_32S => Kind::Absolute32Signed,
            elf::R_X86_64_PC32 => Kind::Relative32("R_X86_64_PC32"),
            elf::R_X86_64_PLT32 => Kind::Relative32("R_X86_64_PLT32"),
            other => {
                let name = elf::machine_names(elf::EM_X86_64).r.name(other);
                let kind =
                    name.map_or_else(|| format!("relocation type {}", other.0), str::to_owned);
                return Err(Defect::RelocationType { section: section(), at, kind });
            }
        };
        if !self.place.in_file || at.checked_add(kind.len()).is_none_or(|end| end > self.place.len)
        {
            return Err(Defect::RelocationOutside { section: section(), at });
        }
        let index = entry.r_sym(endian, false);
        let symbol = self.table.symbol(SymbolIndex(index as usize)).map_err(|_| {
            let section = layout::name(endian, self.sections, self.section);
            Defect::Dangling { section, what: "symbol", index }
        })?;
        let name = self.name_of(symbol)?;
        let sum = symbol.st_value(endian).wrapping_add_signed(entry.r_addend(endian));
        let target = match symbol.st_shndx(endian) {
            elf::SHN_UNDEF => Err("not defined"),
            elf::SHN_COMMON => Err("common, so it has no address"),
            elf::SHN_ABS => Ok(Target::Absolute(sum)),
            section => {
                let place = section.index().and_then(|index| self.layout.place(index.into()));
                place
                    .map(|place| Target::Offset(place.start.wrapping_add(sum)))
                    .ok_or("not in a section that is loaded")
            }
        };
        let target = target.map_err(|what| Defect::Target { symbol: name.clone(), what })?;
        Ok(Some(Relocation { kind, at: self.place.start + at, target, symbol: name }))
    }

    /// The symbol's name. A section symbol has none; for it, the section's name.
    fn name_of(&self, symbol: &elf::Sym64<LittleEndian>) -> Result<String, Defect> {
        let name = symbols::name_of(self.endian, self.table, symbol)?;
        let section = symbol.st_shndx(self.endian).index().filter(|_| name.is_empty());
        let section =
            section.and_then(|index| self.sections.section(SectionIndex(index.into())).ok());
        Ok(section.map_or(name, |section| layout::name(self.endian, self.sections, section)))
    }
}

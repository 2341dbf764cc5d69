//! Where each section goes, as in the kernel (`kexec_purgatory_setup_kbuf`,
//! `kexec_purgatory_setup_sechdrs`, kernel/kexec_file.c) and in kexec-tools (`elf_rel_load`,
//! kexec/kexec-elf-rel.c).
//!
//! Sections with `SHF_ALLOC` are loaded, in the order of their headers: first those with bytes in
//! the file, then those without (`SHT_NOBITS`). Each goes to the next multiple of its alignment.
//! Addresses in the object are ignored.

use object::read::elf::SectionHeader;
use object::{LittleEndian, elf};

use super::super::MAX_LEN;
use super::{Defect, Section, SectionTable};

/// Where every loaded section is, as offsets in the image.
pub(super) struct Layout {
    /// By section index; `None` for sections that are not loaded.
    places: Vec<Option<Place>>,
    /// The part with bytes in the file, not relocated.
    pub image: Vec<u8>,
    /// Length in memory.
    pub len: u64,
    /// Alignment of the whole image, a power of two.
    pub alignment: u64,
}

/// Where a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Offset of its first byte.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Whether its bytes are in the file.
    pub in_file: bool,
    /// Whether it is code.
    pub executable: bool,
}

impl Layout {
    pub(super) fn new(
        endian: LittleEndian,
        data: &[u8],
        sections: &SectionTable<'_>,
    ) -> Result<Self, Defect> {
        let mut alignments = [1, 1];
        for section in sections.iter().filter(|section| is_loaded(endian, section)) {
            let alignment = section.sh_addralign(endian);
            if !alignment.is_power_of_two() {
                return Err(Defect::Alignment {
                    section: name(endian, sections, section),
                    alignment,
                });
            }
            let widest = &mut alignments[usize::from(!is_in_file(endian, section))];
            *widest = alignment.max(*widest);
        }
        let [of_file, of_rest] = alignments;

        let mut places = vec![None; sections.len()];
        let mut image = Vec::new();
        let mut end = 0;
        for in_file in [true, false] {
            for (index, section) in sections.enumerate() {
                if !is_loaded(endian, section) || is_in_file(endian, section) != in_file {
                    continue;
                }
                let len = section.sh_size(endian);
                let too_large =
                    || Defect::TooLarge { section: name(endian, sections, section), most: MAX_LEN };
                let start = next(end, section.sh_addralign(endian)).ok_or_else(too_large)?;
                end = start.checked_add(len).filter(|&end| end <= MAX_LEN).ok_or_else(too_large)?;
                if in_file {
                    image.resize(start as usize, 0);
                    image.extend(section.data(endian, data).map_err(Defect::damaged("section"))?);
                }
                let executable = section.sh_flags(endian).contains(elf::SHF_EXECINSTR);
                places[index.0] = Some(Place { start, len, in_file, executable });
            }
            // The part without bytes in the file begins at its widest alignment.
            if in_file {
                let too_large = || Defect::TooLarge {
                    section: "the zeroes that follow the file".into(),
                    most: MAX_LEN,
                };
                end = next(end, of_rest).ok_or_else(too_large)?;
                image.resize(end as usize, 0);
            }
        }
        Ok(Self { places, image, len: end, alignment: of_file.max(of_rest) })
    }

    /// The place of the section with this index; `None` if it does not exist or is not loaded.
    pub(super) fn place(&self, index: usize) -> Option<Place> {
        *self.places.get(index)?
    }
}

/// The next multiple of `alignment`; `None` if it exceeds [`MAX_LEN`].
fn next(end: u64, alignment: u64) -> Option<u64> {
    end.checked_next_multiple_of(alignment).filter(|&start| start <= MAX_LEN)
}

fn is_loaded(endian: LittleEndian, section: &Section) -> bool {
    section.sh_flags(endian).contains(elf::SHF_ALLOC)
}

fn is_in_file(endian: LittleEndian, section: &Section) -> bool {
    section.sh_type(endian) != elf::SHT_NOBITS
}

/// A section's name for messages.
pub(super) fn name(endian: LittleEndian, sections: &SectionTable<'_>, section: &Section) -> String {
    String::from_utf8_lossy(sections.section_name(endian, section).unwrap_or(b"(unnamed)"))
        .into_owned()
}

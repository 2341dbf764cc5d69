//! Finds the purgatory inside its carrier, where no symbol names it.
//!
//! kexec-tools carries it as an array, the kernel with `.incbin`
//! (arch/x86/purgatory/kexec-purgatory.S). The object is recognized by its header (64-bit ELF,
//! ET_REL, x86-64, all sections inside the bytes that follow) and by a symbol named
//! purgatory_start.

use std::ops::Range;

use loader::purgatory::relocatable::ENTRY_SYMBOL;
use memchr::memmem;
use object::elf::{ELFMAG, EM_X86_64, ET_REL, SHT_NOBITS};

/// `e_ident` up to the version: 64 bits, little-endian, version 1 (gABI, "ELF Identification").
const IDENT: [u8; 7] = [ELFMAG[0], ELFMAG[1], ELFMAG[2], ELFMAG[3], 2, 1, 1];
/// `sizeof(Elf64_Shdr)` (elf.h).
const SECTION_HEADER_LEN: usize = 64;
/// Alignment of `kexec_purgatory_size`, which follows the kernel's object (kexec-purgatory.S).
const SIZE_ALIGN: usize = 8;

/// Why there is no purgatory to take out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none, or one cannot tell which.
    #[error("there are {count} objects with the symbol {ENTRY_SYMBOL} in it instead of one")]
    NotOne {
        /// How many there are.
        count: usize,
    },
    /// Another purgatory does not fit into its place.
    #[error("the purgatory in it has {found} bytes, another of {len} does not fit into its place")]
    Room {
        /// Bytes that there are.
        found: usize,
        /// Bytes of the other.
        len: usize,
    },
    /// The kernel's own idea of its purgatory's size is another.
    #[error("the object at {at:#x} has {found} bytes, but the kernel says {said:?}")]
    Size {
        /// Offset in vmlinux.
        at: usize,
        /// Bytes by its section headers.
        found: usize,
        /// What follows it.
        said: Option<u64>,
    },
}

/// Where each purgatory is in `bytes`: in a file, or in a machine's memory.
pub fn all(bytes: &[u8]) -> Vec<Range<usize>> {
    let name = [&[0], ENTRY_SYMBOL.as_bytes(), &[0]].concat();
    let found =
        memmem::find_iter(bytes, &IDENT).filter_map(|at| Some(at..at + object_len(&bytes[at..])?));
    found.filter(|place| memmem::find(&bytes[place.clone()], &name).is_some()).collect()
}

/// Where the only one is.
pub fn only(bytes: &[u8]) -> Result<Range<usize>, Error> {
    let mut all = all(bytes);
    match (all.pop(), all.len()) {
        (Some(place), 0) => Ok(place),
        (last, rest) => Err(Error::NotOne { count: rest + last.iter().len() }),
    }
}

/// Puts `ours` in place of the only purgatory in `bytes`, with zeroes after it: its carrier goes by
/// its headers, not by where it ends.
pub fn replace(bytes: &mut [u8], ours: &[u8]) -> Result<(), Error> {
    let place = only(bytes)?;
    if ours.len() > place.len() {
        return Err(Error::Room { found: place.len(), len: ours.len() });
    }
    let (begin, rest) = bytes[place].split_at_mut(ours.len());
    begin.copy_from_slice(ours);
    rest.fill(0);
    Ok(())
}

/// What the kernel takes for its purgatory's size, `kexec_purgatory_size`, is what was found.
pub fn kernel_agrees(vmlinux: &[u8], place: &Range<usize>) -> Result<(), Error> {
    let at = place.start + place.len().next_multiple_of(SIZE_ALIGN);
    let said = field(vmlinux, at);
    if said == Some(place.len() as u64) {
        Ok(())
    } else {
        Err(Error::Size { at: place.start, found: place.len(), said })
    }
}

/// Length of the object that `bytes` begin with: to the end of its last section, or of its section
/// headers.
fn object_len(bytes: &[u8]) -> Option<usize> {
    let half = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    // e_type, e_machine, e_shoff, e_shentsize, e_shnum of Elf64_Ehdr.
    if (half(16)?, half(18)?, usize::from(half(58)?)) != (ET_REL.0, EM_X86_64.0, SECTION_HEADER_LEN)
    {
        return None;
    }
    let table = usize::try_from(field(bytes, 40)?).ok()?;
    let headers = bytes.get(table..)?.get(..usize::from(half(60)?) * SECTION_HEADER_LEN)?;
    let mut end = table + headers.len();
    for header in headers.chunks_exact(SECTION_HEADER_LEN) {
        // sh_type, sh_offset, sh_size of Elf64_Shdr.
        let kind = u32::from_le_bytes(*header[4..].first_chunk()?);
        if kind != SHT_NOBITS.0 {
            let section_end = field(header, 24)?.checked_add(field(header, 32)?)?;
            end = end.max(usize::try_from(section_end).ok()?);
        }
    }
    (end <= bytes.len()).then_some(end)
}

fn field(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, the name, a section of 8 bytes that holds nothing, two section headers.
    fn object() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&IDENT);
        bytes[16..20].copy_from_slice(&[1, 0, 62, 0]);
        bytes.extend(b"\0purgatory_start\0");
        let table = bytes.len();
        bytes[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        bytes[58..62].copy_from_slice(&[64, 0, 2, 0]);
        bytes.resize(table + 2 * SECTION_HEADER_LEN, 0);
        bytes
    }

    /// With the second section at `offset`, of `len` bytes and of type `kind`.
    fn with_section(kind: u32, offset: u64, len: u64) -> Vec<u8> {
        let mut bytes = object();
        let header = bytes.len() - SECTION_HEADER_LEN;
        bytes[header + 4..][..4].copy_from_slice(&kind.to_le_bytes());
        bytes[header + 24..][..8].copy_from_slice(&offset.to_le_bytes());
        bytes[header + 32..][..8].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    #[test]
    fn object_is_found_wherever_it_lies_and_ends_with_its_headers() {
        for (before, after) in [(0, 0), (1, 3), (4096, 10_000)] {
            let bytes = [vec![0x7f; before], object(), vec![0xee; after]].concat();
            assert_eq!(only(&bytes), Ok(before..before + object().len()));
        }
    }

    #[test]
    fn object_ends_with_a_section_that_lies_behind_its_headers() {
        let len = object().len();
        let bytes = [with_section(1, len as u64, 9), vec![0; 20]].concat();
        assert_eq!(only(&bytes), Ok(0..len + 9));
        // Of one without bytes, offset and size mean nothing.
        assert_eq!(only(&with_section(SHT_NOBITS.0, u64::MAX, u64::MAX)), Ok(0..len));
    }

    #[test]
    fn what_is_not_a_whole_object_with_that_symbol_is_passed_over() {
        let none = |bytes: &[u8]| assert_eq!(only(bytes), Err(Error::NotOne { count: 0 }));
        let good = object();
        (0..good.len()).for_each(|len| none(&good[..len]));
        // Class, type, machine, size of a section header, the symbol's name.
        for at in [4, 16, 18, 58, 70] {
            let mut bytes = good.clone();
            bytes[at] ^= 2;
            none(&bytes);
        }
        none(&with_section(1, u64::MAX, 1));
        none(&with_section(1, good.len() as u64, 1));
    }

    #[test]
    fn of_two_objects_neither_is_taken() {
        let two = [object(), object()].concat();
        assert_eq!(all(&two).len(), 2);
        assert_eq!(only(&two), Err(Error::NotOne { count: 2 }));
    }

    #[test]
    fn replaced_object_leaves_nothing_behind_and_nothing_else_changed() {
        let len = object().len();
        let mut bytes = [vec![0x7f; 5], object(), vec![0xee; 5]].concat();
        replace(&mut bytes, b"ours").unwrap();
        assert_eq!(
            bytes,
            [vec![0x7f; 5], b"ours".to_vec(), vec![0; len - 4], vec![0xee; 5]].concat()
        );
        assert_eq!(replace(&mut bytes, b"ours"), Err(Error::NotOne { count: 0 }));
        let mut bytes = object();
        assert_eq!(
            replace(&mut bytes, &vec![1; len + 1]),
            Err(Error::Room { found: len, len: len + 1 })
        );
        assert_eq!(bytes, object());
    }

    #[test]
    fn kernel_that_says_another_size_is_not_believed() {
        let len = object().len();
        let vmlinux = |said: u64| {
            let mut bytes = object();
            bytes.resize(len.next_multiple_of(SIZE_ALIGN), 0);
            bytes.extend(said.to_le_bytes());
            bytes
        };
        assert_eq!(kernel_agrees(&vmlinux(len as u64), &(0..len)), Ok(()));
        assert!(matches!(
            kernel_agrees(&vmlinux(7), &(0..len)),
            Err(Error::Size { said: Some(7), .. })
        ));
        assert!(matches!(kernel_agrees(&object(), &(0..len)), Err(Error::Size { said: None, .. })));
    }
}

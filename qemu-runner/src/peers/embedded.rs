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

/// Where the only purgatory in `bytes` is.
pub fn only(bytes: &[u8]) -> Result<Range<usize>, String> {
    let name = [&[0], ENTRY_SYMBOL.as_bytes(), &[0]].concat();
    let found =
        memmem::find_iter(bytes, &IDENT).filter_map(|at| Some(at..at + object_len(&bytes[at..])?));
    let named = |place: &Range<usize>| memmem::find(&bytes[place.clone()], &name).is_some();
    match found.filter(named).collect::<Vec<_>>().as_slice() {
        [place] => Ok(place.clone()),
        all => {
            Err(format!("objects with the symbol {ENTRY_SYMBOL} in it: one expected, at {all:x?}"))
        }
    }
}

/// Puts `ours` in place of the only purgatory in `bytes`, with zeroes after it: its carrier goes by
/// its headers, not by where it ends.
pub fn replace(bytes: &mut [u8], ours: &[u8]) -> Result<(), String> {
    let place = only(bytes)?;
    let place = &mut bytes[place];
    if ours.len() > place.len() {
        return Err(format!("{} bytes do not fit in place of its {}", ours.len(), place.len()));
    }
    place.fill(0);
    place[..ours.len()].copy_from_slice(ours);
    Ok(())
}

/// What the kernel takes for its purgatory's size, `kexec_purgatory_size`, is what was found.
pub fn kernel_agrees(vmlinux: &[u8], place: &Range<usize>) -> Result<(), String> {
    let said = field(vmlinux, place.start + place.len().next_multiple_of(SIZE_ALIGN));
    if said == Some(place.len() as u64) {
        return Ok(());
    }
    Err(format!("the object has {} bytes, but the kernel says {said:?}", place.len()))
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

    /// A header, the name, and two section headers, the second of which is of these bytes.
    fn object(kind: u32, offset: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&IDENT);
        bytes[16..20].copy_from_slice(&[1, 0, 62, 0]);
        bytes.extend(b"\0purgatory_start\0");
        let table = bytes.len();
        bytes[40..48].copy_from_slice(&(table as u64).to_le_bytes());
        bytes[58..62].copy_from_slice(&[64, 0, 2, 0]);
        bytes.resize(table + 2 * SECTION_HEADER_LEN, 0);
        let header = &mut bytes[table + SECTION_HEADER_LEN..];
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    #[test]
    fn whole_object_is_found_wherever_it_is() {
        let len = object(1, 0, 0).len();
        for (before, after) in [(0, 0), (1, 3), (4096, 10_000)] {
            let bytes = [vec![0x7f; before], object(1, 0, 0), vec![0xee; after]].concat();
            assert_eq!(only(&bytes), Ok(before..before + len));
        }
        let longer = [object(1, len as u64, 9), vec![0; 20]].concat();
        assert_eq!(only(&longer), Ok(0..len + 9), "a section is after the headers");
        // Of a section without bytes, offset and size mean nothing.
        assert_eq!(only(&object(SHT_NOBITS.0, u64::MAX, u64::MAX)), Ok(0..len));
    }

    #[test]
    fn anything_but_one_whole_object_is_refused() {
        let good = object(1, 0, 0);
        (0..good.len()).for_each(|len| assert!(only(&good[..len]).is_err(), "{len}"));
        // Class, type, machine, size of a section header, the symbol's name.
        for at in [4, 16, 18, 58, 70] {
            let mut bytes = good.clone();
            bytes[at] ^= 2;
            assert!(only(&bytes).is_err(), "{at}");
        }
        assert!(only(&object(1, u64::MAX, 1)).is_err() && only(&object(1, 500, 1)).is_err());
        assert!(only(&[good.clone(), good].concat()).is_err(), "two");
    }

    #[test]
    fn replaced_object_leaves_nothing_behind_and_nothing_else_changed() {
        let len = object(1, 0, 0).len();
        let mut bytes = [vec![0x7f; 5], object(1, 0, 0), vec![0xee; 5]].concat();
        assert!(replace(&mut bytes, &vec![1; len + 1]).is_err());
        replace(&mut bytes, b"ours").unwrap();
        let expected = [vec![0x7f; 5], b"ours".to_vec(), vec![0; len - 4], vec![0xee; 5]];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn kernel_that_says_another_size_is_not_believed() {
        let mut vmlinux = object(1, 0, 0);
        let len = vmlinux.len();
        assert!(kernel_agrees(&vmlinux, &(0..len)).is_err());
        vmlinux.resize(len.next_multiple_of(SIZE_ALIGN), 0);
        vmlinux.extend((len as u64).to_le_bytes());
        assert_eq!(kernel_agrees(&vmlinux, &(0..len)), Ok(()));
        assert!(kernel_agrees(&vmlinux, &(0..len - 8)).is_err());
    }
}

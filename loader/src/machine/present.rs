//! `[1g]` The CPUs and the memory that are present now and belong in a dump, and what devices have
//! of the address space.
//!
//! It is read on every hotplug event while an image is armed, so it holds nothing else. It needs no
//! /proc/kcore, which may be hidden; only [`read_memory`] does.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::source::{self, Tree};
use super::{CrashNotes, Error, cpus, iomem, kcore, kexec};
use crate::phys::{LOW_1M, PhysRange, merged, subtract};

/// The memory and the CPUs of the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// System RAM that belongs in a dump, merged, ascending.
    pub memory: Vec<PhysRange>,
    /// One PRSTATUS buffer per present CPU.
    pub cpus: Vec<CrashNotes>,
    /// The region for images, if there is one.
    pub crash_region: Option<PhysRange>,
    /// What devices have of the address space: every other line of /proc/iomem.
    pub devices: Vec<PhysRange>,
}

impl Present {
    /// Reads it below `root`.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let tree = Tree::new(root);
        let iomem = iomem::parse(&tree.required(&source::IOMEM)?)?;
        let cma = tree
            .optional(&source::CRASH_CMA)?
            .map_or(Ok(Vec::new()), |file| kexec::parse_cma_ranges(&file))?;
        Ok(Self {
            memory: without_crash_memory(&iomem.system_ram, &iomem.crash_regions, &cma),
            cpus: cpus::read_crash_notes(tree)?,
            crash_region: iomem.crash_regions.last().copied(),
            devices: iomem.devices,
        })
    }

    /// Whether any byte of `range` is memory.
    pub fn has(&self, range: PhysRange) -> bool {
        self.memory.iter().any(|memory| memory.overlaps(range))
    }
}

/// System RAM without what belongs in no dump (`elf_header_exclude_ranges`,
/// arch/x86/kernel/crash.c).
pub(crate) fn without_crash_memory(
    system_ram: &[PhysRange],
    crash_regions: &[PhysRange],
    crash_cma: &[PhysRange],
) -> Vec<PhysRange> {
    let low = PhysRange::with_len(0, LOW_1M).expect("1 MiB is in range");
    let holes: Vec<_> = [low].iter().chain(crash_regions).chain(crash_cma).copied().collect();
    subtract(&merged(system_ram.to_vec()), &holes)
}

/// The physical range of memory block `number` (`memory_block_size_bytes`, drivers/base/memory.c).
/// It is known even after the block was removed.
pub fn block_range(root: &Path, number: u64) -> Result<PhysRange, Error> {
    let file = Tree::new(root).required(&source::MEMORY_BLOCK_SIZE)?;
    let size = file.hexadecimal()?;
    let range = number
        .checked_mul(size)
        .and_then(|start| PhysRange::with_len(start, size))
        .filter(|range| !range.is_empty());
    range.ok_or_else(|| {
        file.garbled(format!("a size that puts block {number} beyond the end of the address space"))
    })
}

/// Reads the live machine's memory through the direct map in /proc/kcore, which includes crash
/// memory.
///
/// # Errors
///
/// /proc/kcore cannot be read, or no segment of it holds all of `range`.
pub fn read_memory(root: &Path, range: PhysRange) -> io::Result<Vec<u8>> {
    let mut file = File::open(root.join("proc/kcore"))?;
    let headers = kcore::read_headers(&mut file)?;
    let missing =
        || io::Error::new(io::ErrorKind::NotFound, "/proc/kcore does not show this memory");
    let header = FileHeader64::<LittleEndian>::parse(&*headers).map_err(io::Error::other)?;
    let phdrs = header.program_headers(LittleEndian, &*headers).map_err(io::Error::other)?;
    let offset = phdrs.iter().find_map(|phdr| {
        let shown = PhysRange::with_len(phdr.p_paddr(LittleEndian), phdr.p_memsz(LittleEndian))?;
        let inside = phdr.p_type(LittleEndian) == PT_LOAD && shown.contains(range);
        inside.then(|| phdr.p_offset(LittleEndian).checked_add(range.start() - shown.start()))?
    });
    let mut bytes = vec![0; usize::try_from(range.len()).map_err(|_| missing())?];
    file.read_exact_at(&mut bytes, offset.ok_or_else(missing)?)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn present_memory_is_what_a_machine_would_dump() {
        let present = Present::read(example::tree().path()).unwrap();
        let machine = example::machine();
        assert_eq!(present.memory, crate::describe::elfcorehdr::dumped(&machine));
        assert_eq!(
            (&present.cpus, present.crash_region),
            (&machine.crash_notes, machine.crash_region().ok())
        );
        assert!(present.has(PhysRange::new(0x1_0fff_f000, 0x1_1000_1000).unwrap()));
        assert!(!present.has(PhysRange::new(0x1_1000_0000, 0x1_2000_0000).unwrap()));
    }

    #[test]
    fn block_has_a_range_when_it_is_gone() {
        let root = example::tree();
        assert!(matches!(block_range(root.path(), 32), Err(Error::Missing { .. })));
        example::plant(
            root.path(),
            &[("sys/devices/system/memory/block_size_bytes".into(), b"8000000\n".to_vec())].into(),
        );
        assert_eq!(
            block_range(root.path(), 32).unwrap(),
            PhysRange::new(0x1_0000_0000, 0x1_0800_0000).unwrap()
        );
        assert!(block_range(root.path(), u64::MAX).is_err());
    }

    #[test]
    fn memory_is_read_where_the_direct_map_shows_it() {
        let root = tempfile::tempdir().unwrap();
        // The direct map's bytes begin where its address says; these are low enough for a file.
        let loads = [(0x10_0000, u64::MAX, 0x1000), (0x20_0000, 0x80_0000, 0x2000)];
        let mut bytes = example::kcore(&loads);
        bytes.resize(0x20_2000, 0);
        bytes[0x20_1000..0x20_1004].copy_from_slice(b"here");
        example::plant(root.path(), &[("proc/kcore".into(), bytes)].into());
        let read = |start| read_memory(root.path(), PhysRange::with_len(start, 4).unwrap());
        assert_eq!(read(0x80_1000).unwrap(), b"here");
        assert!(read(0x80_1ffe).is_err(), "it ends outside");
        assert!(read(0x10_0000).is_err(), "it is nowhere");
    }
}

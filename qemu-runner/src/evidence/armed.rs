//! The armed image in the guest's memory.
//!
//! It is read through the handoff block, as the purgatory will read it. The loader's own account is
//! not trusted.

use std::ops::Range;

use handoff::block::{MAGIC, VERSION};
use handoff::{Block, RegionKind};
use zerocopy::FromBytes;

use crate::error::Error as RunError;
use crate::machine::ram::Ram;

/// How much of the crash region is searched at a time.
const CHUNK: usize = 16 << 20;

/// Why there is no armed image that could be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No block that is bound to where it is.
    #[error("no handoff block is in the crash region {:#x}-{:#x}", region.start, region.end - 1)]
    NoBlock {
        /// Where it was looked for.
        region: Range<u64>,
    },
    /// The block lacks a region.
    #[error("the handoff block has no region for {}", kind.name())]
    NoRegion {
        /// Which.
        kind: RegionKind,
    },
}

crate::error::evidence!(Error);

/// One region of an armed image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Physical address.
    pub start: u64,
    /// Bytes that were loaded.
    pub file_len: u64,
    /// Bytes in memory.
    pub mem_len: u64,
}

/// An armed image.
#[derive(Clone, Debug)]
pub struct ArmedImage {
    /// Physical address of the handoff block.
    pub block: Range<u64>,
    /// The leaf table.
    pub leaf_table: Range<u64>,
    /// The elfcorehdr segment.
    pub elfcorehdr: Range<u64>,
    /// The image's identity, in hexadecimal.
    pub identity: String,
    regions: Vec<(RegionKind, Span)>,
}

impl ArmedImage {
    /// Finds the image in a crash region of the guest's memory.
    pub fn find(ram: &Ram, region: &Range<u64>) -> Result<Self, RunError> {
        let mut start = region.start;
        while start < region.end {
            let len = CHUNK.min((region.end - start) as usize);
            let bytes = ram.read(start, len)?;
            for position in memchr::memmem::find_iter(&bytes, &MAGIC) {
                // The purgatory's code also holds the magic number, to compare with; only a block
                // names its own place.
                let address = start + position as u64;
                let candidate =
                    ram.read(address, size_of::<Block>().min((region.end - address) as usize))?;
                if let Ok(block) = Block::read_from_bytes(&candidate)
                    && is_bound_around(&block, address)
                {
                    return Ok(Self::describe(&block, address));
                }
            }
            // Chunks overlap, so that a magic number across a boundary is found.
            start += if len == CHUNK { len - MAGIC.len() } else { len } as u64;
        }
        Err(Error::NoBlock { region: region.clone() }.into())
    }

    /// The region of `kind`.
    pub fn region(&self, kind: RegionKind) -> Result<Span, Error> {
        self.regions
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, span)| *span)
            .ok_or(Error::NoRegion { kind })
    }

    fn describe(block: &Block, address: u64) -> Self {
        let span = |span: &handoff::PhysSpan| span.start.get()..span.start.get() + span.len.get();
        let used = block.regions.iter().take(block.region_count.get() as usize);
        let regions = used.filter_map(|region| {
            let kind = RegionKind::from_wire(region.kind.get())?;
            let (start, file_len, mem_len) =
                (region.start.get(), region.file_len.get(), region.mem_len.get());
            Some((kind, Span { start, file_len, mem_len }))
        });
        Self {
            block: address..address + size_of::<Block>() as u64,
            leaf_table: span(&block.leaf_table),
            elfcorehdr: span(&block.elfcorehdr),
            identity: block.seal.iter().map(|byte| format!("{byte:02x}")).collect(),
            regions: regions.collect(),
        }
    }
}

/// Whether a block says that it is where it is.
fn is_bound_around(block: &Block, address: u64) -> bool {
    let (start, len) = (block.purgatory.start.get(), block.purgatory.len.get());
    block.version.get() == VERSION && start <= address && address - start < len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ram::Layout;
    use handoff::{PhysSpan, Region};
    use zerocopy::IntoBytes;

    /// A memory of 1 MiB with a bound block at 0x2100, and the magic number alone at 0x1000.
    fn memory() -> (tempfile::TempDir, Ram) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ram");
        std::fs::write(&path, vec![0; 1 << 20]).unwrap();
        let ram = Ram::open(&path, Layout::q35(1 << 20)).unwrap();
        let mut block = Block::blank();
        block.purgatory = PhysSpan::new(0x2000, 0x4000);
        block.elfcorehdr = PhysSpan::new(0x8000, 0x1000);
        block.region_count.set(1);
        block.regions[0] = Region::new(RegionKind::Initrd, 0x9000, 10, 0x1000);
        block.seal[0] = 0xab;
        ram.write(0x1000, &MAGIC).unwrap();
        ram.write(0x2100, block.as_bytes()).unwrap();
        (directory, ram)
    }

    #[test]
    fn block_is_found_by_what_it_says_of_its_place() {
        let (_directory, ram) = memory();
        let image = ArmedImage::find(&ram, &(0..1 << 20)).unwrap();
        assert_eq!(image.block.start, 0x2100);
        assert_eq!(image.elfcorehdr, 0x8000..0x9000);
        assert!(image.identity.starts_with("ab00"));
        assert_eq!(
            image.region(RegionKind::Initrd),
            Ok(Span { start: 0x9000, file_len: 10, mem_len: 0x1000 })
        );
        assert_eq!(
            image.region(RegionKind::Kernel),
            Err(Error::NoRegion { kind: RegionKind::Kernel })
        );
    }

    #[test]
    fn unarmed_region_is_reported() {
        let (_directory, ram) = memory();
        assert!(
            ArmedImage::find(&ram, &(0x4000..0x8000))
                .unwrap_err()
                .to_string()
                .contains("0x4000-0x7fff")
        );
    }
}

//! The armed image in the guest's memory.
//!
//! It is read through the handoff block, as the purgatory will read it. The loader's own account is
//! not trusted.

use std::ops::Range;

use handoff::block::{MAGIC, VERSION};
use handoff::{Block, PhysSpan, Region, RegionKind};
use zerocopy::FromBytes;

use crate::error::Error;
use crate::machine::ram::Ram;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    /// Bytes that were loaded.
    pub file_len: u64,
    /// Bytes in memory.
    pub mem_len: u64,
}

/// An armed image, by physical addresses.
#[derive(Clone, Debug)]
pub struct ArmedImage {
    pub block: Range<u64>,
    pub leaf_table: Range<u64>,
    pub elfcorehdr: Range<u64>,
    /// The seal, in hexadecimal.
    pub identity: String,
    regions: Vec<(RegionKind, Span)>,
}

impl ArmedImage {
    /// Finds the image in a crash region of the guest's memory.
    pub fn find(ram: &Ram, region: &Range<u64>) -> Result<Self, Error> {
        // The purgatory's code also holds the magic number, to compare with; only a block names its
        // own place.
        for address in ram.find(region, &MAGIC)? {
            let len = size_of::<Block>().min((region.end - address) as usize);
            if let Ok(block) = Block::read_from_bytes(&ram.read(address, len)?)
                && is_bound_around(&block, address)
            {
                return Ok(Self::describe(&block, address));
            }
        }
        Err(Error::Failed(format!("no handoff block is in the crash region {region:#x?}")))
    }

    pub fn region(&self, kind: RegionKind) -> Result<Span, Error> {
        let region = self.regions.iter().find(|(known, _)| *known == kind);
        let none = || Error::Failed(format!("the handoff block has no region for {}", kind.name()));
        region.map(|(_, span)| *span).ok_or_else(none)
    }

    fn describe(block: &Block, address: u64) -> Self {
        let of_kind = |region: &Region| {
            let kind = RegionKind::from_wire(region.kind.get())?;
            let (file_len, mem_len) = (region.file_len.get(), region.mem_len.get());
            Some((kind, Span { start: region.start.get(), file_len, mem_len }))
        };
        Self {
            block: address..address + size_of::<Block>() as u64,
            leaf_table: range(&block.leaf_table),
            elfcorehdr: range(&block.elfcorehdr),
            identity: hex(&block.seal),
            regions: regions(block).iter().filter_map(of_kind).collect(),
        }
    }
}

/// The regions that a block uses.
pub fn regions(block: &Block) -> &[Region] {
    &block.regions[..block.regions.len().min(block.region_count.get() as usize)]
}

pub fn range(span: &PhysSpan) -> Range<u64> {
    span.start.get()..span.start.get() + span.len.get()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_bound_around(block: &Block, address: u64) -> bool {
    let (start, len) = (block.purgatory.start.get(), block.purgatory.len.get());
    block.version.get() == VERSION && start <= address && address - start < len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ram::Layout;
    use zerocopy::IntoBytes;

    #[test]
    fn block_is_found_by_what_it_says_of_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ram");
        std::fs::write(&path, vec![0; 1 << 20]).unwrap();
        let ram = Ram::open(&path, Layout::q35(1 << 20)).unwrap();
        let mut block = Block::blank();
        block.purgatory = PhysSpan::new(0x2000, 0x4000);
        ram.write(0x1000, &MAGIC).unwrap();
        ram.write(0x2100, block.as_bytes()).unwrap();
        assert_eq!(ArmedImage::find(&ram, &(0..1 << 20)).unwrap().block.start, 0x2100);
        assert!(ArmedImage::find(&ram, &(0x4000..0x8000)).is_err(), "nothing is armed there");
        ram.write(0x8100, block.as_bytes()).unwrap();
        assert!(ArmedImage::find(&ram, &(0x8000..0x9000)).is_err(), "it is of another place");
    }
}

//! `[7a]` Our purgatory's digests: one SHA-256 per leaf, in the order of the regions.

use digest::{Digest, Engine};
use handoff::region::leaves_in;
use handoff::{Region, RegionKind};

use crate::describe::Described;
use crate::phys::PhysRange;
use crate::purgatory::{Program, Trailer, leaf_count};
use crate::seal::Seal;

/// The regions that our purgatory verifies, and the leaf table.
#[derive(Debug)]
pub struct Leaves {
    regions: Vec<Region>,
    table: Vec<Digest>,
    trailer: Trailer,
}

/// A region's bytes here, and its range in memory.
struct Source<'a> {
    kind: RegionKind,
    bytes: &'a [u8],
    start: u64,
    mem_len: u64,
}

impl Seal for Program {
    type Seals = Leaves;

    fn seal(described: &Described<'_, Self>, engine: Engine) -> Leaves {
        Leaves::digest(described, engine)
    }
}

impl Leaves {
    /// Digests every region.
    fn digest(described: &Described<'_, Program>, engine: Engine) -> Self {
        let leaf_size = described.settings().leaf_size;
        // The copy of the elfcorehdr is after the leaf table, so the leaves are counted before it
        // is placed.
        let lengths = sources(described, 0).map(|source| source.bytes.len() as u64);
        let trailer = described
            .purgatory()
            .trailer(leaf_count(lengths, leaf_size), described.elfcorehdr().len() as u64);

        let mut regions = Vec::new();
        let mut table = Vec::new();
        for Source { kind, bytes, start, mem_len } in sources(described, trailer.elfcorehdr_copy) {
            regions.push(Region::new(kind, start, bytes.len() as u64, mem_len));
            let base = table.len();
            table.resize(
                base + leaves_in(bytes.len() as u64, leaf_size) as usize,
                Digest::default(),
            );
            digest::digest_leaves(engine, bytes.chunks(leaf_size as usize), |index, digest| {
                table[base + index] = digest
            });
        }
        Self { regions, table, trailer }
    }

    /// The regions, as the block lists them.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The leaf table.
    pub fn table(&self) -> &[Digest] {
        &self.table
    }

    /// Where the leaf table and the elfcorehdr's copy are in the purgatory's segment.
    pub fn trailer(&self) -> Trailer {
        self.trailer
    }
}

/// Every region in the order of [`RegionKind::ALL`]; `copy_at` is the offset of the elfcorehdr's
/// copy in the purgatory's segment.
fn sources<'a>(
    described: &'a Described<'_, Program>,
    copy_at: u64,
) -> impl Iterator<Item = Source<'a>> {
    let placed = described.placed();
    let whole = |kind, bytes: &'a [u8], range: PhysRange| Source {
        kind,
        bytes,
        start: range.start(),
        mem_len: range.len(),
    };
    let program = described.purgatory();
    // In the purgatory's segment a region ends with its bytes, because another part of the segment
    // follows.
    let part = |kind, bytes: &'a [u8], offset| Source {
        kind,
        bytes,
        start: placed.purgatory.start() + offset,
        mem_len: bytes.len() as u64,
    };
    [
        Some(part(RegionKind::Purgatory, program.text_bytes(), program.text().start)),
        Some(whole(RegionKind::Kernel, &described.kernel().payload, placed.kernel)),
        described
            .initrd()
            .zip(placed.initrd)
            .map(|(bytes, range)| whole(RegionKind::Initrd, bytes, range)),
        Some(whole(RegionKind::BootParams, described.boot_params(), placed.boot_params)),
        Some(whole(RegionKind::CommandLine, &described.command_line().bytes, placed.command_line)),
        Some(part(RegionKind::ElfcorehdrCopy, described.elfcorehdr(), copy_at)),
    ]
    .into_iter()
    .flatten()
}

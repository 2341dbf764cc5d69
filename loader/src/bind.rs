//! [8] The purgatory is bound to its address: the block is filled in and sealed, and the segment becomes bytes.
//!
//! *On entry* everything is digested. *On exit* an [`Image`], which can only be looked at and submitted.

use std::borrow::Cow;

use digest::{Engine, Sha256};
use handoff::Block;
use handoff::block::{ConsoleSettings, EntryRegs, PhysSpan};
use handoff::report::FIELD_LEN;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::describe::Described;
use crate::image::{Image, Segment, SegmentKind};
use crate::phys::PhysRange;
use crate::seal::{Digest, Sealed};

/// Fills in the block, seals it, and lays out every segment.
pub fn bind(sealed: Sealed<'_>, engine: Engine) -> Image<'_> {
    let described = sealed.described();
    let placed = *described.placed();
    let program = described.program();
    let trailer = sealed.trailer();
    let at = placed.purgatory.start();

    let table: Vec<u8> = sealed.leaves().concat();
    let mut block = block(&sealed, span(placed.purgatory), PhysSpan::new(at + trailer.leaf_table, table.len() as u64));
    block.seal = seal_of(&block, &table, engine);

    let mut purgatory = program.image().to_vec();
    purgatory.resize(trailer.end as usize, 0);
    for (offset, bytes) in
        [(program.handoff(), block.as_bytes()), (trailer.leaf_table, &table), (trailer.elfcorehdr_copy, described.elfcorehdr())]
    {
        purgatory[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    let segments = [
        Some((SegmentKind::Elfcorehdr, placed.elfcorehdr, Cow::Owned(described.elfcorehdr().to_vec()))),
        Some((SegmentKind::Kernel, placed.kernel, described.kernel().payload.clone())),
        described.initrd().zip(placed.initrd).map(|(bytes, range)| (SegmentKind::Initrd, range, Cow::Borrowed(bytes))),
        Some((SegmentKind::BootParams, placed.boot_params, Cow::Owned(described.boot_params().to_vec()))),
        Some((SegmentKind::CommandLine, placed.command_line, Cow::Owned(described.command_line().bytes.clone()))),
        Some((SegmentKind::Purgatory, placed.purgatory, Cow::Owned(purgatory))),
    ];
    let segments = segments.into_iter().flatten().map(|(kind, range, bytes)| Segment::new(kind, range, bytes)).collect();
    let block_at =
        PhysRange::with_len(at + program.handoff(), size_of::<Block>() as u64).expect("inside the purgatory's segment");
    Image::new(at + program.entry(), placed.crash_region, segments, block, block_at, *described.settings())
}

/// The seal: SHA-256 of the block without it, then of the leaf table. It is the image's identity.
fn seal_of(block: &Block, table: &[u8], engine: Engine) -> Digest {
    let mut sha256 = Sha256::new(engine);
    for bytes in block.sealed_bytes() {
        sha256.update(bytes);
    }
    sha256.update(table);
    sha256.finish()
}

fn block(sealed: &Sealed<'_>, purgatory: PhysSpan, leaf_table: PhysSpan) -> Block {
    let described = sealed.described();
    let placed = described.placed();
    let settings = described.settings();

    let mut block = Block::blank();
    block.purgatory = purgatory;
    block.crash_region = span(placed.crash_region);
    block.leaf_table = leaf_table;
    block.leaf_size = U32::new(settings.leaf_size);
    block.region_count = U32::new(sealed.regions().len() as u32);
    block.engine = U32::new(settings.engine as u32);
    block.permissions = U32::new(settings.permissions.bits());
    block.console =
        ConsoleSettings { kind: U32::new(settings.console_kind() as u32), port: U32::new(settings.console.unwrap_or(0).into()) };
    block.on_corrupt = U32::new(settings.on_corrupt as u32);
    block.reset_delay_ms = U32::new(settings.reset_delay_ms);
    block.tsc_khz = U32::new(settings.tsc_khz);
    block.elfcorehdr = span(placed.elfcorehdr);
    block.phys_limit = U64::new(settings.phys_limit);
    block.report = report_field(described);
    block.entry = EntryRegs {
        rip: U64::new(placed.kernel.start() + described.kernel().entry_offset),
        rsi: U64::new(placed.boot_params.start()),
    };
    block.regions[..sealed.regions().len()].copy_from_slice(sealed.regions());
    block
}

fn report_field(described: &Described<'_>) -> PhysSpan {
    let start = described.placed().command_line.start() + described.command_line().report_offset as u64;
    PhysSpan::new(start, FIELD_LEN as u64)
}

fn span(range: PhysRange) -> PhysSpan {
    PhysSpan::new(range.start(), range.len())
}

#[cfg(test)]
mod tests;

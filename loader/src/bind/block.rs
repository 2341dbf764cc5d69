//! `[8a]` Our purgatory: the block is filled in and sealed. The leaf table and the copy of the
//! elfcorehdr follow the program.

use digest::{Digest, Engine, Sha256};
use handoff::Block;
use handoff::black_box::{BlackBox, Signals};
use handoff::block::{ConsoleSettings, EntryRegs, PhysSpan};
use handoff::report::FIELD_LEN;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::{Bind, Bound};
use crate::cmdline::ReportField;
use crate::describe::Described;
use crate::image::{ByBlock, NoLog, Verification};
use crate::machine::signals::SignalPorts;
use crate::phys::PhysRange;
use crate::place::black_box::Reserved;
use crate::purgatory::{Error, Program};
use crate::seal::Sealed;

impl Bind for Program {
    fn bind(sealed: &Sealed<'_, Self>, engine: Engine) -> Result<Bound, Error> {
        Ok(bind(sealed, engine))
    }
}

/// Fills in the block, seals it, and lays out the segment.
fn bind(sealed: &Sealed<'_, Program>, engine: Engine) -> Bound {
    let described = sealed.described();
    let placed = *described.placed();
    let program = described.purgatory();
    let trailer = sealed.seals().trailer();
    let at = placed.purgatory.start();

    let table: Vec<u8> = sealed.seals().table().concat();
    let mut block = block(
        sealed,
        span(placed.purgatory),
        PhysSpan::new(at + trailer.leaf_table, table.len() as u64),
    );
    block.seal = seal_of(&block, &table, engine);

    let mut bytes = program.image().to_vec();
    bytes.resize(trailer.end as usize, 0);
    for (offset, part) in [
        (program.handoff(), block.as_bytes()),
        (trailer.leaf_table, &table),
        (trailer.elfcorehdr_copy, described.elfcorehdr()),
    ] {
        bytes[offset as usize..][..part.len()].copy_from_slice(part);
    }
    let block_at = PhysRange::with_len(at + program.handoff(), size_of::<Block>() as u64)
        .expect("inside the purgatory's segment");
    let report_lacks = report_field(described).lacking;
    let settings = *described.settings();
    let ours = ByBlock { block, block_at, settings, report_lacks, no_log: no_log(described) };
    Bound {
        entry: at + program.entry(),
        bytes,
        verification: Verification::ByBlock(Box::new(ours)),
    }
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

fn block(sealed: &Sealed<'_, Program>, purgatory: PhysSpan, leaf_table: PhysSpan) -> Block {
    let described = sealed.described();
    let placed = described.placed();
    let settings = described.settings();

    let mut block = Block::blank();
    block.purgatory = purgatory;
    block.crash_region = span(placed.crash_region);
    block.leaf_table = leaf_table;
    block.leaf_size = U32::new(settings.leaf_size);
    block.region_count = U32::new(sealed.seals().regions().len() as u32);
    block.engine = U32::new(settings.engine as u32);
    block.permissions = U32::new(settings.permissions.bits());
    block.console = ConsoleSettings {
        kind: U32::new(settings.console_kind() as u32),
        port: U32::new(settings.console.unwrap_or(0).into()),
    };
    block.on_corrupt = U32::new(settings.on_corrupt as u32);
    block.reset_delay_ms = U32::new(settings.reset_delay_ms);
    block.tsc_khz = U32::new(settings.tsc_khz);
    block.elfcorehdr = span(placed.elfcorehdr);
    block.phys_limit = U64::new(settings.phys_limit);
    let report_at = placed.command_line.start() + report_field(described).offset as u64;
    block.report = PhysSpan::new(report_at, FIELD_LEN as u64);
    block.entry = EntryRegs {
        rip: U64::new(placed.kernel.start() + described.kernel().entry_offset),
        rsi: U64::new(placed.boot_params.start()),
    };
    block.black_box = black_box(described);
    block.regions[..sealed.seals().regions().len()].copy_from_slice(sealed.seals().regions());
    block
}

/// The black box, as far as there is room for one, and the signals, which need none.
fn black_box(described: &Described<'_, Program>) -> BlackBox {
    let mut black_box = BlackBox { signals: signals(described), ..BlackBox::default() };
    let Reserved { records, log_copies } = described.black_box();
    let Some(generation) = described.request().black_box else { return black_box };
    if records.is_empty() && log_copies.is_empty() {
        return black_box;
    }
    black_box.generation = U64::new(generation.get());
    for (to, record) in black_box.records.iter_mut().zip(records) {
        *to = U64::new(record.start());
    }
    for (to, copy) in black_box.log_copies.iter_mut().zip(log_copies) {
        *to = span(*copy);
    }
    if let (Ok(log), false) = (described.kernel_log(), log_copies.is_empty()) {
        black_box.log = log.to_wire();
    }
    black_box
}

/// Why the black box has no copy of the kernel log.
fn no_log(described: &Described<'_, Program>) -> Option<NoLog> {
    let wanted = described.request().black_box.is_some();
    match described.kernel_log() {
        _ if !wanted || !described.black_box().log_copies.is_empty() => None,
        Ok(_) => Some(NoLog::NoRoom),
        Err(because) => Some(NoLog::Unresolved(because.clone())),
    }
}

fn signals(described: &Described<'_, Program>) -> Signals {
    let SignalPorts { pvpanic, kcs } = described.settings().signals;
    Signals {
        pvpanic_port: U32::new(pvpanic.unwrap_or(0).into()),
        kcs_port: U32::new(kcs.map_or(0, |kcs| kcs.port).into()),
        kcs_spacing: U32::new(kcs.map_or(0, |kcs| kcs.spacing).into()),
        reserved: U32::ZERO,
    }
}

fn report_field(described: &Described<'_, Program>) -> ReportField {
    described.command_line().report.expect("our purgatory makes reports")
}

fn span(range: PhysRange) -> PhysSpan {
    PhysSpan::new(range.start(), range.len())
}

//! (4) Orders for the crash kernel and their data, as one file: the ramdisk that it is booted with,
//! or memory where it awaits them.

use std::ops::Range;

use handoff::report::{Elfcorehdr, FIELD_LEN};
use handoff::{Block, RegionKind, Verdict};
use loader::image::Image;
use orders::{Crash, Orders, Sealed, Segment, Step};

use super::case::{Arrangement, Ended, Expect};
use super::memory::{Memory, Write, sha256, told};
use crate::error::Error;
use crate::evidence::armed::{range, regions};
use crate::evidence::iomem::without_any;

/// A ramdisk that orders to wait for others.
pub fn awaiting() -> Vec<u8> {
    Orders::Await.to_file()
}

/// A ramdisk that orders a crash: `image` is loaded, the arranged steps happen, then `memory`'s
/// damage, then the panic, of which `expect` must come.
pub fn crash(
    expect: &Expect,
    arrangement: &Arrangement,
    image: &Image<'_>,
    memory: &Memory,
) -> Result<Vec<u8>, Error> {
    let segments = image.segments().iter().map(|segment| {
        let start = segment.range().start();
        Segment { memory: start..start + segment.range().len(), bytes: segment.bytes() }
    });
    let writes = memory.writes();
    let writes = writes.iter().map(|Write { at, bytes }| Step::Write { at: *at, bytes });
    let elfcorehdr = elfcorehdr(expect, arrangement, image, memory);
    let crash = Crash {
        tables: arrangement.tables,
        nmi: arrangement.nmi,
        la57: arrangement.la57,
        panic_cpu: arrangement.panic_cpu,
        possible_cpus: arrangement.possible_cpus,
        entry: image.entry(),
        nmi_ready: memory.symbol("saved_cr4"),
        initrd: region(image, RegionKind::Initrd)?,
        command_line: region(image, RegionKind::CommandLine)?,
        segments: segments.collect(),
        steps: arrangement.steps.iter().copied().chain(writes).collect(),
        sealed: sealed(expect, image, memory).into_iter().chain(elfcorehdr).collect(),
    };
    Ok(Orders::Crash(crash).to_file())
}

/// The bytes of a region, without what is there to fill its pages.
fn region(image: &Image<'_>, kind: RegionKind) -> Result<Range<u64>, Error> {
    let regions = regions(&told(image).block);
    let region = regions.iter().find(|region| region.kind.get() == kind as u32);
    let region =
        region.ok_or_else(|| Error::unreadable("the image", format!("no {}", kind.name())))?;
    Ok(region.start.get()..region.start.get() + region.file_len.get())
}

/// What the payload must find unchanged. As they were loaded: every region with its zero tail, but
/// for the report, which the purgatory fills in, and for the payload's own tail, which it uses. As
/// they were at the panic: block and leaf table.
fn sealed(expect: &Expect, image: &Image<'_>, memory: &Memory) -> Vec<Sealed> {
    let loaded = &told(image).block;
    // If the verdict is ok, the payload finds what was there at the panic, even where a case has
    // changed and resealed it.
    let as_loaded =
        if expect.verdict == Verdict::Ok { memory.clone() } else { Memory::of(image, &[]) };
    let report = loaded.report.start.get();
    let report = report..report + FIELD_LEN as u64;
    let mut sealed = Vec::new();
    for region in regions(loaded) {
        let own = region.kind.get() == RegionKind::Kernel as u32;
        let len = if own { region.file_len.get() } else { region.mem_len.get() };
        let all = region.start.get()..region.start.get() + len;
        let parts = without_any(&[all], std::slice::from_ref(&report));
        sealed.extend(parts.into_iter().map(|part| seal(&as_loaded, part)));
    }
    let block = told(image).block_at.start();
    let block = block..block + size_of::<Block>() as u64;
    sealed.extend([block, range(&loaded.leaf_table)].map(|span| seal(memory, span)));
    sealed
}

/// The elfcorehdr: as it was loaded where the purgatory must put the copy back; as it is at the
/// panic if nothing has rewritten it.
fn elfcorehdr(
    expect: &Expect,
    arrangement: &Arrangement,
    image: &Image<'_>,
    memory: &Memory,
) -> Option<Sealed> {
    let span = range(&told(image).block.elfcorehdr);
    if let Ended::Booted(reported) | Ended::BootedNevertheless(reported, _) = expect.ended
        && reported.elfcorehdr == Elfcorehdr::Restored
    {
        return Some(seal(&Memory::of(image, &[]), span));
    }
    arrangement.steps.is_empty().then(|| seal(memory, span))
}

fn seal(memory: &Memory, span: Range<u64>) -> Sealed {
    let sha256 = sha256(memory.read(span.start, (span.end - span.start) as usize));
    Sealed { span, sha256 }
}

//! `[0]` The story, step by step; each step is a file.

use digest::Engine;
use handoff::black_box::LogState;
use handoff::report::{Elfcorehdr, Report};
use handoff::text::Text;
use handoff::{Block, OnCorrupt, RegionKind, Verdict};
use purgatory::arch::{self, UartPorts};
use purgatory::console::Console;
use purgatory::elfcorehdr::{self, Mended};
use purgatory::engine;
use purgatory::policy::{self, Trust};
use purgatory::reading::{NO_LEAF, READING};
use purgatory::received::{self, Handoff};
use purgatory::verify::{self, Difference, Findings, PRINTED_PER_SEGMENT, Place};

use crate::{black_box, memory, stop};

/// Called once by `entry.S`, on our own stack, with SSE on.
#[inline(never)] // the debugger of the bare-metal tests knows it by name
pub fn tell(_stack_on_entry: u64) -> ! {
    READING.clear();
    black_box::close();
    let entered_at = arch::tsc();
    let block = memory::received_block();
    // The block is not verified yet. If its permission is wrong, this raises an exception, which is
    // reported.
    arch::guard_stack(policy::permissions(block));
    let mut console = Console::alleged(block, UartPorts::at);

    let handoff = match received::receive(block, &memory::itself()) {
        Ok(handoff) => handoff,
        Err(verdict) => stop::refuse(block, Trust::Alleged, &mut console, verdict),
    };
    let leaf_table = memory::bytes(handoff.leaf_table);
    // With the engine that every CPU has: only a sealed block can say which other instructions
    // exist.
    READING.begin(NO_LEAF, handoff.leaf_table.start()..handoff.leaf_table.end());
    let sealed = verify::seal_holds(Engine::soft(), block, leaf_table);
    READING.end(NO_LEAF);
    if !sealed {
        stop::refuse(block, Trust::Alleged, &mut console, Verdict::Seal);
    }

    let engine = arch::engine(engine::kind(handoff.engine), handoff.permissions);
    black_box::open(block, &handoff, engine::id(engine), entered_at);
    if black_box::copy_log(block) == LogState::Failed {
        console.line().text("the kernel log cannot be read, and is not kept");
    }
    announce(&mut console, block, &handoff, engine);
    let findings = verify(&mut console, &handoff, engine, leaf_table);
    let verdict = findings.first().map_or(Verdict::Ok, |(_, verdict)| verdict);
    black_box::verified(verdict);
    if verdict != Verdict::Ok && handoff.on_corrupt != OnCorrupt::Boot {
        stop::refuse(block, Trust::Proven, &mut console, verdict);
    }

    let elfcorehdr = mend_elfcorehdr(&mut console, &handoff, &findings);
    let report = Report {
        verdict,
        segment: findings.first().map(|(kind, _)| kind),
        engine: engine::id(engine),
        microseconds: microseconds_since(entered_at, handoff.tsc_khz),
        nmis: arch::nmis(),
        elfcorehdr,
    };
    let field = memory::report_field(handoff.report);
    report.fill(field);
    stop::say_verdict(&mut console, verdict);
    if verdict != Verdict::Ok {
        console.line().text("booting anyway, as configured");
    }
    let mut line = console.line();
    line.text("report ");
    for &byte in &*field {
        // One word, then padding.
        if byte != b' ' {
            line.byte(byte);
        }
    }
    drop(line);
    black_box::jumps(elfcorehdr);
    arch::leave(handoff.permissions, handoff.entry_rip, handoff.entry_rsi)
}

/// Says what will be verified. If the machine hangs later, this line tells whether the capture
/// kernel was reached.
fn announce(console: &mut Console<UartPorts>, block: &Block, handoff: &Handoff, engine: Engine) {
    let bytes: u64 = handoff.regions().map(|region| region.memory.len()).sum();
    let count = handoff.regions().count();
    let mut line = console.line();
    line.text("verifying ")
        .decimal(bytes)
        .text(" bytes in ")
        .decimal(count as u64)
        .text(" segments with ");
    line.text(engine::id(engine).word()).text(", image ").digits(&block.seal[..8]);
}

/// Verifies all regions and prints where they differ.
fn verify(
    console: &mut Console<UartPorts>,
    handoff: &Handoff,
    engine: Engine,
    leaf_table: &[u8],
) -> Findings {
    let mut findings = Findings::default();
    verify::regions(handoff, engine, leaf_table, &READING, memory::bytes, |place, difference| {
        black_box::differs(&place, &difference);
        if findings.count(&place, &difference) < PRINTED_PER_SEGMENT {
            say_difference(console, &place, &difference);
        }
    });
    for (kind, count) in findings.regions().filter(|&(_, count)| count > PRINTED_PER_SEGMENT) {
        let more = u64::from(count - PRINTED_PER_SEGMENT);
        console.line().text(kind.name()).text(" is corrupt in ").decimal(more).text(" more places");
    }
    findings
}

fn say_difference(console: &mut Console<UartPorts>, place: &Place, difference: &Difference) {
    let mut line = console.line();
    line.text(place.kind.name())
        .text(" is corrupt at ")
        .hex(place.start)
        .text("-")
        .hex(place.end - 1);
    match difference {
        Difference::Leaf { expected, found } => {
            line.text(": expected ").digits(expected).text(" found ").digits(found)
        }
        Difference::NotZero => line.text(": not zero"),
    };
}

/// Checks the elfcorehdr, and restores the load-time copy if the header cannot give a /proc/vmcore.
fn mend_elfcorehdr(
    console: &mut Console<UartPorts>,
    handoff: &Handoff,
    findings: &Findings,
) -> Elfcorehdr {
    let copy = (!findings.names(RegionKind::ElfcorehdrCopy))
        .then(|| memory::bytes(handoff.elfcorehdr_copy));
    let segment = memory::elfcorehdr(handoff.elfcorehdr);
    READING.begin(NO_LEAF, handoff.elfcorehdr.start()..handoff.elfcorehdr.end());
    let mended = elfcorehdr::mend(segment, copy, handoff.crash_region, handoff.phys_limit);
    READING.end(NO_LEAF);
    match mended {
        Mended::Sound => Elfcorehdr::Ok,
        Mended::Restored(defect) => {
            console
                .line()
                .text("elfcorehdr was broken (")
                .text(defect.sentence())
                .text("); restored the copy made at load");
            Elfcorehdr::Restored
        }
        Mended::Broken(defect) => {
            console
                .line()
                .text("elfcorehdr is broken (")
                .text(defect.sentence())
                .text("), and its copy is corrupt: left as it is");
            Elfcorehdr::Broken
        }
    }
}

/// Microseconds of the time-stamp counter since `start`.
fn microseconds_since(start: u64, tsc_khz: u32) -> u64 {
    arch::tsc().wrapping_sub(start).saturating_mul(1000) / u64::from(tsc_khz)
}

//! The black box: the record of each ending, and the copies of the kernel's log.

use handoff::black_box::{BlackBox, LogState, PrintkLog, Signals, Stage};
use handoff::{OnCorrupt, PAGE_SIZE, PhysSpan, RegionKind, Verdict};
use orders::Ending;

use super::kernel_log::{AT_THE_END, Ring, WHOLE, WRAPPED};
use super::machine_checks::{HOLD, reseal_purgatory, unnoticed_instead_of};
use crate::bare::black_box::{Left, TABLES};
use crate::bare::case::{Arrangement, Case, Ended, Expect, Reported, SOUND, flip_initrd, rows};
use crate::bare::course::LOG_FAILED;
use crate::bare::memory::Memory;
use crate::machine::{KCS_PORT, PVPANIC_PORT};

/// In the local APIC's page, which the kernel's identity map leaves out.
const NOT_MAPPED: u64 = 0xfee0_0000;
/// `ud2`.
const UNDEFINED: &[u8] = b"\x0f\x0b";

/// Gives the image a black box, with this log if there is one, in pages that nothing else uses.
fn give(memory: &mut Memory, log: Option<PrintkLog>) {
    let len = |hole: &std::ops::Range<u64>| hole.end - hole.start;
    let hole = memory.holes().into_iter().max_by_key(len).expect("a hole");
    let copy_len = log.map_or(0, |log| log.copy_len().expect("a small log"));
    let copy_len = copy_len.next_multiple_of(PAGE_SIZE);
    // The crash kernel's page tables come first.
    let mut at = hole.start + TABLES * PAGE_SIZE;
    let mut take = |len: u64| {
        let start = at;
        // Not in sequence, so that a byte written past an end is seen.
        at += len + PAGE_SIZE;
        start
    };
    let mut black_box = BlackBox { generation: 0x1_0000_0007.into(), ..BlackBox::default() };
    black_box.records = [(); 4].map(|()| take(PAGE_SIZE).into());
    if let Some(log) = log {
        black_box.log = log;
        black_box.log_copies = [(); 2].map(|()| PhysSpan::new(take(copy_len), copy_len));
    }
    memory.arrange_block(|block| block.black_box = black_box);
}

/// Every signal that the machine has.
fn signals(memory: &mut Memory) {
    memory.arrange_block(|block| {
        block.black_box.signals = Signals {
            pvpanic_port: u32::from(PVPANIC_PORT).into(),
            kcs_port: u32::from(KCS_PORT).into(),
            kcs_spacing: 1.into(),
            reserved: 0.into(),
        };
    });
}

fn without_log(memory: &mut Memory) {
    give(memory, None);
}

fn with_log(memory: &mut Memory, ring: &Ring) {
    let log = ring.put(memory);
    give(memory, Some(log));
}

/// A leaf of the initrd in each of ten, and a byte of the kernel's zero tail.
fn many_places(memory: &mut Memory) {
    let (_, len) = memory.lengths(RegionKind::Initrd);
    (0..len).step_by(64 << 10).for_each(|at| memory.flip(RegionKind::Initrd, at));
    let (file_len, _) = memory.lengths(RegionKind::Kernel);
    memory.region(RegionKind::Kernel)[file_len] = 1;
}

fn left(arrangement: &mut Arrangement, stage: Stage, log: LogState) {
    arrangement.left = Some(Left::Record(stage, log));
}

fn jumped(arrangement: &mut Arrangement) {
    left(arrangement, Stage::Jumped, LogState::Absent);
}

fn jumped_with_log(arrangement: &mut Arrangement) {
    left(arrangement, Stage::Jumped, LogState::Copied);
}

fn jumped_after_failure(arrangement: &mut Arrangement) {
    left(arrangement, Stage::Jumped, LogState::Failed);
}

fn refused_without_log(arrangement: &mut Arrangement) {
    left(arrangement, Stage::Refused, LogState::Absent);
}

fn refused_with_log(arrangement: &mut Arrangement) {
    left(arrangement, Stage::Refused, LogState::Copied);
}

const BOOTS: Expect = Expect::sound(&["verifying "]);

const BOOTS_WITHOUT_LOG: Expect = Expect::sound(&[LOG_FAILED, "verifying "]);

const CORRUPT: Expect = Expect::reset(Verdict::SegmentCorrupt, &["verdict 0x30 segment-corrupt"]);

pub const CASES: &[Case] = rows! {
    "black-box": "there is a black box without a log, and nothing is wrong",
        jumped, without_log, BOOTS;
    "black-box-log": "there is a black box with a kernel log, and nothing is wrong",
        jumped_with_log, |memory| with_log(memory, &WHOLE), BOOTS;
    "black-box-log-wrapped": "the kept part of the log wraps around the end of each array",
        jumped_with_log, |memory| with_log(memory, &WRAPPED), BOOTS;
    "black-box-log-at-the-end": "the kept part of the log ends at the end of each array",
        jumped_with_log, |memory| with_log(memory, &AT_THE_END), BOOTS;
    "black-box-log-one-copy": "there is room for one record and one copy of the log",
        jumped_with_log,
        |memory| {
            with_log(memory, &WRAPPED);
            memory.arrange_block(|block| {
                block.black_box.records[1..].fill(0.into());
                block.black_box.log_copies[1] = PhysSpan::default();
            });
        },
        BOOTS;
    "black-box-log-not-mapped": "the log's text is not mapped: only its copy fails",
        jumped_after_failure,
        |memory| {
            with_log(memory, &WHOLE);
            memory.arrange_block(|block| block.black_box.log.text.span.start = NOT_MAPPED.into());
        },
        BOOTS_WITHOUT_LOG;
    "black-box-log-machine-check":
        "a machine check is raised while the log is copied: only its copy fails",
        |arrangement| {
            jumped_after_failure(arrangement);
            arrangement.machine_check = true;
        },
        |memory| {
            with_log(memory, &WHOLE);
            // As long as the instruction that copies.
            let at = memory.symbol("try_copy_begin");
            memory.at(at, HOLD.len()).copy_from_slice(HOLD);
            reseal_purgatory(memory);
        },
        BOOTS_WITHOUT_LOG;
    "black-box-initrd": "a bit of the initrd was flipped, and there is a black box with a log",
        refused_with_log,
        |memory| {
            with_log(memory, &WHOLE);
            flip_initrd(memory);
        },
        CORRUPT;
    "black-box-many-places": "more places are corrupt than a record can name",
        refused_without_log,
        |memory| {
            without_log(memory);
            many_places(memory);
        },
        CORRUPT;
    "black-box-signals":
        "there are pvpanic and a management controller, and nothing is wrong",
        jumped,
        |memory| {
            without_log(memory);
            signals(memory);
        },
        BOOTS;
    "black-box-halt":
        "a bit of the initrd was flipped, the policy is to halt, and there is an event log",
        |arrangement| {
            refused_without_log(arrangement);
            arrangement.on_corrupt = OnCorrupt::Halt;
        },
        |memory| {
            without_log(memory);
            signals(memory);
            flip_initrd(memory);
        },
        Expect {
            verdict: Verdict::SegmentCorrupt,
            says: &["halted, as configured"],
            ended: Ended::Halted,
        };
    "black-box-boot-initrd":
        "a bit of the initrd was flipped, there is a black box, and the policy is to boot",
        |arrangement| {
            jumped(arrangement);
            arrangement.on_corrupt = OnCorrupt::Boot;
        },
        |memory| {
            without_log(memory);
            flip_initrd(memory);
        },
        Expect {
            verdict: Verdict::SegmentCorrupt,
            says: &["booting anyway, as configured"],
            ended: Ended::BootedNevertheless(
                Reported { segment: Some(RegionKind::Initrd), ..SOUND },
                Ending::Contents,
            ),
        };
    "black-box-exception": "an exception is raised after the log was copied",
        refused_with_log,
        |memory| {
            with_log(memory, &WHOLE);
            memory.overwrite("sha256_three_streams", UNDEFINED);
        },
        Expect::reset(Verdict::Exception, &["exception 6 ", "verdict 0x40 exception"]);
    "black-box-exception-after-verification":
        "an exception is raised while the elfcorehdr is looked at",
        refused_without_log,
        |memory| {
            without_log(memory);
            unnoticed_instead_of(memory, "10elfcorehdr4mend", UNDEFINED);
        },
        Expect::reset(
            Verdict::Exception,
            &["verifying ", "exception 6 ", "verdict 0x40 exception"],
        );
    "black-box-machine-check":
        "a machine check is raised while leaves are verified, and there is a black box",
        |arrangement| {
            refused_without_log(arrangement);
            arrangement.machine_check = true;
        },
        |memory| {
            without_log(memory);
            memory.overwrite("sha256_three_streams", HOLD);
        },
        Expect::reset(
            Verdict::MachineCheck,
            &[
                "exception 18 ",
                "was verifying purgatory at {purgatory}-",
                "was verifying kernel at {kernel}-",
                "was verifying initrd at {initrd}-{initrd+ffff}",
                "bank 9 status ",
                "verdict 0x41 machine-check",
            ],
        );
    "black-box-broken-seal":
        "the block's black box was changed: no address is trusted, and nothing is written",
        |arrangement| arrangement.left = Some(Left::Nothing),
        |memory| {
            with_log(memory, &WHOLE);
            memory.edit_block(|block| block.black_box.generation = 8.into());
        },
        Expect::reset(Verdict::Seal, &["verdict 0x20 seal"]);
    "black-box-exception-before-the-seal":
        "an exception is raised before the seal is verified, and nothing is written",
        |arrangement| arrangement.left = Some(Left::Nothing),
        |memory| {
            with_log(memory, &WHOLE);
            memory.overwrite("6Sha2566update", UNDEFINED);
        },
        Expect::reset(Verdict::Exception, &["exception 6 ", "verdict 0x40 exception"]);
};

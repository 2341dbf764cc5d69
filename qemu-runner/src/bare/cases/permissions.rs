//! What a block forbids is not executed. A trace of every instruction of the purgatory shows it.

use handoff::{ConsoleSettings, EngineId, OnCorrupt, Permissions, RegionKind, Verdict};

use super::machine_checks::HOLD;
use crate::bare::case::{Arrangement, Case, Ended, Expect, Reported, SOUND, flip_initrd, rows};
use crate::bare::memory::Memory;
use crate::bare::trace::Forbidden;

/// As on a confidential guest: nothing is permitted, so there is no console.
fn confidential(memory: &mut Memory) {
    memory.arrange_block(|block| {
        block.permissions = Permissions::NONE.bits().into();
        block.console = ConsoleSettings { kind: 0.into(), port: 0.into() };
    });
}

fn traced(arrangement: &mut Arrangement) {
    arrangement.traced = Some(&[]);
}

fn confidential_and_corrupt(memory: &mut Memory) {
    confidential(memory);
    memory.flip(RegionKind::Initrd, 0);
}

/// Everything that a block can permit and that a purgatory does.
const EVERYTHING: &[Forbidden] = &[Forbidden::Cpuid, Forbidden::PortIo, Forbidden::Debug];
/// The same of one that halts.
const WITH_HLT: &[Forbidden] =
    &[Forbidden::Cpuid, Forbidden::PortIo, Forbidden::Hlt, Forbidden::Debug];

pub const CASES: &[Case] = rows! {
    "everything-permitted":
        "everything is permitted: CPUID, port I/O and debug registers are seen in the trace",
        |arrangement| arrangement.traced = Some(EVERYTHING),
        |_| {}, Expect::sound(&["verdict 0x0 ok"]);
    "halt-permitted":
        "everything is permitted and a bit of the initrd was flipped: HLT is in the trace as well",
        |a| (a.traced, a.on_corrupt) = (Some(WITH_HLT), OnCorrupt::Halt),
        flip_initrd,
        Expect {
            verdict: Verdict::SegmentCorrupt,
            says: &["initrd is corrupt at {initrd}-", "verdict ", "halted, as configured"],
            ended: Ended::Halted,
        };
    "nothing-permitted": "nothing is permitted, as in a confidential guest",
        traced, confidential,
        Expect {
            verdict: Verdict::Ok,
            says: &[],
            ended: Ended::Booted(Reported { engine: Some(EngineId::ShaNi), ..SOUND }),
        };
    "nothing-permitted-reset": "nothing is permitted and a bit of the initrd was flipped",
        traced, confidential_and_corrupt,
        Expect::triple_fault(Verdict::SegmentCorrupt);
    "nothing-permitted-machine-check": "nothing is permitted, and a machine check is raised",
        |arrangement| {
            traced(arrangement);
            arrangement.machine_check = true;
        },
        |memory| {
            confidential(memory);
            memory.overwrite("received7receive", HOLD);
        },
        Expect::triple_fault(Verdict::MachineCheck);
    "nothing-permitted-halt":
        "nothing is permitted, a bit of the initrd was flipped, and the policy is to halt",
        |arrangement| {
            traced(arrangement);
            arrangement.on_corrupt = OnCorrupt::Halt;
        },
        confidential_and_corrupt,
        Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::Spinning };
};

//! What a block forbids is not executed: shown by a trace of every instruction of the purgatory.

use handoff::{ConsoleSettings, EngineId, OnCorrupt, Permissions, RegionKind, Verdict};

use super::machine_checks::HOLD;
use crate::bare::case::{Arrangement, Case, Ended, Expect, Reported, SOUND};
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

fn traced_and_halting(arrangement: &mut Arrangement) {
    arrangement.traced = Some(&[]);
    arrangement.on_corrupt = OnCorrupt::Halt;
}

pub const CASES: &[Case] = &[
    Case {
        name: "everything-permitted",
        summary: "everything is permitted: CPUID, port I/O and debug registers are seen in the trace",
        arrange: |arrangement| arrangement.traced = Some(&[Forbidden::Cpuid, Forbidden::PortIo, Forbidden::Debug]),
        damage: |_| {},
        expect: Expect { verdict: Verdict::Ok, says: &["verdict 0x0 ok"], ended: Ended::Booted(SOUND) },
    },
    Case {
        name: "halt-permitted",
        summary: "everything is permitted and a bit of the initrd was flipped: HLT is in the trace, too",
        arrange: |arrangement| {
            arrangement.traced = Some(&[Forbidden::Cpuid, Forbidden::PortIo, Forbidden::Hlt, Forbidden::Debug]);
            arrangement.on_corrupt = OnCorrupt::Halt;
        },
        damage: |memory| memory.region(RegionKind::Initrd)[0] ^= 1,
        expect: Expect {
            verdict: Verdict::SegmentCorrupt,
            says: &["initrd is corrupt at {initrd}-", "verdict ", "halted, as configured"],
            ended: Ended::Halted,
        },
    },
    Case {
        name: "nothing-permitted",
        summary: "nothing is permitted, as in a confidential guest",
        arrange: traced,
        damage: confidential,
        expect: Expect {
            verdict: Verdict::Ok,
            says: &[],
            ended: Ended::Booted(Reported { engine: Some(EngineId::ShaNi), ..SOUND }),
        },
    },
    Case {
        name: "nothing-permitted-reset",
        summary: "nothing is permitted and a bit of the initrd was flipped",
        arrange: traced,
        damage: |memory| {
            confidential(memory);
            memory.region(RegionKind::Initrd)[0] ^= 1;
        },
        expect: Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::TripleFault },
    },
    Case {
        name: "nothing-permitted-machine-check",
        summary: "nothing is permitted, and a machine check is raised",
        arrange: |arrangement| {
            traced(arrangement);
            arrangement.machine_check = true;
        },
        damage: |memory| {
            confidential(memory);
            let at = memory.function("received7receive");
            memory.at(at, HOLD.len()).copy_from_slice(HOLD);
        },
        expect: Expect { verdict: Verdict::MachineCheck, says: &[], ended: Ended::TripleFault },
    },
    Case {
        name: "nothing-permitted-halt",
        summary: "nothing is permitted, a bit of the initrd was flipped, and the machine is to halt",
        arrange: traced_and_halting,
        damage: |memory| {
            confidential(memory);
            memory.region(RegionKind::Initrd)[0] ^= 1;
        },
        expect: Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::Spinning },
    },
];

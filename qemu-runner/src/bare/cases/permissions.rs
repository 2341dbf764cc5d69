//! What a block forbids is not executed. A trace of every instruction of the purgatory shows it.

use handoff::{ConsoleSettings, EngineId, OnCorrupt, Permissions, RegionKind, Verdict};

use super::machine_checks::HOLD;
use crate::bare::case::{Arrangement, Case, Ended, Expect, Reported, SOUND, rows};
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

pub const CASES: &[Case] = rows! {
    "everything-permitted":
        "everything is permitted: CPUID, port I/O and debug registers are seen in the trace",
        |arrangement| arrangement.traced = Some(&[Forbidden::Cpuid, Forbidden::PortIo, Forbidden::Debug]),
        |_| {}, Expect { verdict: Verdict::Ok, says: &["verdict 0x0 ok"], ended: Ended::Booted(SOUND) };
    "halt-permitted":
        "everything is permitted and a bit of the initrd was flipped: HLT is in the trace as well",
        |arrangement| {
            arrangement.traced = Some(&[Forbidden::Cpuid, Forbidden::PortIo, Forbidden::Hlt, Forbidden::Debug]);
            arrangement.on_corrupt = OnCorrupt::Halt;
        },
        |memory| memory.region(RegionKind::Initrd)[0] ^= 1,
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
        traced,
        |memory| {
            confidential(memory);
            memory.region(RegionKind::Initrd)[0] ^= 1;
        },
        Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::TripleFault };
    "nothing-permitted-machine-check": "nothing is permitted, and a machine check is raised",
        |arrangement| {
            traced(arrangement);
            arrangement.machine_check = true;
        },
        |memory| {
            confidential(memory);
            let at = memory.function("received7receive");
            memory.at(at, HOLD.len()).copy_from_slice(HOLD);
        },
        Expect { verdict: Verdict::MachineCheck, says: &[], ended: Ended::TripleFault };
    "nothing-permitted-halt":
        "nothing is permitted, a bit of the initrd was flipped, and the policy is to halt",
        traced_and_halting,
        |memory| {
            confidential(memory);
            memory.region(RegionKind::Initrd)[0] ^= 1;
        },
        Expect { verdict: Verdict::SegmentCorrupt, says: &[], ended: Ended::Spinning };
};

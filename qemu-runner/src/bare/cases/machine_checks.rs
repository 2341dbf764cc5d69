//! Machine checks from QEMU's monitor, while a stray write holds the purgatory in a jump to itself.

use handoff::{RegionKind, Verdict};

use crate::bare::case::{Arrangement, Case, Expect, rows};
use crate::bare::memory::{Memory, sha256};

/// What holds it: `jmp .`.
pub(super) const HOLD: &[u8] = b"\xeb\xfe";
/// The same if there are bytes to look at, and "none found" otherwise: `test %rsi, %rsi; jne 1f;
/// xor %eax, %eax; ret; 1: jmp 1b`.
const HOLD_UNLESS_EMPTY: &[u8] = b"\x48\x85\xf6\x75\x03\x31\xc0\xc3\xeb\xfe";
/// What the CPU has noted, as [`crate::machine::monitor::Monitor::inject_machine_check`] has it
/// noted.
const BANK: &str = "bank 9 status 0xbd80000000000134 address 0x12345000";
const VERDICT: &str = "verdict 0x41 machine-check";

fn machine_check(arrangement: &mut Arrangement) {
    arrangement.machine_check = true;
}

/// Overwrites a function, and makes digest and seal right again.
pub(super) fn unnoticed_instead_of(memory: &mut Memory, function: &str, code: &[u8]) {
    memory.overwrite(function, code);
    reseal_purgatory(memory);
}

/// Makes digest and seal fit the purgatory's code: it is one leaf, and its region comes first.
pub(super) fn reseal_purgatory(memory: &mut Memory) {
    let digest = sha256(memory.region(RegionKind::Purgatory));
    memory.leaf(0).copy_from_slice(&digest);
    memory.reseal();
}

const fn reset(says: &'static [&'static str]) -> Expect {
    Expect::reset(Verdict::MachineCheck, says)
}

pub const CASES: &[Case] = rows! {
    "machine-check-early": "a machine check is raised before anything is verified",
        machine_check,
        |memory| {
            memory.overwrite("received7receive", HOLD);
            // What no digest covers: it must not be taken for what is being read.
            let reading = memory.symbol("READING");
            memory.at(reading, 3 * size_of::<u64>()).fill(1);
        },
        reset(&[
            "exception 18 error 0x0 at rip {@received7receive} (purgatory+{#received7receive}) ",
            BANK,
            VERDICT,
        ]);
    "machine-check-leaf-table": "a machine check is raised while the seal is verified",
        machine_check, |memory| memory.overwrite("6Sha2566update", HOLD),
        reset(&["exception 18 ", "was verifying leaf-table at 0x", BANK, VERDICT]);
    "machine-check-leaves": "a machine check is raised while three leaves are verified at once",
        machine_check, |memory| memory.overwrite("sha256_three_streams", HOLD),
        reset(&[
            "exception 18 error 0x0 at rip {@sha256_three_streams} ",
            "was verifying purgatory at {purgatory}-",
            "was verifying kernel at {kernel}-",
            "was verifying initrd at {initrd}-{initrd+ffff}",
            BANK,
            VERDICT,
        ]);
    "machine-check-zero-tail": "a machine check is raised while a zero tail is verified",
        machine_check, |memory| unnoticed_instead_of(memory, "first_nonzero", HOLD_UNLESS_EMPTY),
        reset(&["verifying ", "exception 18 ", "was verifying kernel at 0x", BANK, VERDICT]);
    "machine-check-elfcorehdr": "a machine check is raised while the elfcorehdr is looked at",
        machine_check, |memory| unnoticed_instead_of(memory, "10elfcorehdr4mend", HOLD),
        reset(&["verifying ", "exception 18 ", "was verifying elfcorehdr at 0x", BANK, VERDICT]);
    "machine-check-twice":
        "a machine check is raised while an exception is reported: it resets in silence, at once",
        |arrangement| {
            machine_check(arrangement);
            arrangement.reset_delay_ms = 0;
        },
        |memory| {
            memory.overwrite("received7receive", b"\x0f\x0b");
            memory.overwrite("stop9exception", HOLD);
        },
        Expect::triple_fault(Verdict::MachineCheck);
};

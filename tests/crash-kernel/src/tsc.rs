//! `[5]` The time-stamp counter's frequency, measured against the PIT, whose frequency is that of
//! the PC.

use spin::Once;
use x86_64::instructions::port::Port;

/// The PIT's frequency in Hz: a third of the NTSC color carrier (Intel 8254 data sheet;
/// PIT_TICK_RATE, include/linux/timex.h).
const PIT_HZ: u64 = 1_193_182;
/// Length of a measurement: 10 ms.
const PIT_TICKS: u16 = (PIT_HZ / 100) as u16;
/// The wanted precision: an uncertainty of at most one part in this many.
const PRECISION: u64 = 1000;
/// Maximum number of measurements.
const TRIES: u32 = 20;
/// Data port of the PIT's channel 2, which drives the speaker.
const PIT_CHANNEL_2: u16 = 0x42;
/// The PIT's command port.
const PIT_COMMAND: u16 = 0x43;
/// Channel 2, low byte then high byte, mode 0: output goes high when the count is done.
const CHANNEL_2_ONE_SHOT: u8 = 0xb0;
/// System control port B: gate of channel 2 in bit 0, speaker in bit 1, output of channel 2 in bit
/// 5.
const SYSTEM_CONTROL_B: u16 = 0x61;
const GATE_2: u8 = 1 << 0;
const SPEAKER: u8 = 1 << 1;
const OUTPUT_2: u8 = 1 << 5;

pub fn now() -> u64 {
    // SAFETY: RDTSC exists on every x86-64 CPU, and only reads.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Ticks per millisecond: measured at the first call.
pub fn khz() -> u64 {
    static KHZ: Once<u64> = Once::new();
    *KHZ.call_once(|| best_of_tries().ticks * PIT_HZ / u64::from(PIT_TICKS) / 1000)
}

/// The ticks of the time-stamp counter while the PIT counts down.
struct Interval {
    ticks: u64,
    /// The part of it that accessing the PIT's ports took. It is large if the host scheduled
    /// something else meanwhile.
    uncertainty: u64,
}

/// The first interval that is precise enough, else the most precise.
fn best_of_tries() -> Interval {
    let mut best = measure();
    for _ in 1..TRIES {
        if best.uncertainty * PRECISION <= best.ticks {
            break;
        }
        let next = measure();
        if next.uncertainty < best.uncertainty {
            best = next;
        }
    }
    best
}

fn measure() -> Interval {
    let [low, high] = PIT_TICKS.to_le_bytes();
    // Opens the gate; the speaker stays off.
    write(SYSTEM_CONTROL_B, read_control() & !SPEAKER | GATE_2);
    write(PIT_COMMAND, CHANNEL_2_ONE_SHOT);
    write(PIT_CHANNEL_2, low);
    let before_start = now();
    // Counting begins with this byte.
    write(PIT_CHANNEL_2, high);
    let after_start = now();
    // The count ends after the last poll that did not see it, and before the first that did.
    let mut before_end = after_start;
    loop {
        let look = now();
        if read_control() & OUTPUT_2 != 0 {
            break;
        }
        before_end = look;
    }
    let after_end = now();
    let ticks = before_end.midpoint(after_end) - before_start.midpoint(after_start);
    Interval { ticks, uncertainty: (after_start - before_start) + (after_end - before_end) }
}

fn read_control() -> u8 {
    // SAFETY: reading port B changes nothing.
    unsafe { Port::new(SYSTEM_CONTROL_B).read() }
}

fn write(port: u16, value: u8) {
    // SAFETY: port B and the PIT do not affect memory, and only this file uses channel 2.
    unsafe { Port::new(port).write(value) };
}

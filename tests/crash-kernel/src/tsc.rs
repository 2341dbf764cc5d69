//! [4] The time-stamp counter's frequency, measured against the PIT, whose frequency is that of the PC.

use x86_64::instructions::port::Port;

/// The PIT's frequency in Hz: a third of the NTSC colour carrier (Intel 8254 data sheet; PIT_TICK_RATE, include/linux/timex.h).
const PIT_HZ: u64 = 1_193_182;
/// How long is measured: 1/20 s, the most that 16 bits of the PIT can count, nearly.
const PIT_TICKS: u16 = (PIT_HZ / 20) as u16;
/// Data port of the PIT's channel 2, which drives the speaker.
const PIT_CHANNEL_2: u16 = 0x42;
/// The PIT's command port.
const PIT_COMMAND: u16 = 0x43;
/// Channel 2, low byte then high byte, mode 0: output goes high when the count is done.
const CHANNEL_2_ONE_SHOT: u8 = 0xb0;
/// System control port B: gate of channel 2 in bit 0, speaker in bit 1, output of channel 2 in bit 5.
const SYSTEM_CONTROL_B: u16 = 0x61;
const GATE_2: u8 = 1 << 0;
const SPEAKER: u8 = 1 << 1;
const OUTPUT_2: u8 = 1 << 5;

/// Time now, in ticks.
pub fn now() -> u64 {
    // SAFETY: RDTSC exists on every x86-64 CPU, and reads only.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Ticks per millisecond.
pub fn khz() -> u64 {
    let (mut control, mut command) = (Port::<u8>::new(SYSTEM_CONTROL_B), Port::<u8>::new(PIT_COMMAND));
    let mut count = Port::<u8>::new(PIT_CHANNEL_2);
    let [low, high] = PIT_TICKS.to_le_bytes();
    // SAFETY: port B has no effect on memory; the gate is opened, the speaker stays off.
    let gates = unsafe { control.read() } & !SPEAKER | GATE_2;
    // SAFETY: as above.
    unsafe { control.write(gates) };
    // SAFETY: channel 2 is nobody's in this kernel.
    unsafe { command.write(CHANNEL_2_ONE_SHOT) };
    // SAFETY: as above.
    unsafe { count.write(low) };
    // SAFETY: as above; counting begins with this byte.
    unsafe { count.write(high) };
    let start = now();
    // SAFETY: reading port B changes nothing.
    while unsafe { control.read() } & OUTPUT_2 == 0 {
        core::hint::spin_loop();
    }
    (now() - start) * PIT_HZ / u64::from(PIT_TICKS) / 1000
}

//! `[1]` Facts about this machine that no file shows: CPUID, and the frequency of the time-stamp
//! counter. Reading the counter is unsafe, so it is here and not in [`machine`](crate::machine).

use std::arch::x86_64::{__cpuid, CpuidResult};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Cpuid, Measured};

/// The time between the two readings of the time-stamp counter.
const TSC_WINDOW: Duration = Duration::from_millis(20);
/// How often clock and counter are read at each end of it. The reading that took least time counts,
/// because nothing interrupted it.
const TSC_READINGS: usize = 16;

/// Mask from a CPUID leaf to the first leaf of its range.
const CPUID_RANGE: u32 = 0xffff_0000;

/// Measures the facts that no file of a live machine holds. It takes about 20 ms.
pub fn measure() -> Measured {
    Measured { tsc_khz: measure_tsc_khz(), cpuid: cpuid() }
}

/// Asks CPUID. In a confidential guest where CPUID faults, the kernel emulates it.
pub fn cpuid() -> Cpuid {
    Cpuid::ask(|leaf| {
        // The first leaf of a range returns the last one (SDM vol. 2A, "CPUID"; AMD APM vol. 3,
        // "CPUID").
        let range = leaf & CPUID_RANGE;
        let CpuidResult { eax, ebx, ecx, edx } =
            if __cpuid(range).eax >= leaf { __cpuid(leaf) } else { return None };
        Some([eax, ebx, ecx, edx])
    })
}

/// The frequency of the time-stamp counter in kHz, measured against the monotonic clock.
fn measure_tsc_khz() -> u32 {
    let start = Instant::now();
    let reading = || Reading { before: start.elapsed(), ticks: ticks(), after: start.elapsed() };
    let begin = least_interrupted([(); TSC_READINGS].map(|()| reading()));
    thread::sleep(TSC_WINDOW);
    khz(&begin, &least_interrupted([(); TSC_READINGS].map(|()| reading())))
}

/// One reading of the counter, and the clock just before and just after it.
#[derive(Clone, Copy)]
struct Reading {
    before: Duration,
    ticks: u64,
    after: Duration,
}

/// The reading that took least time. A busy machine may run another task between counter and clock,
/// for longer than [`TSC_WINDOW`]. A frequency from such a reading would be far off, and so would
/// the purgatory's delays.
fn least_interrupted(readings: [Reading; TSC_READINGS]) -> Reading {
    readings
        .into_iter()
        .min_by_key(|reading| reading.after.saturating_sub(reading.before))
        .expect("there is more than one reading")
}

fn khz(begin: &Reading, end: &Reading) -> u32 {
    let ticks = u128::from(end.ticks.wrapping_sub(begin.ticks));
    let elapsed = end.after.saturating_sub(begin.after).as_nanos().max(1);
    u32::try_from(ticks * 1_000_000 / elapsed).unwrap_or(u32::MAX)
}

fn ticks() -> u64 {
    // SAFETY: RDTSC must exist, as on every x86-64 CPU, and be permitted in user mode. Linux
    // permits it unless the process asks for PR_TSC_SIGSEGV, which this program never does.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests;

//! [1] What no file says of this machine: what CPUID answers, and how fast the time-stamp counter
//! runs. Reading the counter is unsafe, so it is here and not in [`machine`](crate::machine).

use std::arch::x86_64::{__cpuid, CpuidResult};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Cpuid, Measured};

/// How long the time-stamp counter is watched.
const TSC_WINDOW: Duration = Duration::from_millis(20);
/// How often clock and counter are read at either end of it. The pair counts that nothing has interrupted.
const TSC_LOOKS: usize = 16;

/// CPUID: the bits that a leaf shares with the first leaf of its range.
const CPUID_RANGE: u32 = 0xffff_0000;

/// What no file says of this machine.
pub fn measure() -> Measured {
    Measured { tsc_khz: measure_tsc_khz(), cpuid: cpuid() }
}

/// What CPUID says here; in a confidential guest the kernel answers, if the hypervisor does not let the CPU.
pub fn cpuid() -> Cpuid {
    Cpuid::ask(|leaf| {
        // The first leaf of a range names its last (SDM vol. 2A, "CPUID"; AMD APM vol. 3, "CPUID").
        let range = leaf & CPUID_RANGE;
        let CpuidResult { eax, ebx, ecx, edx } = if __cpuid(range).eax >= leaf { __cpuid(leaf) } else { return None };
        Some([eax, ebx, ecx, edx])
    })
}

/// The frequency of the time-stamp counter in kHz, measured against the monotonic clock.
fn measure_tsc_khz() -> u32 {
    let start = Instant::now();
    let look = || Look { before: start.elapsed(), ticks: ticks(), after: start.elapsed() };
    let begin = steadiest([(); TSC_LOOKS].map(|()| look()));
    thread::sleep(TSC_WINDOW);
    khz(&begin, &steadiest([(); TSC_LOOKS].map(|()| look())))
}

/// The counter, and the clock just before and just after it was read.
#[derive(Clone, Copy)]
struct Look {
    before: Duration,
    ticks: u64,
    after: Duration,
}

/// The look whose readings of the clock are nearest to each other. A busy machine may run something else between two readings, for longer
/// than [`TSC_WINDOW`]. A frequency from such a look would be far off, and the purgatory counts its delay by it.
fn steadiest(looks: [Look; TSC_LOOKS]) -> Look {
    looks.into_iter().min_by_key(|look| look.after.saturating_sub(look.before)).expect("there is more than one look")
}

fn khz(begin: &Look, end: &Look) -> u32 {
    let ticks = u128::from(end.ticks.wrapping_sub(begin.ticks));
    let elapsed = end.after.saturating_sub(begin.after).as_nanos().max(1);
    u32::try_from(ticks * 1_000_000 / elapsed).unwrap_or(u32::MAX)
}

fn ticks() -> u64 {
    // SAFETY: RDTSC needs a CPU that has it, which every x86-64 CPU does, and CR4.TSD clear, as Linux leaves it unless the process
    // asks for PR_TSC_SIGSEGV; this one never does.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests;

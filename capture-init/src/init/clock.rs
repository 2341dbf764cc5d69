//! Clocks of the capture kernel.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the kernel started.
pub fn since_boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Seconds since 1970. The kernel reads the machine's clock when it starts.
pub fn now() -> u64 {
    clock_gettime(ClockId::Realtime).tv_sec.max(0) as u64
}

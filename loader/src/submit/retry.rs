//! `[13a]` Repeats a system call while another task holds the kernel's kexec lock.
//!
//! *On entry* a system call. *On exit* it succeeded, the kernel rejected it, or the lock was held
//! for too long.

use std::thread;
use std::time::{Duration, Instant};

/// How long EBUSY is retried: readers of sysfs hold the lock for microseconds, a hotplug event for
/// milliseconds, another load for about a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// First pause between two attempts. It doubles each time, because `kexec_load_limit_panic` counts
/// every attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The kernel's kexec lock was held for too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the kernel's kexec lock was held for {} s and {tries} attempts (EBUSY), by another loader or \
     by a stuck hotplug event: look for other kexec processes and for \"crash hp\" in dmesg, then \
     try again",
    waited.as_secs_f32().round()
)]
pub struct Busy {
    /// How long the call was repeated.
    pub waited: Duration,
    /// How often the call was made.
    pub tries: u32,
}

/// Why a call did not succeed.
pub(super) enum Failure {
    Errno(i32),
    Busy(Busy),
}

/// The kernel and the clock, which tests replace.
pub(super) trait System {
    /// One system call with these flags; the error is an errno.
    fn call(&mut self, flags: u64) -> Result<(), i32>;
    /// A monotonic clock.
    fn now(&mut self) -> Duration;
    /// Waits.
    fn pause(&mut self, length: Duration);
}

/// The running kernel, by one of its system calls.
pub(super) struct Linux<C> {
    call: C,
    start: Instant,
}

impl<C: FnMut(u64) -> Result<(), i32>> Linux<C> {
    pub(super) fn new(call: C) -> Self {
        Self { call, start: Instant::now() }
    }
}

impl<C: FnMut(u64) -> Result<(), i32>> System for Linux<C> {
    fn call(&mut self, flags: u64) -> Result<(), i32> {
        (self.call)(flags)
    }

    fn now(&mut self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&mut self, length: Duration) {
        thread::sleep(length);
    }
}

/// The result of a system call from its return value. The error is an errno.
pub(super) fn outcome(returned: libc::c_long) -> Result<(), i32> {
    if returned == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

/// Makes the call with these flags until it succeeds, fails, or was busy for [`PATIENCE`].
pub(super) fn patiently(system: &mut impl System, flags: u64) -> Result<(), Failure> {
    let begin = system.now();
    let mut pause = FIRST_PAUSE;
    for tries in 1.. {
        match system.call(flags) {
            Ok(()) => return Ok(()),
            Err(libc::EBUSY) => {}
            Err(errno) => return Err(Failure::Errno(errno)),
        }
        let waited = system.now().saturating_sub(begin);
        if waited >= PATIENCE {
            return Err(Failure::Busy(Busy { waited, tries }));
        }
        system.pause(pause.min(PATIENCE - waited));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    unreachable!("the clock passes PATIENCE before 2^31 tries")
}

#[cfg(test)]
pub(super) mod script;
#[cfg(test)]
mod tests;

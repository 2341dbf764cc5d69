//! What happens beside the steps, in a thread: memory is watched, running watchdogs are fed, and
//! the deadline ends the capture, whatever hangs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use capture_init::Memory;

use crate::clock;
use crate::console::Console;
use crate::end;
use crate::memory::Lowest;
use crate::watchdog::Watchdogs;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A watchdog is fed once a second: some allow only two seconds between meals.
const LOOKS_PER_MEAL: u32 = 4;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// The thread, from the outside.
#[derive(Debug)]
pub struct Guard {
    memory: Arc<Lowest>,
    /// Milliseconds since the kernel started.
    deadline: Arc<AtomicU64>,
}

impl Guard {
    /// Starts the thread. If there is none, the capture goes on without.
    pub fn start(root: &Path, console: &Console) -> Self {
        let guard =
            Self { memory: Arc::new(Lowest::new(root)), deadline: Arc::new(AtomicU64::new(NEVER)) };
        let (memory, deadline) = (guard.memory.clone(), guard.deadline.clone());
        let (mut watchdogs, of_thread) = (Watchdogs::new(root, console), console.clone());
        let started = thread::Builder::new().spawn(move || {
            for look in 0_u32.. {
                memory.look();
                if look.is_multiple_of(LOOKS_PER_MEAL) {
                    watchdogs.look();
                }
                if clock::since_boot_ms() >= deadline.load(Ordering::Relaxed) {
                    of_thread.warn("the capture's time is over; what was written so far stays");
                    end::reset(&of_thread);
                }
                thread::sleep(LOOK_EVERY);
            }
        });
        if let Err(error) = started {
            console.warn(&format!(
                "cannot start a thread: {error}; continuing without a deadline and a watchdog"
            ));
        }
        guard
    }

    /// The capture ends at this time, in milliseconds since the kernel started.
    pub fn end_at(&self, deadline_ms: u64) {
        self.deadline.store(deadline_ms, Ordering::Relaxed);
    }

    /// Memory so far.
    pub fn memory(&self) -> Memory {
        self.memory.look();
        self.memory.seen()
    }
}

//! What happens beside the steps, in a thread: memory is watched, watchdogs that were running are
//! fed until the reset, and the deadline ends the capture, whatever hangs.

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
use crate::watchdog::{Named, Watchdogs};

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
    watchdogs: Named,
}

impl Guard {
    /// Starts the thread. If there is none, the capture goes on without.
    pub fn start(root: &Path, console: &Console) -> Self {
        let guard = Self {
            memory: Arc::new(Lowest::new(root)),
            deadline: Arc::new(AtomicU64::new(NEVER)),
            watchdogs: Named::default(),
        };
        let (memory, deadline) = (guard.memory.clone(), guard.deadline.clone());
        let mut watchdogs = Watchdogs::new(root, console, guard.watchdogs.clone());
        let of_thread = console.clone();
        let started = thread::Builder::new().spawn(move || {
            for look in 0_u32.. {
                memory.look();
                if look.is_multiple_of(LOOKS_PER_MEAL) {
                    watchdogs.look();
                }
                if clock::since_boot_ms() >= deadline.load(Ordering::Relaxed) {
                    deadline.store(NEVER, Ordering::Relaxed);
                    time_is_over(&of_thread);
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

    /// These watchdogs were running when the image was armed.
    pub fn feed(&self, watchdogs: &[String]) {
        // There is one task.
        let _ = self.watchdogs.set(watchdogs.to_vec());
    }

    /// Memory so far.
    pub fn memory(&self) -> Memory {
        self.memory.look();
        self.memory.seen()
    }
}

/// Resets the machine, in another thread: a disk may delay it, and watchdogs are fed meanwhile.
fn time_is_over(console: &Console) {
    console.warn("the capture's time is over; what was written so far stays");
    let of_thread = console.clone();
    if thread::Builder::new().spawn(move || end::reset(&of_thread)).is_err() {
        end::reset(console);
    }
}

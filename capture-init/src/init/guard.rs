//! What happens beside the steps, in a thread: memory is watched, watchdogs that were running are
//! fed until the reset, and the capture ends when its time is over or when nothing moves any more.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use capture_init::Memory;

use crate::console::Console;
use crate::memory::Lowest;
use crate::watchdog::{Named, Watchdogs};
use crate::{alive, child, clock, end};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A watchdog is fed once a second: some allow only two seconds between meals.
const LOOKS_PER_MEAL: u32 = 4;
/// No deadline.
const NEVER: u64 = u64::MAX;
/// How long nothing may move. SCSI alone gives a disk some minutes, with its retries and resets.
const LONGEST_SILENCE_MS: u64 = 600_000;
/// Another limit, in seconds; 0: none. The kernel passes words of its command line that it does not know to
/// /init, as variables.
const SILENCE_VARIABLE: &str = "capture_silence";

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
        let (of_thread, of_root, limits) = (console.clone(), root.to_owned(), Limits::of(root));
        let started = thread::Builder::new().spawn(move || {
            for look in 0_u32.. {
                memory.look();
                child::end_half_dead(&of_root);
                // A reset that hangs is the watchdogs' as well.
                if look.is_multiple_of(LOOKS_PER_MEAL) && !end::is_overdue() {
                    watchdogs.look();
                }
                if !end::has_begun()
                    && let Some(why) = limits.why_end(deadline.load(Ordering::Relaxed))
                {
                    reset(&why, &of_thread);
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

/// What must be true as long as the capture goes on.
struct Limits {
    /// The state of /init's main thread (proc_pid_stat(5)).
    stat: PathBuf,
    silence_ms: u64,
}

impl Limits {
    fn of(root: &Path) -> Self {
        let seconds = env::var(SILENCE_VARIABLE).ok().and_then(|text| text.parse::<u64>().ok());
        let silence_ms = match seconds {
            None => LONGEST_SILENCE_MS,
            Some(0) => NEVER,
            Some(seconds) => seconds.saturating_mul(1000),
        };
        Self { stat: root.join("proc/self/stat"), silence_ms }
    }

    /// Why the capture must end now, if it must.
    fn why_end(&self, deadline_ms: u64) -> Option<String> {
        let (what, sign_ms) = alive::last();
        let now_ms = clock::since_boot_ms();
        if now_ms >= deadline_ms {
            return Some("the capture's time is over".to_owned());
        }
        if alive::is_gone(&self.stat) {
            return Some(format!("/init's main thread has died {what}, as it does of an oops"));
        }
        let is_silent = now_ms.saturating_sub(sign_ms) >= self.silence_ms;
        let seconds = self.silence_ms / 1000;
        is_silent.then(|| format!("nothing has moved for {seconds} s {what}"))
    }
}

/// Resets the machine, in another thread: a disk may delay it, and watchdogs are fed meanwhile.
fn reset(why: &str, console: &Console) {
    end::begin();
    console.warn(&format!("{why}; what was written so far stays"));
    let of_thread = console.clone();
    if thread::Builder::new().spawn(move || end::reset(&of_thread)).is_err() {
        end::reset(console);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn limits(root: &Path, state: char, silence_ms: u64) -> Limits {
        let stat = root.join("stat");
        fs::write(&stat, format!("1 (init (x) R) {state} 0 1 1")).unwrap();
        Limits { stat, silence_ms }
    }

    #[test]
    fn capture_ends_when_its_main_thread_is_gone_or_nothing_moves() {
        let root = tempfile::tempdir().unwrap();
        alive::begin("while loading a module");
        let why = |state, silence_ms| limits(root.path(), state, silence_ms).why_end(NEVER);
        for state in ['R', 'S', 'D'] {
            assert_eq!(why(state, LONGEST_SILENCE_MS), None, "{state}");
        }
        let died = "/init's main thread has died while loading a module, as it does of an oops";
        assert_eq!(why('Z', LONGEST_SILENCE_MS).as_deref(), Some(died));
        let silent = "nothing has moved for 0 s while loading a module";
        assert_eq!(why('D', 0).as_deref(), Some(silent));
    }

    #[test]
    fn deadline_ends_a_capture_that_moves() {
        let root = tempfile::tempdir().unwrap();
        let why = limits(root.path(), 'R', u64::MAX).why_end(0);
        assert_eq!(why.as_deref(), Some("the capture's time is over"));
    }
}

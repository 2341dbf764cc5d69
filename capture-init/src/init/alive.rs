//! `[0]` Signs of life: /init gives one at each step and module, and a step's process gives one
//! while the dump grows.
//!
//! *On entry* a step, wherever it is. *On exit* the guard knows what it is, and since when nothing
//! has moved. The signs of a process are blanks on its standard output, before its result.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock;

/// When the last sign was given, in milliseconds since the kernel started.
static LAST_MS: AtomicU64 = AtomicU64::new(0);
/// What /init does now, in words.
static NOW: Mutex<String> = Mutex::new(String::new());
/// Whether this process is a step's.
static IS_STEP: AtomicBool = AtomicBool::new(false);
/// A step's process gives no more than one sign in this time.
const SIGN_EVERY_MS: u64 = 1000;
/// What JSON may begin with.
const SIGN: &[u8] = b"\n";

/// /init begins with this.
pub fn begin(what: impl fmt::Display) {
    // No holder panics.
    if let Ok(mut now) = NOW.lock() {
        *now = what.to_string();
    }
    sign();
}

/// From now on, signs go to /init.
pub fn is_step() {
    IS_STEP.store(true, Ordering::Relaxed);
}

/// Something moved.
pub fn sign() {
    let now = clock::since_boot_ms();
    if !IS_STEP.load(Ordering::Relaxed) {
        LAST_MS.store(now, Ordering::Relaxed);
    } else if now.saturating_sub(LAST_MS.load(Ordering::Relaxed)) >= SIGN_EVERY_MS {
        LAST_MS.store(now, Ordering::Relaxed);
        // Without /init, no process reads it.
        let _ = io::stdout().write_all(SIGN).and_then(|()| io::stdout().flush());
    }
}

/// Whether a process has lost its first thread, by its state in `/proc/PID/stat` (proc_pid_stat(5)).
/// An oops ends one thread only. /init's other thread keeps the kernel from a panic.
pub fn is_gone(stat: &Path) -> bool {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    // The name before it may have any characters.
    let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
    matches!(state, Some('Z' | 'X'))
}

/// What /init does now, and since when there was no sign, in milliseconds since the kernel started.
pub fn last() -> (String, u64) {
    let what = NOW.lock().map(|now| now.clone()).unwrap_or_default();
    (what, LAST_MS.load(Ordering::Relaxed))
}

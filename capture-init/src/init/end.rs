//! `[9]` The end: the machine is reset, whatever happened.
//!
//! *On entry* anything. There is no exit. A disk that hangs delays the reset by [`MOST_SYNC`], and
//! a driver that does not stop its device by [`MOST_RESET`].

use std::fs;
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};
use rustix::system::{RebootCommand, reboot};

use crate::clock;
use crate::console::Console;
use crate::filesystem::MOUNTED;

/// How long written data may take to reach the disk.
const MOST_SYNC: Duration = Duration::from_secs(20);
/// How long drivers may take to stop their devices.
const MOST_RESET: Duration = Duration::from_secs(10);
/// Resets at once, without drivers (Documentation/admin-guide/sysrq.rst).
const SYSRQ: &str = "/proc/sysrq-trigger";
const SYSRQ_RESET: &str = "b";
/// The only process that may reset the machine.
const INIT: u32 = 1;

/// How long the end may take. After that, watchdogs are no longer fed, so that they end it.
const MOST_MS: u64 = 60_000;
/// When the end began, in milliseconds since the kernel started; 0: not yet.
static BEGAN_MS: AtomicU64 = AtomicU64::new(0);

/// The end begins, if it has not begun.
pub fn begin() {
    // Another thread may have been earlier.
    let now = clock::since_boot_ms().max(1);
    let _ = BEGAN_MS.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
}

/// Whether the end has begun.
pub fn has_begun() -> bool {
    BEGAN_MS.load(Ordering::Relaxed) != 0
}

/// Whether the reset should have happened.
pub fn is_overdue() -> bool {
    has_begun() && clock::since_boot_ms() >= BEGAN_MS.load(Ordering::Relaxed) + MOST_MS
}

/// Resets the machine, after written data has reached the disk. A process that is not /init ends
/// instead.
pub fn reset(console: &Console) -> ! {
    if std::process::id() != INIT {
        std::process::exit(1);
    }
    begin();
    let (done, is_done) = mpsc::channel();
    let synced = thread::Builder::new().spawn(move || {
        // If nothing is mounted, nothing is lost. Another disk may hang, for which sync(2) waits.
        let _ = unmount(MOUNTED, UnmountFlags::empty());
        rustix::fs::sync();
        // The receiver is gone if it no longer waits.
        let _ = done.send(());
    });
    if synced.is_err() {
        rustix::fs::sync();
    } else if is_done.recv_timeout(MOST_SYNC).is_err() {
        let seconds = MOST_SYNC.as_secs();
        console.warn(&format!("the disk still does not answer after {seconds} s; resetting now"));
    }
    console.say("resetting the machine");
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(MOST_RESET);
        fs::write(SYSRQ, SYSRQ_RESET)
    });
    let error = reboot(RebootCommand::Restart);
    console.warn(&format!("the kernel refuses to reset the machine: {error:?}; forcing it"));
    loop {
        // If this fails, too, the kernel panics when /init ends, and `panic=` resets the machine.
        if fs::write(SYSRQ, SYSRQ_RESET).is_err() {
            std::process::exit(1);
        }
    }
}

/// From now on, a panic is reported. In /init, it ends in a reset; in another process, it ends that
/// process.
pub fn on_panic(console: Console) {
    panic::set_hook(Box::new(move |panic| {
        console.warn(&format!("/init has a defect: {panic}; please report it"));
        reset(&console);
    }));
}

//! Locks on files below /run: of two processes that arm or reload, one waits.
//!
//! *On entry* the lock's file. *On exit* this process holds the lock, or an error says how long it
//! has waited.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Error, failed, state};

pub(super) const LOCK: &str = "run/kdump-loader/lock";

/// How long another kdump-loader may take. It may wait for the kernel's lock ([`loader::submit`])
/// more than once.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(100);

/// A lock that this process holds. Dropping it, or the end of the process, releases it.
#[derive(Debug)]
pub struct HeldLock {
    _locked: File,
}

/// Takes the lock of arming and recording, or fails after `patience`. Of two loads at once, the
/// image that is armed last must also be the one that is recorded last. `says` is called before the
/// first pause.
pub fn wait_for_arming_lock(
    root: &Path,
    patience: Duration,
    says: impl FnOnce(),
) -> Result<HeldLock, Error> {
    wait_for_lock(root.join(LOCK), patience, says)
}

/// The same for another lock file. Only root can open it, because a user who held it could prevent
/// every reload.
pub fn wait_for_lock(
    path: PathBuf,
    patience: Duration,
    says: impl FnOnce(),
) -> Result<HeldLock, Error> {
    let file = state::create(&path)?;
    wait_for_file_lock(file, path, patience, says)
}

/// The same for a file or directory that is open already.
pub fn wait_for_file_lock(
    file: File,
    path: PathBuf,
    patience: Duration,
    says: impl FnOnce(),
) -> Result<HeldLock, Error> {
    let begin = Instant::now();
    let mut says = Some(says);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(HeldLock { _locked: file }),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
            Err(TryLockError::WouldBlock) if begin.elapsed() >= patience => {
                return Err(Error::Busy { path, waited: patience });
            }
            Err(TryLockError::WouldBlock) => {
                says.take().into_iter().for_each(|says| says());
                thread::sleep(PAUSE.min(patience));
            }
        }
    }
}

/// Whether a process holds the lock.
pub fn is_locked(path: &Path) -> bool {
    state::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

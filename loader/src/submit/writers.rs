//! Whether a file is open for writing. No look at a file's times can tell that of a writer that has
//! paused.

use std::fs::File;
use std::os::fd::AsRawFd;

/// include/uapi/linux/fcntl.h and include/uapi/asm-generic/fcntl.h.
const F_SETSIG: libc::c_int = 10;
const F_SETLEASE: libc::c_int = 1024;

/// Whether any process has the file open for writing; `None` where that cannot be found out.
///
/// The kernel grants a read lease only on a file that is not (`generic_add_lease`, fs/locks.c), and
/// only to its owner or with CAP_LEASE. The lease is returned at once. A process that opens the
/// file in between waits that long.
pub fn any(file: &File) -> Option<bool> {
    // If the lease is broken meanwhile, the kernel says so by a signal. SIGIO would end this
    // process; SIGURG is ignored.
    let granted = fcntl(file, F_SETSIG, libc::SIGURG).and_then(|()| fcntl(file, F_SETLEASE, libc::F_RDLCK));
    match granted {
        Ok(()) => fcntl(file, F_SETLEASE, libc::F_UNLCK).ok().map(|()| false),
        Err(libc::EAGAIN) => Some(true),
        Err(_) => None,
    }
}

/// Of the commands whose argument is an integer. The error is an errno.
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> Result<(), i32> {
    // SAFETY: with such a command, fcntl(2) touches no memory of this process; `file` keeps the
    // descriptor open.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_is_seen_as_long_as_it_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        // A file system without leases says neither.
        if any(&reader).is_none() {
            return;
        }
        assert_eq!(any(&reader), Some(true));
        drop(writer);
        // A test in another thread that starts a program shares this descriptor with it until that
        // program runs.
        let mut looks = std::iter::repeat_with(|| any(&reader)).inspect(|_| std::thread::yield_now());
        assert!(looks.by_ref().take(1_000_000).any(|found| found == Some(false)), "no writer is left");
        assert!(looks.take(1_000_000).any(|found| found == Some(false)), "the lease was returned");
    }
}

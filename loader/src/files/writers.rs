//! `[0a]` Whether a process has a file open for writing. The file's times do not show a writer that
//! has paused.
//!
//! *On entry* an open file. *On exit* the answer, or `None` if the file system cannot tell.

use std::fs::File;
use std::os::fd::AsRawFd;

/// include/uapi/linux/fcntl.h and include/uapi/asm-generic/fcntl.h.
const F_SETSIG: libc::c_int = 10;
const F_SETLEASE: libc::c_int = 1024;

/// Local file systems that use `generic_setlease`, by their magic numbers
/// (include/uapi/linux/magic.h). Only there does EAGAIN mean that a process has the file open for
/// writing. An NFS client also returns it without a delegation (`nfs4_add_lease`,
/// fs/nfs/nfs4proc.c), and a CIFS client without an oplock (`cifs_setlease`,
/// fs/smb/client/cifsfs.c). On overlayfs the lease is on the overlay's own inode, whatever file
/// system is below.
const EXT_SUPER_MAGIC: i64 = 0xef53; // ext2, ext3 and ext4
const XFS_SUPER_MAGIC: i64 = 0x5846_5342;
const BTRFS_SUPER_MAGIC: i64 = 0x9123_683e;
const F2FS_SUPER_MAGIC: i64 = 0xf2f5_2010;
const MSDOS_SUPER_MAGIC: i64 = 0x4d44; // vfat as well
const EXFAT_SUPER_MAGIC: i64 = 0x2011_bab0;
const TMPFS_MAGIC: i64 = 0x0102_1994;
const OVERLAYFS_SUPER_MAGIC: i64 = 0x794c_7630;
const LOCAL: [i64; 8] = [
    EXT_SUPER_MAGIC,
    XFS_SUPER_MAGIC,
    BTRFS_SUPER_MAGIC,
    F2FS_SUPER_MAGIC,
    MSDOS_SUPER_MAGIC,
    EXFAT_SUPER_MAGIC,
    TMPFS_MAGIC,
    OVERLAYFS_SUPER_MAGIC,
];

/// Whether any process has the file open for writing; `None` if that cannot be determined, as on a
/// network file system.
///
/// The kernel grants a read lease only if no process has the file open for writing
/// (`generic_add_lease`, fs/locks.c), and only to the file's owner or with CAP_LEASE. The lease is
/// released at once. A process that opens the file for writing in between waits for the release.
pub fn any(file: &File) -> Option<bool> {
    // If another process breaks the lease before its release, the kernel sends a signal. The
    // default, SIGIO, would end this process; SIGURG is ignored.
    let granted =
        fcntl(file, F_SETSIG, libc::SIGURG).and_then(|()| fcntl(file, F_SETLEASE, libc::F_RDLCK));
    match granted {
        Ok(()) => fcntl(file, F_SETLEASE, libc::F_UNLCK).ok().map(|()| false),
        Err(errno) => {
            refusal_means(errno, rustix::fs::fstatfs(file).ok().map(|found| found.f_type))
        }
    }
}

/// The meaning of a refused lease on the file system with this magic number.
fn refusal_means(errno: i32, magic: Option<i64>) -> Option<bool> {
    (errno == libc::EAGAIN && magic.is_some_and(|magic| LOCAL.contains(&magic))).then_some(true)
}

/// fcntl(2), for commands whose argument is an integer. The error is an errno.
fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> Result<(), i32> {
    // SAFETY: fcntl(2) requires a pointer only for commands with a pointer argument. All
    // callers pass F_SETSIG or F_SETLEASE, whose argument is an integer, so no memory of this
    // process is accessed.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if result == -1 {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_is_noticed_while_it_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        // A file system without leases, or on another machine, cannot tell.
        if any(&reader).is_none() {
            return;
        }
        assert_eq!(any(&reader), Some(true));
        drop(writer);
        // A test in another thread that starts a program shares this descriptor with it until that
        // program runs.
        let mut looks =
            std::iter::repeat_with(|| any(&reader)).inspect(|_| std::thread::yield_now());
        assert!(
            looks.by_ref().take(1_000_000).any(|found| found == Some(false)),
            "no writer is left"
        );
        assert!(looks.take(1_000_000).any(|found| found == Some(false)), "the lease was returned");
    }
    #[test]
    fn refused_lease_on_a_network_file_system_does_not_mean_a_writer() {
        // NFS_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC and FUSE_SUPER_MAGIC of
        // linux/magic.h.
        for magic in [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546] {
            assert_eq!(refusal_means(libc::EAGAIN, Some(magic)), None, "{magic:#x}");
        }
        assert_eq!(refusal_means(libc::EAGAIN, None), None);
        for magic in LOCAL {
            assert_eq!(refusal_means(libc::EAGAIN, Some(magic)), Some(true), "{magic:#x}");
            assert_eq!(refusal_means(libc::EACCES, Some(magic)), None, "{magic:#x}");
        }
    }
}

//! [13b] kexec_file_load(2), where the kernel makes the image: the way under lockdown, with the kernel's own purgatory.
//!
//! *On entry* files that [`crate::submit::file_load`] has checked. *On exit* the image is armed, or an error says what the kernel refused; except
//! for the first four, the image armed before is gone then, too.

use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use super::keys::KEYS_DIRECTORY;
use super::{Failure, System, patiently};

/// include/uapi/linux/kexec.h.
const KEXEC_FILE_UNLOAD: u64 = 1;
const KEXEC_FILE_ON_CRASH: u64 = 2;
const KEXEC_FILE_NO_INITRAMFS: u64 = 4;

/// What stands for a file that there is none of.
const NO_FILE: RawFd = -1;

/// Why the kernel did not take the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// ENOSYS.
    #[error(
        "this kernel has no kexec_file_load (ENOSYS): it was built without CONFIG_KEXEC_FILE, or a sandbox filters the system call"
    )]
    NotImplemented,
    /// EPERM.
    #[error(
        "the kernel does not permit kexec_file_load (EPERM): where it is locked down (Secure Boot), the capture kernel must be signed with a key \
         that it trusts, and unchanged since (copy the file again); it also needs CAP_SYS_BOOT (be root), kernel.kexec_load_disabled=0 and \
         tries left in kernel.kexec_load_limit_panic"
    )]
    NotPermitted,
    /// EBUSY, for too long.
    #[error(
        "the kernel's kexec lock stayed taken for {} s and {tries} tries (EBUSY): another loader or a stuck hotplug event holds it; \
         look for other kexec processes and for \"crash hp\" in dmesg, then try again",
        waited.as_secs_f32().round()
    )]
    Busy {
        /// How long.
        waited: Duration,
        /// How often.
        tries: u32,
    },
    /// EINVAL.
    #[error(
        "the kernel finds the arguments of kexec_file_load invalid (EINVAL): flags {flags:#x}, a command line of {command_line} bytes; dmesg may \
         say more"
    )]
    Invalid {
        /// The flags.
        flags: u64,
        /// Bytes of the command line with its NUL.
        command_line: usize,
    },
    /// EACCES.
    #[error(
        "a security module forbids this capture kernel or initrd (EACCES): IMA appraises them here; sign them, or see the ima_policy of this \
         machine"
    )]
    Forbidden,
    /// ENODATA, ENOKEY, EKEYREJECTED, ENOPKG, EBADMSG, ELIBBAD: everything that a signature can be.
    #[error("the kernel does not trust the capture kernel's signature ({name}: {meaning}); {remedy}")]
    Signature {
        /// The error's name.
        name: &'static str,
        /// What it says of a signature.
        meaning: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// EKEYREVOKED, EKEYEXPIRED: said of keys for dm-crypt only.
    #[error(
        "a dm-crypt key that {KEYS_DIRECTORY} names is revoked or expired ({name}): open the volume again with its key linked \
         (link-volume-key= in crypttab), then try again"
    )]
    DmCryptKey {
        /// The error's name.
        name: &'static str,
    },
    /// ENOEXEC.
    #[error(
        "the kernel does not take the file for a kernel (ENOEXEC), although this loader does; dmesg may say what it lacks, and without \
         --file the loader parses it itself"
    )]
    Format,
    /// ENOMEM, EADDRNOTAVAIL.
    #[error("the kernel found no room for the image ({name}): boot it with a larger crashkernel=, or use a smaller initrd")]
    NoMemory {
        /// The error's name.
        name: &'static str,
    },
    /// ETXTBSY.
    #[error(
        "the capture kernel or the initrd is open for writing (ETXTBSY): wait until whoever writes it is done, then try again"
    )]
    BeingWritten,
    /// Anything else.
    #[error("kexec_file_load failed: {}", std::io::Error::from_raw_os_error(*errno))]
    Other {
        /// errno.
        errno: i32,
    },
}

/// Remedies for signatures.
const SIGNED: &str = "take a signed kernel of the distribution";
const ENROL: &str = "take a kernel of the distribution, or enrol the key that signed it (mokutil --import)";
const COPY: &str = "copy the file again, for it may have been changed after it was signed; if that does not help, take a newer kernel of the \
                    distribution";

/// What is to be armed.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The capture kernel.
    pub kernel: BorrowedFd<'a>,
    /// Its initial RAM disk.
    pub initrd: Option<BorrowedFd<'a>>,
    /// Its command line.
    pub command_line: &'a CStr,
}

impl Files<'_> {
    fn call(&self, flags: u64) -> Result<(), Error> {
        let flags = flags | if self.initrd.is_some() { 0 } else { KEXEC_FILE_NO_INITRAMFS };
        let initrd = self.initrd.map_or(NO_FILE, |initrd| initrd.as_raw_fd());
        let (kernel, command_line) = (self.kernel.as_raw_fd(), self.command_line);
        submit(&mut Linux { kernel, initrd, command_line, start: Instant::now() }, flags)
    }
}

/// Arms the files in place of whatever is armed now.
pub fn load(files: Files<'_>) -> Result<(), Error> {
    files.call(KEXEC_FILE_ON_CRASH)
}

/// Whether the kernel would take the files, asked without touching what is armed: it is given them as a kernel to reboot into, of which it
/// demands the same signature, and then told to forget that. Only where there is no such kernel, which would be lost
/// ([`crate::admit::preflight::may_rehearse`]).
pub fn rehearse(files: Files<'_>) -> Result<(), Error> {
    files.call(0)?;
    let mut linux = Linux { kernel: NO_FILE, initrd: NO_FILE, command_line: c"", start: Instant::now() };
    submit(&mut linux, KEXEC_FILE_UNLOAD)
}

/// Disarms whatever is armed. That is allowed under lockdown, too.
pub fn unload() -> Result<(), Error> {
    let mut linux = Linux { kernel: NO_FILE, initrd: NO_FILE, command_line: c"", start: Instant::now() };
    submit(&mut linux, KEXEC_FILE_ON_CRASH | KEXEC_FILE_UNLOAD)
}

/// A file that lies nowhere but in memory, for bytes that were taken out of another.
pub fn in_memory(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    // SAFETY: memfd_create(2) reads a string that ends in NUL, as every `CStr` does.
    let fd = unsafe { libc::memfd_create(c"kdump-loader".as_ptr(), libc::MFD_CLOEXEC) };
    if fd == -1 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows of it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)?;
    Ok(file.into())
}

fn submit(system: &mut impl FileSystem, flags: u64) -> Result<(), Error> {
    patiently(system, flags).map_err(|failure| explain(failure, flags, system.command_line_len()))
}

/// A [`System`] whose call has a command line.
trait FileSystem: System {
    fn command_line_len(&self) -> usize;
}

/// For tests elsewhere: what is made of an errno.
#[cfg(test)]
pub(crate) fn refusal(errno: i32) -> Error {
    explain(Failure::Errno(errno), 0, 0)
}

fn explain(failure: Failure, flags: u64, command_line: usize) -> Error {
    let errno = match failure {
        Failure::Busy { waited, tries } => return Error::Busy { waited, tries },
        Failure::Errno(errno) => errno,
    };
    let signature = |name, meaning, remedy| Error::Signature { name, meaning, remedy };
    match errno {
        libc::ENOSYS => Error::NotImplemented,
        libc::EPERM => Error::NotPermitted,
        libc::EINVAL => Error::Invalid { flags, command_line },
        libc::EACCES => Error::Forbidden,
        libc::ENODATA => signature("ENODATA", "it has none", SIGNED),
        // `key_task_permission` and below say so of keys for dm-crypt as well
        // ([`keys`](super::keys)), which are looked for before.
        libc::ENOKEY => signature("ENOKEY", "no key that could verify it is known", ENROL),
        libc::EKEYREJECTED => {
            signature("EKEYREJECTED", "it does not fit the file, or its key is revoked, expired or wrong", COPY)
        }
        libc::ENOPKG => signature("ENOPKG", "it needs an algorithm that this kernel lacks", SIGNED),
        libc::EBADMSG => signature("EBADMSG", "it is malformed", COPY),
        libc::ELIBBAD => signature("ELIBBAD", "the file is no well-formed PE file", COPY),
        libc::EKEYREVOKED => Error::DmCryptKey { name: "EKEYREVOKED" },
        libc::EKEYEXPIRED => Error::DmCryptKey { name: "EKEYEXPIRED" },
        libc::ENOEXEC => Error::Format,
        libc::ENOMEM => Error::NoMemory { name: "ENOMEM" },
        libc::EADDRNOTAVAIL => Error::NoMemory { name: "EADDRNOTAVAIL" },
        libc::ETXTBSY => Error::BeingWritten,
        errno => Error::Other { errno },
    }
}

/// The real kernel.
struct Linux<'a> {
    kernel: RawFd,
    initrd: RawFd,
    command_line: &'a CStr,
    start: Instant,
}

impl FileSystem for Linux<'_> {
    fn command_line_len(&self) -> usize {
        self.command_line.to_bytes_with_nul().len()
    }
}

impl System for Linux<'_> {
    fn call(&mut self, flags: u64) -> Result<(), i32> {
        let line = self.command_line.to_bytes_with_nul();
        // SAFETY: kexec_file_load(2) reads `line.len()` bytes at the pointer, which come from a live slice that `self` borrows; the
        // descriptors are only read, and the callers borrow them until this returns.
        let result =
            unsafe { libc::syscall(libc::SYS_kexec_file_load, self.kernel, self.initrd, line.len(), line.as_ptr(), flags) };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
    }

    fn now(&mut self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&mut self, length: Duration) {
        thread::sleep(length);
    }
}

#[cfg(test)]
mod tests;

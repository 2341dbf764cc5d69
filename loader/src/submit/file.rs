//! `[13b]` kexec_file_load(2), where the kernel makes the image around its own purgatory. It is the
//! only way under lockdown.
//!
//! *On entry*
//! * files that [`crate::submit::file_load`] has checked.
//!
//! *On exit*
//! * the image is armed; or an error says why the kernel rejected it. After any error but the first
//!   four of [`enum@Error`], the previous image is gone.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{MemfdFlags, memfd_create};

use super::keys::KEYS_DIRECTORY;
use super::retry::{Busy, Failure, Linux, System, outcome, patiently};

/// include/uapi/linux/kexec.h.
const KEXEC_FILE_UNLOAD: u64 = 1;
const KEXEC_FILE_ON_CRASH: u64 = 2;
const KEXEC_FILE_NO_INITRAMFS: u64 = 4;

/// The descriptor in place of a missing file.
const NO_FILE: RawFd = -1;

/// Why the kernel rejected the files, by errno.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// ENOSYS.
    #[error(
        "this kernel has no kexec_file_load (ENOSYS): it was built without CONFIG_KEXEC_FILE, or a \
         sandbox blocks the system call; use kexec_load, or boot a kernel that has it"
    )]
    NotImplemented,
    /// EPERM.
    #[error(
        "the kernel does not permit kexec_file_load (EPERM): if it is locked down, as under Secure \
         Boot, the capture kernel must be signed with a key that it trusts, and unchanged since \
         then (copy the file again); also run as root (CAP_SYS_BOOT), with \
         kernel.kexec_load_disabled=0 and kernel.kexec_load_limit_panic not 0"
    )]
    NotPermitted,
    /// EBUSY, during all retries.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// EINVAL.
    #[error(
        "the kernel rejects the arguments of kexec_file_load (EINVAL): flags {flags:#x}, a command \
         line of {command_line} bytes; look for the reason in dmesg"
    )]
    Invalid {
        /// The flags.
        flags: u64,
        /// Bytes of the command line with its NUL.
        command_line: usize,
    },
    /// EACCES.
    #[error(
        "a security module forbids this capture kernel or initrd (EACCES), because IMA appraises \
         them: sign them, or see this machine's ima_policy"
    )]
    Forbidden,
    /// ENODATA, ENOKEY, EKEYREJECTED, ENOPKG, EBADMSG or ELIBBAD: the signature is not trusted.
    #[error(
        "the kernel does not trust the capture kernel's signature ({name}: {meaning}): {remedy}"
    )]
    Signature {
        /// The errno's name.
        name: &'static str,
        /// Its meaning for a signature.
        meaning: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// EKEYREVOKED or EKEYEXPIRED, which the kernel returns only for dm-crypt keys.
    #[error(
        "a dm-crypt key that {KEYS_DIRECTORY} names is revoked or expired ({name}): open the \
         volume again with its key linked (link-volume-key= in crypttab), then try again"
    )]
    DmCryptKey {
        /// The errno's name.
        name: &'static str,
    },
    /// ENOEXEC.
    #[error(
        "the running kernel does not recognize the capture kernel's format (ENOEXEC), although \
         this loader does: look for the reason in dmesg, or use kexec_load, for which the loader \
         parses the file"
    )]
    Format,
    /// ENOMEM or EADDRNOTAVAIL.
    #[error(
        "the kernel found no room for the image ({name}): boot with a larger crashkernel=, or use \
         a smaller initrd"
    )]
    NoMemory {
        /// The errno's name.
        name: &'static str,
    },
    /// ETXTBSY.
    #[error(
        "the capture kernel or the initrd is open for writing (ETXTBSY): wait until its writer \
         (see fuser -v) is done, then try again"
    )]
    BeingWritten,
    /// Any other errno.
    #[error("kexec_file_load failed: {}", std::io::Error::from_raw_os_error(*errno))]
    Other {
        /// errno.
        errno: i32,
    },
}

/// Remedies for signatures.
const SIGNED: &str = "use a signed kernel of the distribution";
const ENROLL: &str =
    "use a kernel of the distribution, or enroll the key that signed it (mokutil --import)";
const COPY: &str = "copy the file again, because it may have been changed after it was signed; if \
                    that does not help, use a newer kernel of the distribution";

/// The files for the image.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The capture kernel.
    pub kernel: BorrowedFd<'a>,
    /// The capture kernel's initrd, if it gets one.
    pub initrd: Option<BorrowedFd<'a>>,
    /// The capture kernel's command line.
    pub command_line: &'a CStr,
}

impl Files<'_> {
    fn call(&self, flags: u64) -> Result<(), Error> {
        let flags = flags | if self.initrd.is_some() { 0 } else { KEXEC_FILE_NO_INITRAMFS };
        let initrd = self.initrd.map_or(NO_FILE, |initrd| initrd.as_raw_fd());
        let (kernel, command_line) = (self.kernel.as_raw_fd(), self.command_line);
        let mut linux = Linux::new(|flags| kexec_file_load(kernel, initrd, command_line, flags));
        submit(&mut linux, flags, command_line.to_bytes_with_nul().len())
    }
}

/// Arms the files in place of the armed image.
pub fn load(files: Files<'_>) -> Result<(), Error> {
    files.call(KEXEC_FILE_ON_CRASH)
}

/// Checks whether the kernel would accept the files, without changing the armed image. The files
/// are loaded as a kernel to reboot into, which must have the same signature, and unloaded again.
///
/// A loaded kernel to reboot into would be lost, so callers must ask
/// [`crate::admit::preflight::may_rehearse`] first.
pub fn rehearse(files: Files<'_>) -> Result<(), Error> {
    files.call(0)?;
    without_files(KEXEC_FILE_UNLOAD)
}

/// Disarms the armed image. Unlike kexec_load(2), it is permitted under lockdown.
pub fn unload() -> Result<(), Error> {
    without_files(KEXEC_FILE_ON_CRASH | KEXEC_FILE_UNLOAD)
}

fn without_files(flags: u64) -> Result<(), Error> {
    let mut linux = Linux::new(|flags| kexec_file_load(NO_FILE, NO_FILE, c"", flags));
    submit(&mut linux, flags, c"".to_bytes_with_nul().len())
}

/// A file in memory with these bytes, which were taken out of another file.
pub fn in_memory(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"kdump-image", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file.into())
}

/// Makes one call, and repeats it while the kernel is busy. The command line's length is for the
/// message.
fn submit(system: &mut impl System, flags: u64, command_line: usize) -> Result<(), Error> {
    patiently(system, flags).map_err(|failure| explain(failure, flags, command_line))
}

/// For tests elsewhere: the error of an errno.
#[cfg(test)]
pub(crate) fn refusal(errno: i32) -> Error {
    explain(Failure::Errno(errno), 0, 0)
}

fn explain(failure: Failure, flags: u64, command_line: usize) -> Error {
    let errno = match failure {
        Failure::Busy(busy) => return Error::Busy(busy),
        Failure::Errno(errno) => errno,
    };
    let signature = |name, meaning, remedy| Error::Signature { name, meaning, remedy };
    match errno {
        libc::ENOSYS => Error::NotImplemented,
        libc::EPERM => Error::NotPermitted,
        libc::EINVAL => Error::Invalid { flags, command_line },
        libc::EACCES => Error::Forbidden,
        libc::ENODATA => signature("ENODATA", "it has none", SIGNED),
        // The kernel also returns it for a dm-crypt key, but the `keys` module has checked those
        // before.
        libc::ENOKEY => signature("ENOKEY", "no trusted key verifies it", ENROLL),
        libc::EKEYREJECTED => signature(
            "EKEYREJECTED",
            "it does not match the file, or its key is revoked, expired or wrong",
            COPY,
        ),
        libc::ENOPKG => signature("ENOPKG", "it needs an algorithm that this kernel lacks", SIGNED),
        libc::EBADMSG => signature("EBADMSG", "it is malformed", COPY),
        libc::ELIBBAD => signature("ELIBBAD", "the file is not a well-formed PE file", COPY),
        libc::EKEYREVOKED => Error::DmCryptKey { name: "EKEYREVOKED" },
        libc::EKEYEXPIRED => Error::DmCryptKey { name: "EKEYEXPIRED" },
        libc::ENOEXEC => Error::Format,
        libc::ENOMEM => Error::NoMemory { name: "ENOMEM" },
        libc::EADDRNOTAVAIL => Error::NoMemory { name: "EADDRNOTAVAIL" },
        libc::ETXTBSY => Error::BeingWritten,
        errno => Error::Other { errno },
    }
}

/// The system call. The error is an errno.
fn kexec_file_load(
    kernel: RawFd,
    initrd: RawFd,
    command_line: &CStr,
    flags: u64,
) -> Result<(), i32> {
    let line = command_line.to_bytes_with_nul();
    // SAFETY: kexec_file_load(2) requires `line.len()` readable bytes at the pointer, and writes
    // none. `line` is a live slice of that length. The call only reads the files of the two
    // descriptors, which the caller borrows until it returns; -1 is no descriptor.
    outcome(unsafe {
        libc::syscall(libc::SYS_kexec_file_load, kernel, initrd, line.len(), line.as_ptr(), flags)
    })
}

#[cfg(test)]
mod tests;

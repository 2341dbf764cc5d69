//! `[13]` kexec_load(2), kexec_file_load(2), and other system calls and instructions without a safe
//! interface.
//!
//! Only [`load`] and [`unload`], and their namesakes in [`mod@file`], change the armed image.
//!
//! *On entry*
//! * an image from [`build`](crate::build), which has checked the kernel's rules;
//! * a process that passed [`crate::admit::preflight`].
//!
//! *On exit*
//! * the image is armed; or an error says why the kernel rejected it.
//!
//! The kernel frees the previous image early (after `kexec_trylock` in `do_kexec_load`,
//! kernel/kexec.c). So after an error, nothing may be armed.

mod measure; // [1] facts that no file shows: CPUID, time-stamp counter
pub mod file_load; // [11b] checks of files for kexec_file_load(2)
pub mod keys; // [12] whether the kernel would find its dm-crypt keys
mod retry; // [13] repeats a call while the kernel is busy
pub mod file; // [13b] kexec_file_load(2)
pub mod firmware; // [14] what the firmware adds to an error

use std::marker::PhantomData;

use crate::image::{Image, Segment};
pub use measure::{cpuid, measure};
pub use retry::Busy;
use retry::{Failure, Linux, System, outcome, patiently};

/// include/uapi/linux/kexec.h.
const KEXEC_ON_CRASH: u64 = 1;
/// Asks the kernel to keep the elfcorehdr up to date, since Linux 6.6. x86 kernels 6.6 to 6.9
/// reject its successor, 0x8 (`arch_crash_hotplug_support`).
const KEXEC_UPDATE_ELFCOREHDR: u64 = 4;
/// `EM_X86_64 << 16`.
const KEXEC_ARCH_X86_64: u64 = 62 << 16;

/// Why the kernel rejected the image, by errno.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// EPERM.
    #[error(
        "the kernel does not permit kexec_load (EPERM): run as root (CAP_SYS_BOOT), with \
         kernel.kexec_load_disabled=0 and kernel.kexec_load_limit_panic not 0; if the kernel is \
         locked down, as under Secure Boot, load a signed kernel with kexec_file_load"
    )]
    NotPermitted,
    /// EACCES.
    #[error(
        "a security module forbids kexec_load (EACCES), as under Secure Boot or where IMA \
         appraises kernels: load a signed kernel with kexec_file_load, or see this machine's \
         ima_policy"
    )]
    Forbidden,
    /// EBUSY, during all retries.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// EADDRNOTAVAIL.
    #[error(
        "the kernel finds a segment or the entry point {entry:#x} outside its crash region \
         (EADDRNOTAVAIL), so the region was resized after /proc/iomem was read: try again"
    )]
    AddressNotAvailable {
        /// The entry point.
        entry: u64,
    },
    /// EINVAL.
    #[error(
        "the kernel rejects the arguments of kexec_load (EINVAL): flags {flags:#x}, {segments} \
         segments; please report this with the image's segments and the output of `uname -r`"
    )]
    Invalid {
        /// The flags.
        flags: u64,
        /// The number of segments.
        segments: usize,
    },
    /// ENOMEM.
    #[error(
        "the kernel found no memory for the image's control pages (ENOMEM): the crash region may \
         be full; boot with a larger crashkernel="
    )]
    NoMemory,
    /// EFAULT.
    #[error(
        "the kernel could not read the image from this process's memory (EFAULT): look for memory \
         errors in dmesg; if there are none, please report this with the image's segments and the \
         output of `uname -r`"
    )]
    Fault,
    /// ENOSYS.
    #[error(
        "this kernel has no kexec_load (ENOSYS): it was built without CONFIG_KEXEC, or a sandbox \
         blocks the system call; try kexec_file_load, or boot a kernel that has it"
    )]
    NotImplemented,
    /// Any other errno.
    #[error("kexec_load failed: {}", std::io::Error::from_raw_os_error(*errno))]
    Other {
        /// errno.
        errno: i32,
    },
}

/// The features that the kernel accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Whether the kernel accepted the flag to keep the elfcorehdr up to date.
    /// [`crate::machine::CrashHotplug`] shows whether it does.
    pub hotplug: bool,
}

/// Loads `image` in place of the loaded image. With `hotplug`, the kernel is asked to keep the
/// elfcorehdr up to date on CPU and memory hotplug (Linux 6.6 and later).
///
/// The machine must have passed [`preflight`](crate::admit::preflight). Needs CAP_SYS_BOOT.
///
/// # Errors
///
/// The kernel refused. From `kexec_trylock` on, the image loaded before is lost as well; ask
/// [`KexecState::crash_loaded`](crate::machine::KexecState::crash_loaded).
///
/// # Example
///
/// ```no_run
/// use std::path::Path;
///
/// use kdump_image::admit::preflight;
/// use kdump_image::machine::Machine;
/// use kdump_image::request::Request;
/// use kdump_image::submit;
///
/// # fn example(request: Request) -> Result<(), Box<dyn std::error::Error>> {
/// let root = Path::new("/");
/// let machine = Machine::read(root, Some(submit::measure()))?;
/// let image = kdump_image::build(&request, &machine)?;
/// preflight::permitted(root, &machine.kexec)?;
/// let loaded = submit::load(&image, request.hotplug)?;
/// println!("the kernel keeps the elfcorehdr up to date: {}", loaded.hotplug);
/// # Ok(())
/// # }
/// ```
pub fn load(image: &Image<'_>, hotplug: bool) -> Result<Armed, Error> {
    let segments: Vec<KexecSegment<'_>> = image.segments().iter().map(KexecSegment::new).collect();
    let mut linux = Linux::new(|flags| kexec_load(image.entry(), &segments, flags));
    arm(&mut linux, hotplug)
        .map_err(|(errno, flags)| explain(errno, flags, image.entry(), segments.len()))
}

/// Disarms the armed image. It succeeds even if nothing is armed.
pub fn unload() -> Result<(), Error> {
    let mut linux = Linux::new(|flags| kexec_load(0, &[], flags));
    let flags = KEXEC_ON_CRASH | KEXEC_ARCH_X86_64;
    patiently(&mut linux, flags).map_err(|failure| explain(failure, flags, 0, 0))
}

/// If `hotplug` is set, tries with its flag first. EINVAL then means that the kernel does not know
/// the flag. The attempt does no harm, because flags are checked before the armed image is freed
/// (`kexec_load_check`, kernel/kexec.c).
fn arm(system: &mut impl System, hotplug: bool) -> Result<Armed, (Failure, u64)> {
    let plain = KEXEC_ON_CRASH | KEXEC_ARCH_X86_64;
    if hotplug {
        let flags = plain | KEXEC_UPDATE_ELFCOREHDR;
        match patiently(system, flags) {
            Ok(()) => return Ok(Armed { hotplug: true }),
            Err(Failure::Errno(libc::EINVAL)) => {}
            Err(failure) => return Err((failure, flags)),
        }
    }
    patiently(system, plain).map(|()| Armed { hotplug: false }).map_err(|failure| (failure, plain))
}

fn explain(failure: Failure, flags: u64, entry: u64, segments: usize) -> Error {
    match failure {
        Failure::Busy(busy) => Error::Busy(busy),
        Failure::Errno(libc::EPERM) => Error::NotPermitted,
        Failure::Errno(libc::EACCES) => Error::Forbidden,
        Failure::Errno(libc::EADDRNOTAVAIL) => Error::AddressNotAvailable { entry },
        Failure::Errno(libc::EINVAL) => Error::Invalid { flags, segments },
        Failure::Errno(libc::ENOMEM) => Error::NoMemory,
        Failure::Errno(libc::EFAULT) => Error::Fault,
        Failure::Errno(libc::ENOSYS) => Error::NotImplemented,
        Failure::Errno(errno) => Error::Other { errno },
    }
}

/// `struct kexec_segment`, include/uapi/linux/kexec.h. It borrows the bytes that it points to.
#[repr(C)]
struct KexecSegment<'a> {
    buf: *const u8,
    bufsz: usize,
    mem: u64,
    memsz: u64,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> KexecSegment<'a> {
    fn new(segment: &'a Segment<'_>) -> Self {
        let (bytes, range) = (segment.bytes(), segment.range());
        Self {
            buf: bytes.as_ptr(),
            bufsz: bytes.len(),
            mem: range.start(),
            memsz: range.len(),
            bytes: PhantomData,
        }
    }
}

/// The system call. The error is an errno.
fn kexec_load(entry: u64, segments: &[KexecSegment<'_>], flags: u64) -> Result<(), i32> {
    // SAFETY: kexec_load(2) requires `segments.len()` readable entries at the pointer, and `bufsz`
    // readable bytes at each `buf`; it writes none of them. The entries are a live slice. Each
    // borrows the slice that it points to, so all bytes stay live until the call returns.
    outcome(unsafe {
        libc::syscall(libc::SYS_kexec_load, entry, segments.len(), segments.as_ptr(), flags)
    })
}

#[cfg(test)]
mod tests;

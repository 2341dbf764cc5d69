//! [13] kexec_load(2): the only step that changes the machine, and the only unsafe code of the loader.
//!
//! *On entry* an image that [`crate::admit`] admitted and a machine that passed [`crate::admit::preflight`]. *On exit* the image is armed,
//! or an error says what the kernel refused. From `kexec_trylock` on, an error means that the image armed before is gone, too.

pub mod file_load;
pub mod file;
pub mod keys;
pub mod writers;

use std::arch::x86_64::{__cpuid, CpuidResult};
use std::thread;
use std::time::{Duration, Instant};

use crate::image::Image;
use crate::machine::{Cpuid, Measured};

/// include/uapi/linux/kexec.h.
const KEXEC_ON_CRASH: u64 = 1;
/// Keep the elfcorehdr current. Since Linux 6.6; x86 kernels 6.6 to 6.9 refuse its successor, 0x8 (`arch_crash_hotplug_support`).
const KEXEC_UPDATE_ELFCOREHDR: u64 = 4;
/// `EM_X86_64 << 16`.
const KEXEC_ARCH_X86_64: u64 = 62 << 16;

/// How long EBUSY is retried: readers of sysfs hold the lock for microseconds, a hotplug event for milliseconds, another load for
/// about a second.
const PATIENCE: Duration = Duration::from_secs(5);
/// First pause between two tries. It doubles: a machine with `kexec_load_limit_panic` counts every try.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long the time-stamp counter is watched.
const TSC_WINDOW: Duration = Duration::from_millis(20);
/// How often clock and counter are read at either end of it. The pair counts that nothing has interrupted.
const TSC_LOOKS: usize = 16;

/// CPUID: the bits that a leaf shares with the first leaf of its range.
const CPUID_RANGE: u32 = 0xffff_0000;

/// Why the kernel did not take the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// EPERM.
    #[error(
        "the kernel does not permit kexec_load (EPERM): it needs CAP_SYS_BOOT (be root), kernel.kexec_load_disabled=0, tries left in \
         kernel.kexec_load_limit_panic, and no lockdown (Secure Boot locks down; then load a signed kernel with --file)"
    )]
    NotPermitted,
    /// EACCES.
    #[error(
        "a security module forbids kexec_load (EACCES): under Secure Boot, or where IMA appraises kernels, only kexec_file_load with a signed \
         kernel works; load one with --file, or see the ima_policy of this machine"
    )]
    Forbidden,
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
    /// EADDRNOTAVAIL.
    #[error(
        "the kernel says that a segment or the entry point {entry:#x} is outside its crash region (EADDRNOTAVAIL); it was resized or \
         moved since /proc/iomem was read: try again"
    )]
    AddressNotAvailable {
        /// The entry point.
        entry: u64,
    },
    /// EINVAL.
    #[error(
        "the kernel finds the arguments of kexec_load invalid (EINVAL): flags {flags:#x}, {segments} segments; if `kdump-loader plan` \
         succeeds here, please report its output together with `uname -r`"
    )]
    Invalid {
        /// The flags.
        flags: u64,
        /// How many segments.
        segments: usize,
    },
    /// ENOMEM.
    #[error(
        "the kernel found no memory for the image's control pages (ENOMEM); the crash region may be full: boot with a larger \
         crashkernel="
    )]
    NoMemory,
    /// EFAULT.
    #[error(
        "the kernel could not read the image from this process (EFAULT), which holds it in memory of its own: look into dmesg for memory \
         errors; without any, please report this together with `kdump-loader plan` and `uname -r`"
    )]
    Fault,
    /// ENOSYS.
    #[error("this kernel has no kexec_load (ENOSYS): it was built without CONFIG_KEXEC, or a sandbox filters the system call")]
    NotImplemented,
    /// Anything else.
    #[error("kexec_load failed: {}", std::io::Error::from_raw_os_error(*errno))]
    Other {
        /// errno.
        errno: i32,
    },
}

/// What the kernel agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// It took the flag that asks it to keep the elfcorehdr current. Whether it does is in [`crate::machine::CrashHotplug`].
    pub hotplug: bool,
}

/// The kernel and the clock, so that a test can be both.
trait System {
    /// One system call with these flags; the error is an errno.
    fn call(&mut self, flags: u64) -> Result<(), i32>;
    /// A monotonic clock.
    fn now(&mut self) -> Duration;
    /// Waits.
    fn pause(&mut self, length: Duration);
}

/// Arms `image` in place of whatever is armed now.
pub fn load(image: &Image<'_>, hotplug: bool) -> Result<Armed, Error> {
    let segments: Vec<KexecSegment> = image
        .segments()
        .iter()
        .map(|segment| KexecSegment {
            buf: segment.bytes().as_ptr(),
            bufsz: segment.bytes().len(),
            mem: segment.range().start(),
            memsz: segment.range().len(),
        })
        .collect();
    let mut linux = Linux { entry: image.entry(), segments: &segments, start: Instant::now() };
    arm(&mut linux, hotplug).map_err(|(errno, flags)| explain(errno, flags, image.entry(), segments.len()))
}

/// Disarms whatever is armed. That succeeds, too, when nothing is.
pub fn unload() -> Result<(), Error> {
    let mut linux = Linux { entry: 0, segments: &[], start: Instant::now() };
    let flags = KEXEC_ON_CRASH | KEXEC_ARCH_X86_64;
    patiently(&mut linux, flags).map_err(|failure| explain(failure, flags, 0, 0))
}

/// What no file says of this machine.
pub fn measure() -> Measured {
    Measured { tsc_khz: measure_tsc_khz(), cpuid: cpuid() }
}

/// What CPUID says here; in a confidential guest the kernel answers, if the hypervisor does not let the CPU.
pub fn cpuid() -> Cpuid {
    Cpuid::ask(|leaf| {
        // The first leaf of a range names its last (SDM vol. 2A, "CPUID"; AMD APM vol. 3, "CPUID").
        let range = leaf & CPUID_RANGE;
        let CpuidResult { eax, ebx, ecx, edx } = if __cpuid(range).eax >= leaf { __cpuid(leaf) } else { return None };
        Some([eax, ebx, ecx, edx])
    })
}

/// The frequency of the time-stamp counter in kHz, measured against the monotonic clock.
pub fn measure_tsc_khz() -> u32 {
    let start = Instant::now();
    let look = || Look { before: start.elapsed(), ticks: ticks(), after: start.elapsed() };
    let begin = steadiest([(); TSC_LOOKS].map(|()| look()));
    thread::sleep(TSC_WINDOW);
    khz(&begin, &steadiest([(); TSC_LOOKS].map(|()| look())))
}

/// The counter, and the clock just before and just after it was read.
#[derive(Clone, Copy)]
struct Look {
    before: Duration,
    ticks: u64,
    after: Duration,
}

/// The look whose readings of the clock are nearest to each other. A busy machine may run something else between two readings, for longer
/// than [`TSC_WINDOW`]. A frequency from such a look would be far off, and the purgatory counts its delay by it.
fn steadiest(looks: [Look; TSC_LOOKS]) -> Look {
    looks.into_iter().min_by_key(|look| look.after.saturating_sub(look.before)).expect("there is more than one look")
}

fn khz(begin: &Look, end: &Look) -> u32 {
    let ticks = u128::from(end.ticks.wrapping_sub(begin.ticks));
    let elapsed = end.after.saturating_sub(begin.after).as_nanos().max(1);
    u32::try_from(ticks * 1_000_000 / elapsed).unwrap_or(u32::MAX)
}

/// Why a try did not succeed in the end.
enum Failure {
    Errno(i32),
    Busy { waited: Duration, tries: u32 },
}

/// Tries with the hotplug flag first if it is wanted; EINVAL then means that the kernel does not know it, and does no harm: flags are
/// checked before the armed image is freed (`kexec_load_check`, kernel/kexec.c).
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

/// One flag combination until it succeeds, fails, or has been busy for [`PATIENCE`].
fn patiently(system: &mut impl System, flags: u64) -> Result<(), Failure> {
    let begin = system.now();
    let mut pause = FIRST_PAUSE;
    for tries in 1.. {
        match system.call(flags) {
            Ok(()) => return Ok(()),
            Err(libc::EBUSY) => {}
            Err(errno) => return Err(Failure::Errno(errno)),
        }
        let waited = system.now().saturating_sub(begin);
        if waited >= PATIENCE {
            return Err(Failure::Busy { waited, tries });
        }
        system.pause(pause.min(PATIENCE - waited));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    unreachable!("the clock passes PATIENCE before 2^31 tries")
}

fn explain(failure: Failure, flags: u64, entry: u64, segments: usize) -> Error {
    match failure {
        Failure::Busy { waited, tries } => Error::Busy { waited, tries },
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

/// `struct kexec_segment`, include/uapi/linux/kexec.h.
#[repr(C)]
struct KexecSegment {
    buf: *const u8,
    bufsz: usize,
    mem: u64,
    memsz: u64,
}

/// The real kernel.
struct Linux<'a> {
    entry: u64,
    segments: &'a [KexecSegment],
    start: Instant,
}

impl System for Linux<'_> {
    fn call(&mut self, flags: u64) -> Result<(), i32> {
        // SAFETY: kexec_load(2) reads `segments.len()` entries at the pointer and `bufsz` bytes at each `buf`. Both come from live
        // slices: `load` made every entry from a segment of an `Image` that it borrows until this returns. It writes nothing here.
        let result =
            unsafe { libc::syscall(libc::SYS_kexec_load, self.entry, self.segments.len(), self.segments.as_ptr(), flags) };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
    }

    fn now(&mut self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&mut self, length: Duration) {
        thread::sleep(length);
    }
}

fn ticks() -> u64 {
    // SAFETY: RDTSC needs a CPU that has it, which every x86-64 CPU does, and CR4.TSD clear, as Linux leaves it unless the process
    // asks for PR_TSC_SIGSEGV; this one never does.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(test)]
mod tests;

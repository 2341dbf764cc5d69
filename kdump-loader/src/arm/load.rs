//! `[14]` Arms this machine with kexec_load(2), in the order of `rounds.rs`.
//!
//! *On entry* a request and the machine it was made for. *On exit* the image is armed and recorded,
//! or an error says what is armed.

use std::fmt;
use std::path::Path;

use loader::describe::listing::Listing;
use loader::image::{Image, Summary, mib};
use loader::machine::{CrashHotplug, Machine, Measured, Present};
use loader::request::Request;
use loader::submit::{self, Armed};

use super::record::{Record, lock::HeldLock, origin::Origin};
use super::request_for::{advise, are_new_files, warn_of_files};
use super::rounds::{self, World};
use super::{Aftermath, Error, aftermath, forget, generation, hold_arming_lock, set_aside};
use crate::findings::recorded::RecordedAdvice;
use crate::messages::{in_full, note, say, warn};

/// Builds, arms and records the requested image. Returns whether the kernel keeps it up to date,
/// and what it is.
///
/// Memory or CPUs may change while the kernel loads the image. `queue_reload` then queues another
/// reload. If it returns false, a new image is armed at once.
pub fn arm(
    root: &Path,
    machine: Machine,
    request: &Request,
    origin: Origin,
    queue_reload: impl Fn() -> bool,
) -> Result<(bool, Summary), Error> {
    let vmcoreinfo = machine.vmcoreinfo_text.clone();
    let mut live = Live { root, request, origin, vmcoreinfo, queue_reload, advice: Vec::new() };
    let are_new = are_new_files(root, &live.origin);
    let (hotplug, (_, summary)) = rounds::arm(&mut live, machine)?;
    // Now that an image is armed, there is time.
    if are_new {
        let Request { kernel, initrd, command_line, .. } = request;
        warn_of_files(Some(root), kernel, initrd.as_ref(), command_line);
    }
    Ok((hotplug, summary))
}

/// The running machine, below this root.
struct Live<'a, N> {
    root: &'a Path,
    request: &'a Request,
    origin: Origin,
    /// What the running kernel says about its structures.
    vmcoreinfo: String,
    queue_reload: N,
    /// About the first image, for the record.
    advice: Vec<RecordedAdvice>,
}

impl<'a, N: Fn() -> bool> World for Live<'a, N> {
    type Machine = Machine;
    type Image = Image<'a>;
    type Loaded = (Armed, Summary);
    type Lock = Option<HeldLock>;
    type Refusal = submit::Error;
    type Error = Error;

    fn build(&mut self, machine: &Machine) -> Result<Image<'a>, Error> {
        Ok(loader::build(self.request, machine)?)
    }

    fn advise(&mut self, image: &Image<'a>, machine: &Machine) {
        self.advice = advise(image, self.request, &self.origin, machine);
    }

    fn hold_lock(&mut self) -> Result<Option<HeldLock>, Error> {
        hold_arming_lock(self.root)
    }

    fn changed(&mut self, described: &Machine) -> Option<Machine> {
        changed(self.root, described)
    }

    fn set_aside(&mut self) {
        set_aside(self.root);
    }

    fn submit(&mut self, image: Image<'a>) -> Result<(Armed, Summary), submit::Error> {
        let armed = submit::load(&image, self.request.hotplug)?;
        let summary = image.summary();
        // At once: a panic from here on is recorded at the new addresses.
        generation::keep(self.root, &summary, &self.vmcoreinfo);
        Ok((armed, summary))
    }

    fn aftermath(&mut self) -> Aftermath {
        aftermath(self.root)
    }

    fn refused(&self, refusal: submit::Error, aftermath: Aftermath) -> Error {
        Error::refused(self.root, refusal, aftermath)
    }

    fn forget(&mut self) {
        forget(self.root);
    }

    fn queue_reload(&mut self) -> bool {
        (self.queue_reload)()
    }

    fn record(&mut self, (armed, summary): &(Armed, Summary), described: &Machine) -> bool {
        let (root, request) = (self.root, self.request);
        let hotplug = kernel_updates_image(root, request.hotplug, armed.hotplug);
        let file = request.initrd.as_ref().filter(|_| self.origin.initrd_len.is_none());
        let initrd = file.map(|initrd| initrd.path.as_path());
        let new = Record::new(root, summary.clone(), &request.kernel.path, initrd, hotplug);
        let (origin, advice) = (self.origin.clone(), self.advice.clone());
        let made =
            |record: Record| record.made(origin, Some(Listing::of(described)), advice).write(root);
        if let Err(error) = new.and_then(made) {
            warn(format_args!(
                "the image is armed, but `status` cannot identify it: {}",
                in_full(&error)
            ));
            forget(root);
        }
        let (used, region) = (mib(summary.used()), mib(summary.crash_region.len));
        say(format_args!(
            "armed {}, which uses {used} of {region} MiB of the crash region",
            summary.identity
        ));
        hotplug
    }

    fn note(&mut self, message: fmt::Arguments<'_>) {
        note(message);
    }

    fn warn(&mut self, message: fmt::Arguments<'_>) {
        warn(message);
    }
}

/// The machine as it is now, if its memory or CPUs differ from `described`.
fn changed(root: &Path, described: &Machine) -> Option<Machine> {
    let unread = |error| {
        warn(format_args!("cannot tell whether memory or CPUs have changed: {}", in_full(&error)))
    };
    let present = Present::read(root).map_err(unread).ok()?;
    if Listing::of_present(&present) == Listing::of(described) {
        return None;
    }
    let measured = Measured { tsc_khz: described.cpu.tsc_khz, cpuid: submit::cpuid() };
    Machine::read(root, Some(measured)).map_err(unread).ok()
}

/// Asks the kernel whether it keeps the armed image up to date. If not, says what to do. That the
/// kernel accepted the flag is not enough: kernels without CONFIG_CRASH_HOTPLUG accept and ignore
/// it (KEXEC_FLAGS, include/linux/kexec.h).
pub(super) fn kernel_updates_image(root: &Path, wanted: bool, taken: bool) -> bool {
    if !wanted {
        note(format_args!(
            "the kernel does not update the image (--no-hotplug): load again after CPUs or memory \
             change"
        ));
        return false;
    }
    if !taken {
        warn(format_args!(
            "this kernel does not update the image when CPUs or memory change (Linux 6.6 and newer \
             with CONFIG_CRASH_HOTPLUG does): load again after each change"
        ));
        return false;
    }
    match CrashHotplug::read(root) {
        Ok(hotplug) if hotplug.complete() => true,
        Ok(CrashHotplug { cpu, memory }) => {
            let shown = |answer| match answer {
                Some(true) => "1",
                Some(false) => "0",
                None => "missing",
            };
            warn(format_args!(
                "the kernel does not update the image after every change \
                 (/sys/devices/system/cpu/crash_hotplug is {}, \
                 /sys/devices/system/memory/crash_hotplug is {}): load again after CPUs or memory \
                 change",
                shown(cpu),
                shown(memory)
            ));
            false
        }
        Err(error) => {
            warn(format_args!(
                "load again after CPUs or memory change: whether the kernel updates the image is \
                 unknown: {}",
                in_full(&error)
            ));
            false
        }
    }
}

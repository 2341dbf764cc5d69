//! `[14]` Arms with kexec_load(2): builds the image, and again if the machine changes meanwhile.
//!
//! *On entry* a request and the machine it was made for. *On exit* the image is armed and recorded, or
//! an error says what is armed.

use std::path::Path;

use loader::describe::listing::Listing;
use loader::image::{Summary, mib};
use loader::machine::{CrashHotplug, Machine, Measured, Present};
use loader::request::Request;
use loader::submit;

use super::record::{Record, origin::Origin};
use super::request_for::advise;
use super::{Aftermath, Error, aftermath, forget, hold_arming_lock, set_aside};
use crate::messages::{in_full, note, say, warn};

/// Limit of builds before arming, and again of loads, when memory or CPUs change meanwhile.
const ROUNDS: u32 = 3;

/// Builds, arms and records the requested image. Returns whether the kernel keeps it up to date,
/// and what it is.
///
/// Memory or CPUs may change while the kernel loads the image. `noted` then queues another reload;
/// if it returns false, a new image is armed at once.
pub fn arm(
    root: &Path,
    machine: Machine,
    request: &Request,
    origin: Origin,
    noted: impl Fn() -> bool,
) -> Result<(bool, Summary), Error> {
    let mut described = machine;
    let mut image = loader::build(request, &described)?;
    let advice = advise(&image, request, &described);

    let _lock = hold_arming_lock(root)?;
    // The kernel adds a change during the build to the armed image, and the new image would lack
    // it. The build takes a second and this check milliseconds, so the check after the system call
    // rarely finds anything.
    for _ in 0..ROUNDS {
        let Some(now) = changed(root, &described) else { break };
        note(format_args!("memory or CPUs changed during the build; building again"));
        image = loader::build(request, &now)?;
        described = now;
    }
    set_aside(root);
    let refused = |refusal| Error::refused(root, refusal, aftermath(root));
    let mut armed = submit::load(&image, request.hotplug).map_err(refused)?;
    // From here on, the old image is gone, whatever happens.
    forget(root);
    let mut summary = image.summary();
    drop(image);

    for round in 1.. {
        let Some(now) = changed(root, &described) else { break };
        if noted() {
            note(format_args!("memory or CPUs changed during the load; another reload follows when the events stop"));
            break;
        }
        if round == ROUNDS {
            warn(format_args!("memory or CPUs keep changing; load again when they are stable, or the dump may be incomplete"));
            break;
        }
        note(format_args!("memory or CPUs changed during the load; loading again"));
        let image = match loader::build(request, &now) {
            Ok(image) => image,
            Err(error) => {
                warn(format_args!("the armed image lacks the change: {}", in_full(&error)));
                break;
            }
        };
        match submit::load(&image, request.hotplug) {
            Ok(again) => armed = again,
            // An image that lacks the change is better than none.
            Err(refusal) => match aftermath(root) {
                Aftermath::StillArmed => {
                    warn(format_args!("the armed image lacks the change: {refusal}"));
                    break;
                }
                aftermath => return Err(Error::refused(root, refusal, aftermath)),
            },
        }
        summary = image.summary();
        described = now;
    }

    let hotplug = kernel_updates_image(root, request.hotplug, armed.hotplug);
    let initrd = request.initrd.as_ref().map(|initrd| initrd.path.as_path());
    let written = Record::new(root, summary.clone(), &request.kernel.path, initrd, hotplug);
    let made = |record: Record| record.made(origin, Some(Listing::of(&described)), advice).write(root);
    if let Err(error) = written.and_then(made) {
        warn(format_args!("the image is armed, but `status` cannot identify it: {}", in_full(&error)));
        forget(root);
    }
    let (used, region) = (mib(summary.used()), mib(summary.crash_region.len));
    say(format_args!("armed {}, which uses {used} of {region} MiB of the crash region", summary.identity));
    Ok((hotplug, summary))
}

/// The machine as it is now, if its memory or CPUs differ from `described`.
fn changed(root: &Path, described: &Machine) -> Option<Machine> {
    let unread = |error| warn(format_args!("cannot tell whether memory or CPUs have changed: {}", in_full(&error)));
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
        note(format_args!("the kernel does not update the image (--no-hotplug): load again after CPUs or memory change"));
        return false;
    }
    if !taken {
        warn(format_args!(
            "this kernel does not update the image when CPUs or memory change (Linux 6.6 and newer with \
             CONFIG_CRASH_HOTPLUG does): load again after each change"
        ));
        return false;
    }
    match CrashHotplug::read(root) {
        Ok(hotplug) if hotplug.complete() => true,
        Ok(CrashHotplug { cpu, memory }) => {
            let told = |answer| match answer {
                Some(true) => "1",
                Some(false) => "0",
                None => "missing",
            };
            warn(format_args!(
                "the kernel does not update the image after every change (/sys/devices/system/cpu/crash_hotplug is {}, \
                 /sys/devices/system/memory/crash_hotplug is {}): load again after CPUs or memory change",
                told(cpu),
                told(memory)
            ));
            false
        }
        Err(error) => {
            warn(format_args!(
                "load again after CPUs or memory change: whether the kernel updates the image is unknown: {}",
                in_full(&error)
            ));
            false
        }
    }
}

//! `kdump-loader load`: build an image and arm it.

use std::path::Path;

use crate::arm::record::{Record, origin::Origin};
use loader::admit::preflight;
use loader::describe::listing::Listing;
use loader::image::{Summary, mib};
use loader::machine::{CrashHotplug, KexecPermission, Machine, Measured, Present};
use loader::request::Request;
use loader::submit;
use serde::Serialize;

use super::{
    Aftermath, Error, LIVE, advise, aftermath, forget, fresh_seed, in_full, load_file, print_json, request, say, set_aside, turn,
};
use crate::cli::Load;

/// What `load --json` prints.
#[derive(Serialize)]
pub(super) struct Output<'a> {
    /// Whether the kernel keeps the elfcorehdr current.
    pub hotplug: bool,
    #[serde(flatten)]
    pub image: &'a Summary,
}

/// How often an image is built before it is armed, and armed, at most, because memory or CPUs came or went meanwhile.
const ROUNDS: u32 = 3;

/// Checks, builds, arms, records, in this order.
pub fn run(arguments: &Load) -> Result<(), Error> {
    if arguments.file {
        return load_file::run(arguments);
    }
    let root = Path::new(LIVE);
    preflight::privileged(root)?;
    // Asked before the machine is read, of which a locked-down kernel does not show everything.
    preflight::permitted(root, &KexecPermission::read(root)?)?;
    let machine = Machine::read(root, Some(submit::measure()))?;
    let (request, origin) = request(&arguments.image, &machine, fresh_seed())?;
    let (hotplug, summary) = arm(root, machine, &request, origin, || false)?;
    if !arguments.json {
        return Ok(());
    }
    let untold = |source| Error::ArmedUntold { identity: summary.identity.clone(), source: Box::new(source) };
    print_json(&Output { hotplug, image: &summary }).map_err(untold)
}

/// Builds what was asked for, arms and records it: whether the kernel keeps it current, and what it is.
///
/// Memory or CPUs may come or go while the kernel takes the image. `noted` is told so, and whether somebody will see to it that they become known;
/// if nobody will, an image that knows them is armed at once.
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

    let _turn = turn(root)?;
    // What comes while an image is built goes into the armed one, by an event that is over when the new one takes its place. Building takes
    // a second and this look milliseconds, so little is left to the look that follows the system call.
    for _ in 0..ROUNDS {
        let Some(now) = changed(root, &described) else { break };
        say(format_args!("memory or CPUs came or went while the image was built: building one that knows them"));
        image = loader::build(request, &now)?;
        described = now;
    }
    set_aside(root);
    let refused = |refusal| Error::refused(root, refusal, aftermath(root));
    let mut armed = submit::load(&image, request.hotplug).map_err(refused)?;
    // Whatever happens from here on, the old record is about an image that is gone.
    forget(root);
    let mut summary = image.summary();
    drop(image);

    for round in 1.. {
        let Some(now) = changed(root, &described) else { break };
        if noted() {
            say(format_args!(
                "memory or CPUs came or went while the image was armed: one that knows them follows when it is quiet"
            ));
            break;
        }
        if round == ROUNDS {
            say(format_args!("memory or CPUs keep coming and going: load again when that is over, or the dump may lack some"));
            break;
        }
        say(format_args!("memory or CPUs came or went while the image was armed: arming one that knows them"));
        let rebuilt = loader::build(request, &now);
        let Ok(image) = rebuilt.map_err(|error| say(format_args!("the armed image does not know them: {}", in_full(&error))))
        else {
            break;
        };
        match submit::load(&image, request.hotplug) {
            Ok(again) => armed = again,
            // What is armed is ours all the same, and better than nothing if the kernel has not let go of it.
            Err(refusal) => match aftermath(root) {
                Aftermath::StillArmed => {
                    say(format_args!("the armed image does not know them: {refusal}"));
                    break;
                }
                aftermath => return Err(Error::refused(root, refusal, aftermath)),
            },
        }
        summary = image.summary();
        described = now;
    }

    let hotplug = follows(root, request.hotplug, armed.hotplug);
    let initrd = request.initrd.as_ref().map(|initrd| initrd.path.as_path());
    let written = Record::new(root, summary.clone(), &request.kernel.path, initrd, hotplug);
    let made = |record: Record| record.made(origin, Some(Listing::of(&described)), advice).write(root);
    if let Err(error) = written.and_then(made) {
        say(format_args!("the image is armed, but `status` will not know it: {}", in_full(&error)));
        forget(root);
    }
    let (used, region) = (mib(summary.used()), mib(summary.crash_region.len));
    say(format_args!("armed {}: {used} of the crash region's {region} MiB are used", summary.identity));
    Ok((hotplug, summary))
}

/// The machine as it is now, if a dump of it would not hold what one of `described` would.
fn changed(root: &Path, described: &Machine) -> Option<Machine> {
    let unread = |error| say(format_args!("whether memory came or went meanwhile is not known: {}", in_full(&error)));
    let present = Present::read(root).map_err(unread).ok()?;
    if Listing::of_present(&present) == Listing::of(described) {
        return None;
    }
    let measured = Measured { tsc_khz: described.cpu.tsc_khz, cpuid: submit::cpuid() };
    Machine::read(root, Some(measured)).map_err(unread).ok()
}

/// Asks the kernel whether it keeps the armed image current, and says so if not, and what to do. That it took the flag is not enough:
/// kernels without CONFIG_CRASH_HOTPLUG take it, too (KEXEC_FLAGS, include/linux/kexec.h), and do nothing.
pub(super) fn follows(root: &Path, wanted: bool, taken: bool) -> bool {
    if !wanted {
        say(format_args!("load again after CPUs or memory come or go, as --no-hotplug asks"));
        return false;
    }
    if !taken {
        say(format_args!(
            "this kernel does not keep the image current when CPUs or memory come and go (Linux 6.6 and newer with \
             CONFIG_CRASH_HOTPLUG do): load again after each"
        ));
        return false;
    }
    match CrashHotplug::read(root) {
        Ok(hotplug) if hotplug.complete() => true,
        Ok(CrashHotplug { cpu, memory }) => {
            let told = |answer| match answer {
                Some(true) => "yes",
                Some(false) => "no",
                None => "nothing",
            };
            say(format_args!(
                "asked whether it keeps the image current, the kernel says {} for CPUs and {} for memory \
                 (/sys/devices/system/*/crash_hotplug): load again after they come or go",
                told(cpu),
                told(memory)
            ));
            false
        }
        Err(error) => {
            say(format_args!(
                "whether the kernel keeps the image current is not known, so load again after changes: {}",
                in_full(&error)
            ));
            false
        }
    }
}

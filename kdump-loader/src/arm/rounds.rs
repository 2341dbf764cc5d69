//! `[14]` The order of arming: builds, loads and records an image while the machine may change.
//!
//! *On entry* a world: the machine that is armed, or a simulated one.
//!
//! *On exit*
//! - the image is armed and recorded, or an error says what is armed
//! - a change that was seen and that the armed image lacks is queued for another reload, or a
//!   warning says so

use std::error::Error;
use std::fmt;

use super::Aftermath;
use crate::messages::in_full;

/// Limit of builds before arming, and again of loads, when memory or CPUs change meanwhile.
pub const ROUNDS: u32 = 3;

/// The machine, the kernel and the record, which tests simulate.
pub trait World {
    /// A machine that an image describes.
    type Machine;
    /// An image that is ready to load.
    type Image;
    /// What is known about a loaded image.
    type Loaded;
    /// The lock of arming and recording. Dropping it releases it.
    type Lock;
    /// Why the kernel rejected an image.
    type Refusal: fmt::Display;
    /// Why arming failed.
    type Error: Error;

    /// Builds an image for this machine.
    fn build(&mut self, machine: &Self::Machine) -> Result<Self::Image, Self::Error>;
    /// Warns of problems that may cost the dump.
    fn advise(&mut self, image: &Self::Image, machine: &Self::Machine);
    /// Takes the lock of arming and recording.
    fn hold_lock(&mut self) -> Result<Self::Lock, Self::Error>;
    /// The machine as it is now, if its memory or CPUs differ from `described`.
    fn changed(&mut self, described: &Self::Machine) -> Option<Self::Machine>;
    /// Hides the record while the kernel replaces the image.
    fn set_aside(&mut self);
    /// Loads the image in place of the armed one.
    fn submit(&mut self, image: Self::Image) -> Result<Self::Loaded, Self::Refusal>;
    /// After a rejected load: asks the kernel what is armed, and keeps the record only if its image
    /// still is.
    fn aftermath(&mut self) -> Aftermath;
    /// The error of a rejected load.
    fn refused(&self, refusal: Self::Refusal, aftermath: Aftermath) -> Self::Error;
    /// Removes the record of an image that is no longer armed.
    fn forget(&mut self);
    /// Queues another reload. Returns whether one follows.
    fn queue_reload(&mut self) -> bool;
    /// Records the armed image. Returns whether the kernel keeps it up to date.
    fn record(&mut self, loaded: &Self::Loaded, described: &Self::Machine) -> bool;
    /// Says what this loop decided.
    fn note(&mut self, message: fmt::Arguments<'_>);
    /// Says what the armed image lacks.
    fn warn(&mut self, message: fmt::Arguments<'_>);
}

/// Builds, arms and records an image. Returns whether the kernel keeps it up to date, and what it
/// is.
pub fn arm<W: World>(world: &mut W, machine: W::Machine) -> Result<(bool, W::Loaded), W::Error> {
    let image = world.build(&machine)?;
    world.advise(&image, &machine);
    let _lock = world.hold_lock()?;
    let (image, described) = build_until_stable(world, image, machine)?;
    world.set_aside();
    let loaded = match world.submit(image) {
        Ok(loaded) => loaded,
        Err(refusal) => {
            let aftermath = world.aftermath();
            return Err(world.refused(refusal, aftermath));
        }
    };
    // From here on, the old image is gone.
    world.forget();
    let (loaded, described) = load_until_stable(world, loaded, described)?;
    let hotplug = world.record(&loaded, &described);
    Ok((hotplug, loaded))
}

/// Builds again while the machine differs from the image.
///
/// The kernel adds a change during the build to the armed image, and the new image would lack it.
/// The build takes a second and this check milliseconds, so the check after the system call rarely
/// finds anything.
fn build_until_stable<W: World>(
    world: &mut W,
    mut image: W::Image,
    mut described: W::Machine,
) -> Result<(W::Image, W::Machine), W::Error> {
    for _ in 0..ROUNDS {
        let Some(now) = world.changed(&described) else { break };
        world.note(format_args!("memory or CPUs changed during the build; building again"));
        image = world.build(&now)?;
        described = now;
    }
    Ok((image, described))
}

/// Queues another reload if the machine changed during the load, or loads again. Returns the armed
/// image and the machine that it describes.
fn load_until_stable<W: World>(
    world: &mut W,
    mut loaded: W::Loaded,
    mut described: W::Machine,
) -> Result<(W::Loaded, W::Machine), W::Error> {
    for round in 1.. {
        let Some(now) = world.changed(&described) else { break };
        if world.queue_reload() {
            world.note(format_args!(
                "memory or CPUs changed during the load; another reload follows when the events \
                 stop"
            ));
            break;
        }
        if round == ROUNDS {
            world.warn(format_args!(
                "memory or CPUs keep changing; load again when they are stable, or the dump may be \
                 incomplete"
            ));
            break;
        }
        world.note(format_args!("memory or CPUs changed during the load; loading again"));
        let Some(again) = load_again(world, &now)? else { break };
        loaded = again;
        described = now;
    }
    Ok((loaded, described))
}

/// Replaces the armed image. Returns nothing if that image remains armed: an image that lacks the
/// change is better than none.
fn load_again<W: World>(world: &mut W, now: &W::Machine) -> Result<Option<W::Loaded>, W::Error> {
    let image = match world.build(now) {
        Ok(image) => image,
        Err(error) => {
            world.warn(format_args!("the armed image lacks the change: {}", in_full(&error)));
            return Ok(None);
        }
    };
    match world.submit(image) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(refusal) => match world.aftermath() {
            Aftermath::StillArmed => {
                world.warn(format_args!("the armed image lacks the change: {refusal}"));
                Ok(None)
            }
            aftermath => Err(world.refused(refusal, aftermath)),
        },
    }
}

#[cfg(test)]
mod tests;

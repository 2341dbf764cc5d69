//! The target of `--capture`: whether its /init would find exactly one device, use it, and have
//! room on it.
//!
//! *On entry* the initrd, armed or about to be. *On exit* why there would be no dump, or its room.

use capture_init::Target;
use capture_init::disks::NotFound;

use super::super::capture::{Capture, Made};
use super::super::files::Files;
use super::device::Leaves;
use super::need::Need;
use super::{device, mounts, room, unseen};
use crate::capture::{Error, Refused, expect, find, id_words};
use crate::findings::{Code, Finding};
use crate::messages::in_full;

pub fn look(
    files: Files<'_>,
    capture: &Capture,
    made: &Made,
    need: Option<Need>,
    findings: &mut Vec<Finding>,
) {
    let found = match &made.armed {
        // The armed one counts, even if the user's words lead elsewhere by now.
        Some(target) => expect(files, target).map(|disk| (disk, target.clone())),
        None => find(files, &made.place).map(|found| (found.disk, found.target)),
    };
    let (disk, target) = match found {
        Ok(found) => found,
        Err(error) => {
            findings.push(unusable(made, &error));
            return;
        }
    };
    let block = format!("sys/class/block/{}", disk.name);
    let free = match target {
        Target::Raw { .. } => device::size(files, &block),
        Target::Directory { .. } => mounts::mounted(files, &block)
            .and_then(|point| device::free(files, &point, Leaves::AsCapture)),
    };
    let place = made.target.to_string();
    unseen(files, capture, &block, &place, findings);
    room(&place, free, 0, need, findings);
}

/// What a target that /init cannot use means for the dump.
fn unusable(made: &Made, error: &Error) -> Finding {
    let place = match &made.armed {
        Some(Target::Raw { disk } | Target::Directory { disk, .. }) => id_words(disk),
        None => made.place.to_string(),
    };
    match error {
        Error::Read { .. }
        | Error::Table { .. }
        | Error::Silent { .. }
        | Error::Device(NotFound::Silent { .. }) => {
            let message = format!("whether {place} takes the dump is unknown: {}", in_full(error));
            Finding::new(Code::CannotLook, message)
        }
        Error::Device(NotFound::Ambiguous { first, second, .. }) => {
            let message = format!(
                "the dump goes to {place}, but two devices have this identifier, {first} and \
                 {second}: the capture kernel would write to neither"
            );
            Finding::new(Code::TargetMissing, message)
                .remedy("detach one of them, or change its identifier, as with sfdisk --part-uuid")
        }
        Error::Device(NotFound::None { .. }) => {
            let message = format!("the dump goes to {place}, which is not on this machine");
            Finding::new(Code::TargetMissing, message)
                .remedy("attach the device, or arm an image with another --capture")
        }
        Error::Refused(Refused::ReadOnly { device }) => {
            let message =
                format!("the dump goes to {place}, but {} is read-only", device.display());
            Finding::new(Code::TargetReadOnly, message)
                .remedy("make the device writable, or arm an image with another --capture")
        }
        _ => {
            let message = format!("the dump goes to {place}, which cannot be used: {error}");
            Finding::new(Code::TargetMissing, message)
                .remedy("restore the target, or arm an image with another --capture")
        }
    }
}

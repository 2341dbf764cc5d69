//! The mount that a service on the root file system saves the dump to. The capture kernel makes it
//! only if /etc/fstab says so; otherwise, the dump goes to the file system below.
//!
//! *On entry* the directory of the dump. *On exit* a finding if that mount may not be made.

use super::super::dump_target::{Target, fstab, mounts};
use super::super::files::Files;
use crate::findings::{Code, Finding};

/// Options of entries that are mounted by hand or when it is too late (systemd.mount(5)):
/// kdump-tools-dump.service does not want remote-fs.target.
const NOT_MOUNTED: [&str; 2] = ["noauto", "_netdev"];
/// An option that mounts at the first access.
const AUTOMOUNT: &str = "x-systemd.automount";

/// Findings that say enough about the mount.
const SAID: [Code; 3] = [Code::TargetUnknown, Code::TargetVolatile, Code::TargetReadOnly];

/// Checks the mount of a directory to which `saver` saves.
pub(super) fn look(
    files: Files<'_>,
    saver: &str,
    target: Option<&Target>,
    findings: &[Finding],
) -> Option<Finding> {
    let Some(Target::Directory(directory)) = target else { return None };
    if findings.iter().any(|finding| SAID.contains(&finding.code)) {
        return None;
    }
    let path = mounts::real_path(files, directory).ok()?;
    let mount = mounts::mount_of(files, &path).filter(|mount| mount.point != "/")?;
    let entry = fstab::entries(files).into_iter().find(|entry| entry.point == mount.point);
    let is_mounted = entry.is_some_and(|entry| {
        entry.has(AUTOMOUNT) || !NOT_MOUNTED.iter().any(|option| entry.has(option))
    });
    if is_mounted {
        return None;
    }
    let message = format!(
        "{directory} is on the mount {}, which /etc/fstab does not make before {saver} starts: the \
         dump may go to the file system below it, whose room is unknown",
        mount.point
    );
    let remedy = format!("add {} to /etc/fstab, without noauto and _netdev", mount.point);
    Some(Finding::new(Code::TargetUnknown, message).remedy(remedy))
}

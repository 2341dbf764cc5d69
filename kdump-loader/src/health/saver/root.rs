//! The root file system that the capture kernel boots to reach the saver on it: whether its device
//! is on this machine, and whether the capture kernel can open it.

use super::super::capture::Capture;
use super::super::dump_target::{device, encrypted, may_need_key, mounts, over_network, unseen};
use super::super::files::Files;
use crate::findings::{Code, Finding};

/// Values of `root=` that name a device: paths, and identifiers as in fstab(5).
const DEVICES: [&str; 5] = ["/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="];
/// Values below /dev that name none, but another machine (`parse_root_device`, init/do_mounts.c).
const NO_DEVICES: [&str; 2] = ["/dev/nfs", "/dev/cifs"];
/// A partition that is counted from another one (`devt_from_partuuid`, block/early-lookup.c).
const COUNTED: &str = "/PARTNROFF=";
/// dracut's prefix of a device.
const BLOCK: &str = "block:";

/// Checks the root file system that has `saver`.
pub(super) fn look(files: Files<'_>, capture: &Capture, saver: &str, findings: &mut Vec<Finding>) {
    let Some(root) = capture.parameter("root") else { return };
    let mounted = mounts::mount_of(files, "/");
    let name = root.strip_prefix(BLOCK).unwrap_or(&root);
    let is_mounted = mounted.as_ref().is_some_and(|mount| mount.source == name);
    let block = match device::block_device(files, name) {
        Some(block) => block,
        None if names_device(name) && !is_mounted => {
            let message =
                format!("the capture kernel boots root={root}, which is not on this machine");
            findings.push(
                Finding::new(Code::TargetMissing, message)
                    .remedy("correct root= on the capture kernel's command line"),
            );
            return;
        }
        // It is most likely the one that is in use.
        None => mounted.as_ref().map(|mount| mount.device.clone()).unwrap_or_default(),
    };
    // One finding is enough if the target is on the same volume.
    if !findings.iter().any(|finding| finding.code == Code::TargetEncrypted) {
        encrypted(files, capture, &block, saver, findings);
        findings.extend(mounted.and_then(|mount| may_need_key(&mount, saver)));
    }
    if !findings.iter().any(|finding| finding.code == Code::TargetOnNetwork) {
        findings.extend(over_network(files, &block, saver));
    }
    unseen(files, capture, &block, saver, findings);
}

/// Whether a value of `root=`, or the first field of fstab(5), names a block device.
pub(super) fn names_device(name: &str) -> bool {
    DEVICES.iter().any(|start| name.starts_with(start))
        && !NO_DEVICES.contains(&name)
        && !name.contains(COUNTED)
}

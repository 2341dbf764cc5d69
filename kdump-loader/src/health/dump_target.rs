//! The place where the dump goes, from the settings of the service that saves it: whether it
//! exists, has room, and can be opened by the capture kernel.

use std::fmt;

use serde::Serialize;

use super::cannot_look;
use super::capture::Capture;
use super::files::Files;
use super::saver::Service;
use crate::findings::{Code, Finding};

pub(crate) mod device; // a block device, and whether it is encrypted
pub(crate) mod fstab; // the mounts of the next boot
pub(crate) mod mounts; // the mount of a directory
mod need; // the size of the dump
mod of_capture; // what the /init of --capture will find
mod settings; // the services' own settings
mod usb; // a disk that the capture kernel does not see
mod writable; // whether a mount takes a dump and keeps it

use device::Leaves;
use need::Need;
pub(super) use settings::{is_copy, kdump_tools_is_off, newer_than_copy, suse_saves_only_a_log};
pub(super) use usb::unseen;

/// The best compression of a dump. Free space below this fraction is certainly too little.
const BEST_COMPRESSION: u64 = 10;

/// The place where the dump goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A directory on a mounted file system.
    Directory(String),
    /// A device, and a directory of the file system on it.
    Device {
        /// As the settings name it.
        device: String,
        /// The directory; `None` if the dump is written to the device itself.
        directory: Option<String>,
    },
    /// A directory that this virtual machine's host shares.
    Virtiofs {
        /// The host's name for the share. It is not a device.
        tag: String,
        /// The directory in the share.
        directory: String,
    },
    /// Another machine.
    Network(String),
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(out, "{directory}"),
            Self::Device { device, directory: Some(directory) } => {
                write!(out, "{directory} of {device}")
            }
            Self::Device { device, directory: None } => write!(out, "{device}"),
            Self::Virtiofs { tag, directory } => write!(out, "{directory} of {tag} (virtiofs)"),
            Self::Network(place) => write!(out, "{place}"),
        }
    }
}

/// The relevant settings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    target: Target,
    /// The command that makes the dump.
    collector: String,
    /// Bytes that the program leaves free. If fewer are, it deletes the dump.
    kept_free: u64,
}

pub(super) fn look(
    files: Files<'_>,
    capture: &Capture,
    service: Service,
    findings: &mut Vec<Finding>,
) -> Option<Target> {
    let settings = match settings::read(files, capture, service) {
        Ok(settings) => settings?,
        Err(message) => {
            findings.push(Finding::new(Code::TargetUnknown, message));
            return None;
        }
    };
    let old = need::too_old(files, capture, service, &settings.collector, findings);
    let need = need::bytes(files, &settings.collector, old);
    if let Some(made) = &capture.made {
        of_capture::look(files, capture, made, need, findings);
        return Some(settings.target);
    }
    match &settings.target {
        Target::Directory(directory) => {
            let path = match mounts::real_path(files, directory) {
                Ok(path) => path,
                Err(mount) => {
                    findings.push(not_asked(directory, &mount));
                    return Some(settings.target);
                }
            };
            if let Some(mount) = mounts::mount_of(files, &path) {
                match writable::look(files, service, directory, mount, findings) {
                    Some(mount) => {
                        encrypted(files, capture, &mount.device, directory, findings);
                        findings.extend(over_network(files, &mount.device, directory));
                        findings.extend(may_need_key(&mount, directory));
                        unseen(files, capture, &mount.device, directory, findings);
                    }
                    None => return Some(settings.target),
                }
            }
            let kept = settings.kept_free;
            let leaves = if kept == 0 { Leaves::Nothing } else { Leaves::Bytes(kept) };
            room(directory, device::free(files, &path, leaves), kept, need, findings);
        }
        Target::Device { device, directory } => match device::find(files, device) {
            Err(error) => findings.push(cannot_look(&error)),
            Ok(None) => {
                let message = format!("the dump goes to {device}, which is not on this machine");
                findings.push(
                    Finding::new(Code::TargetMissing, message)
                        .remedy("correct the settings of the service, or attach the device"),
                );
            }
            Ok(Some(block)) => {
                encrypted(files, capture, &block, device, findings);
                findings.extend(over_network(files, &block, device));
                unseen(files, capture, &block, device, findings);
                if device::is_in_memory(files, &block) {
                    findings.push(writable::volatile(device, "it is a device in memory"));
                }
                let mounted = mounts::mounted(files, &block);
                let free = match (directory, mounted) {
                    (None, _) => device::size(files, &block),
                    (Some(_), Some(mount_point)) => {
                        device::free(files, &mount_point, Leaves::Nothing)
                    }
                    (Some(_), None) => None,
                };
                room(device, free, 0, need, findings);
            }
        },
        Target::Virtiofs { .. } => room(&settings.target.to_string(), None, 0, need, findings),
        Target::Network(place) => {
            let message = format!(
                "the dump goes to {place}: whether the capture kernel can reach it and has room \
                 there is unknown"
            );
            findings.push(Finding::new(Code::TargetOnNetwork, message).remedy(TEST));
        }
    }
    Some(settings.target)
}

/// Compares the bytes that are `free` for the dump, besides those `kept` free, with those that it
/// needs.
fn room(
    place: &str,
    free: Option<u64>,
    kept: u64,
    need: Option<Need>,
    findings: &mut Vec<Finding>,
) {
    let mib = |bytes: u64| bytes >> 20;
    let besides = match kept {
        0 => String::new(),
        kept => format!(" besides the {} MiB that its settings keep free", mib(kept)),
    };
    let remedy = "free space there, or set a larger target in the settings of the service";
    match (free, need) {
        (Some(free), Some(Need { least, .. })) if free < least / BEST_COMPRESSION => {
            let message = format!(
                "{place} has {} MiB free{besides}, but a dump of the memory in use now needs about \
                 {} MiB before compression",
                mib(free),
                mib(least)
            );
            findings.push(Finding::new(Code::TargetFull, message).remedy(remedy));
        }
        (Some(free), Some(Need { most, .. })) if free < most => {
            let message = format!(
                "{place} has {} MiB free{besides}, but a dump of the memory in use now may need \
                 {} MiB before compression",
                mib(free),
                mib(most)
            );
            findings.push(Finding::new(Code::TargetSmall, message).remedy(remedy));
        }
        (Some(_), Some(_)) => {}
        (None, _) | (_, None) => {
            let message = format!("whether {place} has enough room for the dump is unknown");
            findings.push(Finding::new(Code::TargetUnknown, message));
        }
    }
}

/// The finding about a directory that was not accessed, because its file system may not respond.
fn not_asked(directory: &str, mount: &mounts::Mount) -> Finding {
    let (code, remedy) = match mount.is_on_network() {
        true => (Code::TargetOnNetwork, TEST),
        false => (Code::TargetUnknown, "set a directory on a disk in the settings of the service"),
    };
    let message = format!(
        "the dump goes to {directory} on the mount {} ({}), which was not accessed: whether the \
         capture kernel can reach it and has room there is unknown",
        mount.point, mount.kind
    );
    Finding::new(code, message).remedy(remedy)
}

/// Reports that `place` is on an encrypted volume, if its device is one or is on one.
pub(super) fn encrypted(
    files: Files<'_>,
    capture: &Capture,
    block: &str,
    place: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(volume) = device::encrypted(files, block) else { return };
    let keys = if capture.by_file {
        "kexec_file_load hands keys over only if they are in \
         /sys/kernel/config/crash_dm_crypt_keys before the load (since Linux 6.17)"
    } else {
        "kexec_load hands no keys over"
    };
    let message = format!(
        "{place} is on the encrypted volume {volume}, and whether the capture kernel can open it \
         is unknown: {keys}"
    );
    let remedy = "save the dump to an unencrypted device or another machine, or make the initrd \
                  unlock the volume unattended";
    findings.push(Finding::new(Code::TargetEncrypted, message).remedy(remedy));
}

/// The finding about a `place` whose disk another machine has, as with iSCSI.
pub(super) fn over_network(files: Files<'_>, block: &str, place: &str) -> Option<Finding> {
    let disk = device::on_network(files, block)?;
    let message = format!(
        "{place} is on {disk}, which is reached over a network: whether the capture kernel can \
         reach it is unknown"
    );
    Some(Finding::new(Code::TargetOnNetwork, message).remedy(TEST))
}

/// What tells whether a capture kernel reaches its target.
const TEST: &str = "test one panic, and look for the dump";

/// File systems that encrypt their files themselves. Nothing in /sys or /proc says whether they do.
const WITH_KEYS: [&str; 2] = ["zfs", "bcachefs"];

/// Reports that `place` may be encrypted by the file system of its mount.
pub(super) fn may_need_key(mount: &mounts::Mount, place: &str) -> Option<Finding> {
    if !WITH_KEYS.contains(&mount.kind.as_str()) {
        return None;
    }
    let message = format!(
        "{place} is on {} (mounted at {}), which may be encrypted: whether the capture kernel gets \
         its key is unknown",
        mount.kind, mount.point
    );
    let remedy = "save the dump to ext4 or xfs on an unencrypted device, or to another machine; or \
                  test one panic, and look for the dump";
    Some(Finding::new(Code::TargetEncrypted, message).remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_full_if_even_a_compressed_dump_does_not_fit() {
        let codes = |free, least, most| {
            let mut findings = Vec::new();
            room("/var/crash", free, 0, Some(Need { least, most }), &mut findings);
            findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(Some(100), 100, 100), []);
        assert_eq!(codes(Some(99), 100, 100), [Code::TargetSmall]);
        assert_eq!(codes(Some(10), 100, 100), [Code::TargetSmall]);
        assert_eq!(codes(Some(9), 100, 100), [Code::TargetFull]);
        assert_eq!(
            codes(Some(9), 90, 100),
            [Code::TargetSmall],
            "memory that only `most` counts may need no room"
        );
        assert_eq!(codes(None, 100, 100), [Code::TargetUnknown]);
        let mut findings = Vec::new();
        room("/var/crash", Some(100), 0, None, &mut findings);
        assert_eq!(findings[0].code, Code::TargetUnknown);
    }
}

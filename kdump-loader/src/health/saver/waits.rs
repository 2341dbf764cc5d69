//! What the service on the root file system waits for. systemd starts it after the mounts of
//! fstab(5) and the volumes of crypttab(5), because a service has `DefaultDependencies=yes` unless
//! it says otherwise, and no unit of these packages does.
//!
//! *On entry* both files. *On exit* what may keep the service from starting: a device that is
//! absent, whose mount ends the boot in emergency.target, and a volume that asks for a passphrase.

use super::super::dump_target::fstab::{self, Entry};
use super::super::dump_target::{device, mounts};
use super::super::files::Files;
use super::root;
use crate::findings::{Code, Finding};

/// Options of entries that no service waits for (systemd.mount(5), crypttab(5)). Those with
/// `_netdev` are in remote-fs.target.
const NOT_WAITED_FOR: [&str; 4] = ["nofail", "noauto", "_netdev", "x-systemd.automount"];
/// Keys of crypttab(5) that stand for a passphrase.
const PASSPHRASE: [&str; 2] = ["none", "-"];
/// Where systemd-cryptsetup(8) looks for the key of a volume without one.
const KEYS: [&str; 2] = ["etc/cryptsetup-keys.d", "run/cryptsetup-keys.d"];
/// The option of a volume that a TPM opens.
const TPM: &str = "tpm2-device=";

/// Checks what `saver` waits for.
pub(super) fn look(files: Files<'_>, saver: &str, findings: &mut Vec<Finding>) {
    let mut waited_for = fstab::entries(files);
    waited_for.retain(is_waited_for);
    for Entry { device, point, .. } in waited_for.iter().filter(|it| is_absent(files, it)) {
        let message = format!(
            "/etc/fstab mounts {device} at {point}, which is not on this machine: the capture \
             kernel waits for it, and may then not start {saver}"
        );
        let remedy = format!("attach {device}, or add nofail to its options in /etc/fstab");
        findings.push(Finding::new(Code::SaverWaits, message).remedy(remedy));
    }
    let opened = mounts::mount_of(files, "/").and_then(|it| device::encrypted(files, &it.device));
    let text = files.text("etc/crypttab").unwrap_or_default();
    // The root file system's own has another finding.
    let volumes = text.lines().filter_map(|line| asks(files, line, &waited_for));
    for volume in volumes.filter(|volume| opened.as_deref() != Some(volume)) {
        let message = format!(
            "/etc/crypttab has no key for {volume}: the capture kernel asks for its passphrase, \
             and may not start {saver} before"
        );
        let remedy = format!(
            "add a key to {volume} in /etc/crypttab, or nofail to its options there and to those \
             of its mount in /etc/fstab"
        );
        findings.push(Finding::new(Code::SaverWaits, message).remedy(remedy));
    }
}

/// Whether services wait for an entry. Swap space that fails does not keep them from starting; the
/// root file system is mounted before.
fn is_waited_for(entry: &Entry) -> bool {
    entry.kind != "swap"
        && entry.point != "/"
        && root::names_device(&entry.device)
        && !NOT_WAITED_FOR.iter().any(|option| entry.has(option))
}

/// Whether the device of an entry is not there.
fn is_absent(files: Files<'_>, entry: &Entry) -> bool {
    let is_mounted =
        || mounts::mount_of(files, &entry.point).is_some_and(|mount| mount.point == entry.point);
    device::block_device(files, &entry.device).is_none() && !is_mounted()
}

/// The volume of a line of crypttab(5) that asks for a passphrase before these mounts are there.
fn asks<'l>(files: Files<'_>, line: &'l str, waited_for: &[Entry]) -> Option<&'l str> {
    let mut fields = line.split_whitespace();
    let volume = fields.next().filter(|volume| !volume.starts_with('#'))?;
    let _device = fields.next()?;
    let key = fields.next().unwrap_or("none");
    let options: Vec<&str> = fields.next().unwrap_or_default().split(',').collect();
    // Services wait for a mount on it, whatever the volume's own options say.
    let node = format!("/dev/mapper/{volume}");
    let opened = device::block_device(files, &node);
    let is_mounted = waited_for.iter().any(|entry| {
        let is_open = || opened.is_some() && opened == device::block_device(files, &entry.device);
        entry.device == node || is_open()
    });
    let may_wait = !is_mounted && options.iter().any(|option| NOT_WAITED_FOR.contains(option));
    let is_skipped = may_wait || options.iter().any(|option| option.starts_with(TPM));
    let has_key = KEYS.iter().any(|directory| files.exists(format!("{directory}/{volume}.key")));
    (PASSPHRASE.contains(&key) && !is_skipped && !has_key).then_some(volume)
}

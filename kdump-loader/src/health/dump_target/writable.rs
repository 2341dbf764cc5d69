//! What a mount does with a dump: keeps it, loses it at the next boot, or does not take it.

use super::super::files::Files;
use super::super::saver::Service;
use super::device;
use super::fstab::{self, Entry};
use super::mounts::{self, Mount, unescaped};
use crate::findings::{Code, Finding};

/// File systems that are made once and never written to.
const READ_ONLY: [&str; 5] = ["squashfs", "erofs", "iso9660", "cramfs", "romfs"];
/// File systems in memory. `rootfs` is the initramfs.
const VOLATILE: [&str; 3] = ["tmpfs", "ramfs", "rootfs"];
/// The directory of a tmpfs that `systemd.volatile=overlay` hides after it has mounted the overlay
/// (`make_overlay`, systemd's src/volatile-root/volatile-root.c).
const OF_SYSTEMD: &str = "/run/systemd/overlay-sysroot/";
/// Limit of stacked overlays. The kernel's is two (`FILESYSTEM_MAX_STACK_DEPTH`,
/// include/linux/fs.h).
const DEEPEST: usize = 4;

/// Checks that the mount of `directory` takes a dump and keeps it. Returns the mount that has its
/// files, which is another one if it is an overlay.
pub fn look(
    files: Files<'_>,
    service: Service,
    directory: &str,
    mount: Mount,
    findings: &mut Vec<Finding>,
) -> Option<Mount> {
    let found = of_overlay(files, directory, mount).and_then(|mount| {
        if VOLATILE.contains(&mount.kind.as_str()) {
            return Err(volatile(directory, &format!("{} is a {}", mount.point, mount.kind)));
        }
        if device::is_in_memory(files, &mount.device) || device::is_memory(&mount.source) {
            return Err(volatile(directory, &format!("its device is {}", mount.source)));
        }
        if READ_ONLY.contains(&mount.kind.as_str()) {
            return Err(read_only(directory, &format!("{} is {}", mount.point, mount.kind)));
        }
        Ok(mount)
    });
    let mount = found.map_err(|finding| findings.push(finding)).ok()?;
    // These two mount the device themselves, writable: `--capture`, and mkdumprd (`to_mount`).
    let mounts_itself = matches!(service, Service::Capture | Service::KdumpUtils);
    if mount.is_read_only && !mounts_itself && !is_writable_in_fstab(files, &mount.point) {
        let message = format!(
            "{} is mounted read-only, so whether {directory} takes the dump is unknown",
            mount.point
        );
        let remedy =
            format!("run mount -o remount,rw {}, or give it rw in /etc/fstab", mount.point);
        findings.push(Finding::new(Code::TargetUnknown, message).remedy(remedy));
    }
    Some(mount)
}

/// The mount that has the files written to this one: that of its upper directory, if it is an
/// overlay.
fn of_overlay(files: Files<'_>, directory: &str, mut mount: Mount) -> Result<Mount, Finding> {
    for _ in 0..DEEPEST {
        if mount.kind != "overlay" {
            return Ok(mount);
        }
        let upper = mount.options.split(',').find_map(|option| option.strip_prefix("upperdir="));
        let Some(upper) = upper.map(unescaped) else {
            let why = format!("{} is an overlay without an upper directory", mount.point);
            return Err(read_only(directory, &why));
        };
        if upper.starts_with(OF_SYSTEMD) {
            let why = format!("{} is an overlay of systemd.volatile=overlay", mount.point);
            return Err(volatile(directory, &why));
        }
        // The path is from the time of the mount. Often it is hidden now.
        let real = mounts::real_path(files, &upper).ok().filter(|path| files.exists(path));
        match real.and_then(|path| mounts::mount_of(files, &path)) {
            Some(below) if below != mount => mount = below,
            _ => {
                let message = format!(
                    "{directory} is on the overlay {}, whose upper directory {upper} is not \
                     visible, so whether the dump outlives the boot is unknown",
                    mount.point
                );
                return Err(Finding::new(Code::CannotLook, message)
                    .remedy("set a directory on a disk in the settings of the service"));
            }
        }
    }
    Ok(mount)
}

/// The finding about a dump in memory.
pub fn volatile(place: &str, why: &str) -> Finding {
    let message = format!("{place} is in memory ({why}): the next boot would lose the dump");
    Finding::new(Code::TargetVolatile, message)
        .remedy("set a directory on a disk in the settings of the service")
}

fn read_only(directory: &str, why: &str) -> Finding {
    let message = format!("{directory} cannot be written to ({why})");
    Finding::new(Code::TargetReadOnly, message)
        .remedy("set a directory on a writable file system in the settings of the service")
}

/// Whether the next boot mounts a file system writable there, as fstab(5) says. Then a mount that
/// is read-only now, as after an error, does not matter.
fn is_writable_in_fstab(files: Files<'_>, point: &str) -> bool {
    // The last of both options counts (mount(8)).
    let is_writable = |entry: Entry| {
        entry.options.split(',').rfind(|option| matches!(*option, "ro" | "rw")) != Some("ro")
    };
    fstab::entries(files).into_iter().find(|entry| entry.point == point).is_some_and(is_writable)
}

//! A Debian with systemd and kdump-tools, installed on a disk, for scenarios about its services.
//!
//! * On entry: the guests' release.
//! * On exit: an ext4 image; copies of its kernel and initrd; the programs of e2fsprogs that read
//!   it.
//!
//! Nothing is installed on this machine. The essential packages are unpacked into a tree, and dpkg
//! in that tree installs all packages (`debian_disk/install.sh`). mke2fs makes the image from the
//! tree without mounting it. Without root the disk is missing, with the reason.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_runner::assets::{DebianDisk, Kernel};
use sha2::{Digest, Sha256};

use super::Supply;
use super::apt::{Package, Release};
use super::program;
use super::tree::{ESSENTIAL, Tree, possible};
use crate::command;

/// The packages besides the essential ones.
const PACKAGES: [&str; 7] = [
    "systemd-sysv",
    "udev",
    "kmod",
    "initramfs-tools",
    "kdump-tools",
    "makedumpfile",
    "linux-image-cloud-amd64",
];
/// The prefix of a kernel's package.
const KERNEL: &str = "linux-image-";
/// The size of the disk: the system, and room for a dump.
const SIZE: &str = "640M";

/// The script that installs the packages, inside the tree.
const INSTALL: &str = include_str!("debian_disk/install.sh");
/// The service through which the runner controls the guest.
const AGENT: &str = include_str!("debian_disk/agent.service");

pub fn get(supply: &Supply<'_>, directory: &Path) -> Result<DebianDisk> {
    let sh = supply.sh;
    possible(sh).context("making the disk takes root and namespaces")?;
    sh.remove_path(directory)?;
    let tools = directory.join("tools");
    let debugfs = program::get(supply, &tools, "e2fsprogs", "debugfs")?;
    let [e2fsck, mke2fs] =
        ["e2fsck", "mke2fs"].map(|name| program::in_tree(&tools, &debugfs.version, name));
    let (e2fsck, mke2fs) = (e2fsck?, mke2fs?);

    let root = supply.root(Release::Guests)?;
    let essential = root.closure(&[ESSENTIAL], None)?;
    let all = root.closure(&[&[ESSENTIAL], &PACKAGES[..]].concat(), None)?;
    root.fetch(&all)?;
    let system = Tree::unpack(sh, directory.join("system"), &root, &essential)?;
    for package in &all {
        let place = if package.name.starts_with(KERNEL) { "packages/kernel" } else { "packages" };
        sh.create_dir(system.root.join(place))?;
        sh.copy_file(supply.repo.downloads().join(package.file_name()), system.root.join(place))?;
    }
    system.add(sh, "etc/systemd/system/agent.service", AGENT.as_bytes())?;
    system.add(sh, "install.sh", INSTALL.as_bytes())?;
    eprintln!("  installing {} packages", all.len());
    command::read(system.run(sh, "/install.sh"))
        .context("Debian could not be installed on the disk")?;

    let releases = all.iter().filter_map(|package| package.name.strip_prefix(KERNEL));
    let mut releases = releases.filter(|release| release.starts_with(|c: char| c.is_ascii_digit()));
    let release = releases.next().context("no kernel among the packages")?.to_owned();
    let keep = |name: String| -> Result<PathBuf> {
        let (from, to) = (system.root.join("boot").join(&name), directory.join(&name));
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(to)
    };
    let vmlinuz = keep(format!("vmlinuz-{release}"))?;
    let initrd = keep(format!("initrd.img-{release}"))?;

    let image = directory.join("disk.ext4");
    // Without the two options, the guest's kernel would write its tables during a scenario.
    let options = ["-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d"];
    let mut make = mke2fs.on_host();
    make.args(options).arg(&system.root).arg(&image).arg(SIZE);
    let made = make.output().context("could not start mke2fs")?;
    ensure!(
        made.status.success(),
        "mke2fs failed ({})\n{}",
        made.status,
        command::tail(&made.stderr)
    );
    sh.remove_path(&system.root)?;
    let kernel = Kernel { vmlinuz, release, virtio_mem: None, modules: None };
    let packages = all.iter().map(Package::spec).collect();
    Ok(DebianDisk { image, kernel, initrd, packages, recipe: recipe(), debugfs, e2fsck })
}

/// A digest of everything besides packages that the disk depends on.
pub fn recipe() -> String {
    let mut hash = Sha256::new();
    [INSTALL, AGENT, SIZE].iter().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

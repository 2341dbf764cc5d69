//! A Debian with systemd and kdump-tools, installed on a disk, for scenarios about its services.
//!
//! * On entry: the guests' apt root.
//! * On exit: an ext4 image; copies of its kernel and initrd; the programs of e2fsprogs that read
//!   it.
//!
//! Nothing is installed on this machine. The essential packages are unpacked into a tree, and dpkg
//! in that tree installs all packages (`debian_disk/install.sh`). mke2fs makes the image from the
//! tree without mounting it. Processes enter the tree in namespaces of their own, which end with
//! them. That takes root. Without root the disk is missing, with the reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use qemu_runner::assets::{DebianDisk, GuestProgram, Kernel, Part};
use sha2::{Digest, Sha256};
use xshell::cmd;

use super::program;
use crate::command;
use crate::setup::apt::root::Package;
use crate::setup::apt::suites::Purpose;
use crate::setup::supply::{Files, Found, Supply};

/// The part's name in the manifest, and its directory.
pub const NAME: &str = "debian-disk";
/// The packages of every system (apt-patterns(7)).
pub const ESSENTIAL: &str = "?essential";
/// The further packages.
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
/// The package of the programs for the disk.
const E2FSPROGS: &str = "e2fsprogs";

/// The script that installs the packages, inside the tree.
const INSTALL: &str = include_str!("debian_disk/install.sh");
/// The service through which the runner controls the guest.
const AGENT: &str = include_str!("debian_disk/agent.service");
/// Character devices that maintainer scripts use: name, major and minor number
/// (admin-guide/devices.txt).
pub const DEVICES: [(&str, &str, &str); 5] = [
    ("null", "1", "3"),
    ("zero", "1", "5"),
    ("full", "1", "7"),
    ("random", "1", "8"),
    ("urandom", "1", "9"),
];

/// Makes the disk, unless the present disk has the newest packages.
pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Found<DebianDisk>> {
    if let Err(reason) = possible(supply) {
        return Ok(Found::missing(format!(
            "making the disk takes root and namespaces: {reason:#}"
        )));
    }
    let root = supply.root(Purpose::Guests)?;
    let essential = root.closure(&[ESSENTIAL], None)?;
    let all = root.closure(&[&[ESSENTIAL], &PACKAGES[..]].concat(), None)?;
    let packages: Vec<String> = all.iter().map(Package::spec).collect();
    if let Some(Part::Present(disk)) = supply.remembered::<DebianDisk>(NAME)
        && disk.packages == packages
    {
        return Ok(Found::present(disk, packages));
    }

    let sh = supply.sh;
    let tools = tree.join("tools");
    sh.remove_path(tree)?;
    let debugfs = required(program::get(supply, &tools, E2FSPROGS, "debugfs")?.part)?;
    let [e2fsck, mke2fs] =
        ["e2fsck", "mke2fs"].map(|program| program::another(&tools, &debugfs, program));

    let system = tree.join("system");
    supply.unpack(&root, &essential, &system)?;
    supply.fetch(&root, &all)?;
    eprintln!("  installing {} packages", all.len());
    install(supply, &all, &system)?;

    let kernel = all.iter().find_map(|package| {
        package
            .name
            .strip_prefix(KERNEL)
            .filter(|release| release.starts_with(|c: char| c.is_ascii_digit()))
    });
    let release = kernel.context("no kernel among the packages")?.to_owned();
    let keep = |name: String| -> Result<PathBuf> {
        let (from, to) = (system.join("boot").join(&name), tree.join(&name));
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(to)
    };
    let (vmlinuz, initrd) =
        (keep(format!("vmlinuz-{release}"))?, keep(format!("initrd.img-{release}"))?);
    let image = tree.join("disk.ext4");
    make_image(&mke2fs?, &system, &image)?;
    sh.remove_path(&system)?;
    let disk = DebianDisk {
        image,
        kernel: Kernel { vmlinuz, release, virtio_mem: None },
        initrd,
        packages: packages.clone(),
        recipe: recipe(),
        debugfs,
        e2fsck: e2fsck?,
    };
    Ok(Found::present(disk, packages))
}

/// Fails if this machine cannot make and enter a tree as [`install`] does.
pub fn possible(supply: &Supply<'_>) -> Result<()> {
    let sh = supply.sh;
    let directory = sh.create_temp_dir()?;
    let (null, proc, (_, major, minor)) =
        (directory.path().join("null"), directory.path().join("proc"), DEVICES[0]);
    command::read(cmd!(sh, "mknod {null} c {major} {minor}"))?;
    sh.create_dir(&proc)?;
    command::read(cmd!(
        sh,
        "unshare --mount --pid --fork --kill-child --mount-proc={proc} chroot / true"
    ))
    .map(drop)
}

/// Installs `packages` in the tree.
fn install(supply: &Supply<'_>, packages: &[Package], system: &Path) -> Result<()> {
    let sh = supply.sh;
    for package in packages {
        let place = if package.name.starts_with(KERNEL) { "packages/kernel" } else { "packages" };
        sh.create_dir(system.join(place))?;
        sh.copy_file(supply.repo.downloads().join(package.file_name()), system.join(place))?;
    }
    // Files that dpkg needs (dpkg(1), FILES).
    for empty in ["status", "available"] {
        sh.write_file(system.join("var/lib/dpkg").join(empty), "")?;
    }
    sh.write_file(system.join("etc/systemd/system/agent.service"), AGENT)?;
    sh.write_file(system.join("install.sh"), INSTALL)?;
    for (name, major, minor) in DEVICES {
        let device = system.join("dev").join(name);
        command::read(cmd!(sh, "mknod -m 666 {device} c {major} {minor}"))?;
    }
    let proc = system.join("proc");
    // With an empty environment, so that the disk does not depend on this machine.
    command::read(cmd!(
        sh,
        "env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --mount --pid --fork --kill-child --mount-proc={proc} chroot {system} sh /install.sh"
    ))
    .context("Debian could not be installed on the disk")?;
    Ok(())
}

/// Makes an ext4 image of a tree. Without the two options, the guest's kernel would write its
/// tables during a scenario.
fn make_image(mke2fs: &GuestProgram, system: &Path, image: &Path) -> Result<()> {
    let mut command: Command = mke2fs.on_host();
    command
        .args(["-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d"])
        .arg(system)
        .arg(image)
        .arg(SIZE);
    let output = command.output().context("could not start mke2fs")?;
    if !output.status.success() {
        bail!(
            "mke2fs could not make {} ({})\n{}",
            image.display(),
            output.status,
            command::tail(&output.stderr)
        );
    }
    Ok(())
}

/// Raised when [`get`] makes the disk differently.
const RECIPE: &str = "1";

/// A digest of everything besides packages that the disk depends on.
fn recipe() -> String {
    let mut hash = Sha256::new();
    for part in [INSTALL, AGENT, SIZE, RECIPE] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn required<T>(part: Part<T>) -> Result<T> {
    match part {
        Part::Present(part) => Ok(part),
        Part::Missing(reason) => bail!(reason),
    }
}

impl Files for DebianDisk {
    fn files(&self) -> Vec<&Path> {
        let own =
            [&self.image, &self.kernel.vmlinuz, &self.initrd].into_iter().map(PathBuf::as_path);
        own.chain(self.debugfs.files()).chain(self.e2fsck.files()).collect()
    }

    fn is_current(&self) -> bool {
        self.recipe == recipe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_disk_of_another_recipe_is_made_again() {
        let program = || GuestProgram {
            version: "1".into(),
            files: BTreeMap::new(),
            program: "/bin/p".into(),
        };
        let mut disk = DebianDisk {
            image: "disk".into(),
            kernel: Kernel { vmlinuz: "vmlinuz".into(), release: "6.12".into(), virtio_mem: None },
            initrd: "initrd".into(),
            packages: Vec::new(),
            recipe: recipe(),
            debugfs: program(),
            e2fsck: program(),
        };
        assert!(disk.is_current());
        disk.recipe.clear();
        assert!(!disk.is_current());
    }

    #[test]
    fn device_numbers_are_linuxs() {
        use std::os::unix::fs::MetadataExt;
        for (name, major, minor) in DEVICES {
            let device = fs::metadata(Path::new("/dev").join(name)).unwrap().rdev();
            // `gnu_dev_makedev` for numbers below 256.
            let expected = major.parse::<u64>().unwrap() << 8 | minor.parse::<u64>().unwrap();
            assert_eq!(device, expected, "{name}");
        }
    }
}

//! A Debian in a directory, entered in namespaces of its own, which end with the process. That
//! takes root.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use super::Supply;
use super::apt::{Package, Release, Root};
use crate::command;

/// The packages of every system (apt-patterns(7)).
pub const ESSENTIAL: &str = "?essential";
/// Character devices that maintainer scripts use: name, major and minor number
/// (admin-guide/devices.txt).
const DEVICES: [(&str, &str, &str); 5] = [
    ("null", "1", "3"),
    ("zero", "1", "5"),
    ("full", "1", "7"),
    ("random", "1", "8"),
    ("urandom", "1", "9"),
];

/// The trees in which packages are tested: name, release, and packages besides the essential ones.
const FOR_PACKAGES: [(&str, Release, &[&str]); 3] = [
    ("debian-12", Release::Old, &[]),
    ("debian-13", Release::Guests, &[]),
    // busybox is the user space of the root in which rpm installs.
    ("rpm", Release::Guests, &["rpm", "busybox-static"]),
];

pub struct Tree {
    pub root: PathBuf,
}

impl Tree {
    /// Unpacks packages into a fresh tree with devices and an empty list of installed packages.
    /// dpkg has configured nothing, but every program that maintainer scripts call exists.
    pub fn unpack(sh: &Shell, root: PathBuf, apt: &Root<'_>, packages: &[Package]) -> Result<Self> {
        apt.unpack(packages, &root)?;
        for (name, major, minor) in DEVICES {
            let device = root.join("dev").join(name);
            command::read(cmd!(sh, "mknod -m 666 {device} c {major} {minor}"))?;
        }
        // Files that dpkg needs (dpkg(1), FILES).
        for empty in ["status", "available"] {
            sh.write_file(root.join("var/lib/dpkg").join(empty), "")?;
        }
        Ok(Self { root })
    }

    /// Runs a script of the tree with an empty environment, so that it does not depend on this
    /// machine.
    pub fn run<'a>(&self, sh: &'a Shell, script: &str) -> Cmd<'a> {
        let environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"];
        cmd!(sh, "env --ignore-environment {environment...}")
            .args(entering(&self.root))
            .args(["sh", script])
    }

    pub fn add(&self, sh: &Shell, place: &str, bytes: &[u8]) -> Result<()> {
        sh.write_file(self.root.join(place), bytes)
            .with_context(|| format!("cannot write {place} in {}", self.root.display()))
    }
}

/// The command that runs the words after it in a tree.
fn entering(root: &Path) -> Vec<String> {
    let proc = format!("--mount-proc={}", root.join("proc").display());
    let mut words =
        ["unshare", "--mount", "--pid", "--fork", "--kill-child"].map(String::from).to_vec();
    words.extend([proc, "chroot".into(), root.display().to_string()]);
    words
}

/// Fails if this machine cannot make and enter a tree.
pub fn possible(sh: &Shell) -> Result<()> {
    let directory = sh.create_temp_dir()?;
    let null = directory.path().join("null");
    command::read(cmd!(sh, "mknod {null} c 1 3")).context("this takes root")?;
    command::read(cmd!(sh, "unshare --mount --pid --fork true"))
        .context("this takes namespaces")?;
    Ok(())
}

/// Makes the trees for packages below `directory`, and returns each with its name.
pub fn for_packages(supply: &Supply<'_>, directory: &Path) -> Result<Vec<(&'static str, Tree)>> {
    let make = |(name, release, more): (_, _, &[_])| {
        let apt = supply.root(release)?;
        let packages = apt.closure(&[&[ESSENTIAL], more].concat(), None)?;
        Ok((name, Tree::unpack(supply.sh, directory.join(name), &apt, &packages)?))
    };
    FOR_PACKAGES.into_iter().map(make).collect()
}

//! Trees in which packages are tested: the essential packages of Debian 12 and of Debian 13, and of
//! Debian 13 with rpm.
//!
//! * On entry: the archive.
//! * On exit: each tree is freshly unpacked, with devices and an empty list of installed packages.
//!   dpkg has configured nothing, but every program that maintainer scripts call exists.
//!
//! Processes enter a tree in namespaces of their own, which takes root.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use super::apt::suites::Purpose;
use super::guests::debian_disk::{DEVICES, ESSENTIAL, possible};
use super::lock;
use super::supply::Supply;
use crate::command;
use crate::repository::Repository;

/// A tree.
pub struct Tree {
    /// Its name in messages.
    pub name: &'static str,
    /// Its root directory.
    pub root: PathBuf,
}

/// Each tree: its name, its archive, and packages besides the essential ones.
const TREES: [(&str, Purpose, &[&str]); 3] = [
    ("debian-12", Purpose::OldSystem, &[]),
    ("debian-13", Purpose::Guests, &[]),
    // busybox is the user space of the root in which rpm installs.
    ("rpm", Purpose::Guests, &["rpm", "busybox-static"]),
];

/// Makes the trees below `directory`. The inner error says why this machine cannot.
pub fn make(sh: &Shell, repo: &Repository, directory: &Path) -> Result<Result<Vec<Tree>, String>> {
    let _lock = lock(sh, repo)?;
    let supply = Supply::new(sh, repo, false);
    if let Err(reason) = possible(&supply) {
        return Ok(Err(format!("testing packages takes root and namespaces: {reason:#}")));
    }
    let mut trees = Vec::new();
    for (name, purpose, packages) in TREES {
        let archive = supply.root(purpose)?;
        let packages = archive.closure(&[&[ESSENTIAL], packages].concat(), None)?;
        let root = directory.join(name);
        supply.unpack(&archive, &packages, &root)?;
        for (device, major, minor) in DEVICES {
            let device = root.join("dev").join(device);
            command::read(cmd!(sh, "mknod -m 666 {device} c {major} {minor}"))?;
        }
        // Files that dpkg needs (dpkg(1), FILES).
        for empty in ["status", "available"] {
            sh.write_file(root.join("var/lib/dpkg").join(empty), "")?;
        }
        trees.push(Tree { name, root });
    }
    Ok(Ok(trees))
}

impl Tree {
    /// Runs a script of the tree with an empty environment, in namespaces that end with it.
    pub fn run<'a>(&self, sh: &'a Shell, script: &str) -> Cmd<'a> {
        let (root, proc) = (&self.root, self.root.join("proc"));
        let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        cmd!(
            sh,
            "env --ignore-environment {path} LC_ALL=C.UTF-8 unshare --mount --pid --fork --kill-child --mount-proc={proc} chroot {root} sh {script}"
        )
    }

    /// Writes a file into the tree.
    pub fn add(&self, place: &str, bytes: &[u8]) -> Result<()> {
        let to = self.root.join(place);
        fs::create_dir_all(to.parent().unwrap_or(&self.root))?;
        Ok(fs::write(to, bytes)?)
    }
}

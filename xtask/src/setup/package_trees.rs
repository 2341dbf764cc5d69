//! Trees in which packages are tried: the essential packages of Debian 12 and Debian 13, and of Debian 13 with rpm beside them.
//!
//! On entry: the archive. On exit: each tree is unpacked anew, with devices and an empty record of what is installed. dpkg in it need not have
//! configured anything: what maintainer scripts call is there. A tree is entered in namespaces of its own, which takes root.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use super::debian_disk::{DEVICES, ESSENTIAL, possible};
use super::lock;
use super::suites::Purpose;
use super::supply::Supply;
use crate::command;
use crate::repository::Repository;

/// A tree.
pub struct Tree {
    /// For a person.
    pub name: &'static str,
    /// Where it is.
    pub root: PathBuf,
}

/// What each is made of: its name, the archive, and packages besides the essential ones.
const TREES: [(&str, Purpose, &[&str]); 3] = [
    ("debian-12", Purpose::OldSystem, &[]),
    ("debian-13", Purpose::Guests, &[]),
    // busybox is the user space of the root on which rpm works.
    ("rpm", Purpose::Guests, &["rpm", "busybox-static"]),
];

/// Makes the trees below `directory`; why not, where that cannot be had.
pub fn make(sh: &Shell, repo: &Repository, directory: &Path) -> Result<Result<Vec<Tree>, String>> {
    let _lock = lock(sh, repo)?;
    let supply = Supply::new(sh, repo, false);
    if let Err(reason) = possible(&supply) {
        return Ok(Err(format!("packages are tried by root in namespaces of its own: {reason:#}")));
    }
    let mut trees = Vec::new();
    for (name, purpose, packages) in TREES {
        let archive = supply.root(purpose)?;
        let packages = archive.closure_of(&[&[ESSENTIAL], packages].concat(), None)?;
        let root = directory.join(name);
        supply.unpack(&archive, &packages, &root)?;
        for (device, major, minor) in DEVICES {
            let device = root.join("dev").join(device);
            command::read(cmd!(sh, "mknod -m 666 {device} c {major} {minor}"))?;
        }
        // What dpkg needs to be there (dpkg(1), FILES).
        for empty in ["status", "available"] {
            sh.write_file(root.join("var/lib/dpkg").join(empty), "")?;
        }
        trees.push(Tree { name, root });
    }
    Ok(Ok(trees))
}

impl Tree {
    /// Runs a script of the tree, in namespaces that end with it, with nothing of this machine's environment.
    pub fn run<'a>(&self, sh: &'a Shell, script: &str) -> Cmd<'a> {
        let (root, proc) = (&self.root, self.root.join("proc"));
        let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        cmd!(
            sh,
            "env --ignore-environment {path} LC_ALL=C.UTF-8 unshare --mount --pid --fork --kill-child --mount-proc={proc} chroot {root} sh {script}"
        )
    }

    /// Puts a file into the tree.
    pub fn add(&self, place: &str, bytes: &[u8]) -> Result<()> {
        let to = self.root.join(place);
        fs::create_dir_all(to.parent().unwrap_or(&self.root))?;
        Ok(fs::write(to, bytes)?)
    }
}

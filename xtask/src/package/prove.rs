//! Both packages, installed, upgraded, removed and purged in private trees of Debian 12, Debian 13
//! and rpm.
//!
//! * On entry: the packages.
//! * On exit: every step succeeded in every tree, also with a missing program, a damaged ledger or
//!   a failing systemd; and every file of the tree is as before. Without root this is skipped, with
//!   a message.

use anyhow::{Context, Result};
use xshell::Shell;

use super::{debian, rpm};
use crate::command;
use crate::repository::{Repository, read};
use crate::setup::{self, Supply, tree};

/// The trees' directory, relative to the repository's root.
const TREES: &str = "target/package-trees";
/// The version to upgrade from, lower than every release.
const OLDER: &str = "0.0.1";
/// Functions of both scripts.
const COMMON: &str = include_str!("prove/common.sh");
const DEBIAN: &str = include_str!("prove/debian.sh");
const RPM: &str = include_str!("prove/rpm.sh");

/// Runs the scripts in every tree, and prints their results.
pub fn prove(sh: &Shell, repo: &Repository) -> Result<()> {
    let directory = repo.root.join(TREES);
    sh.create_dir(&directory)?;
    let (deb, rpm_older) = (directory.join("older.deb"), directory.join("older.rpm"));
    debian::build(sh, repo, OLDER, &deb)?;
    rpm::build(sh, repo, OLDER, &rpm_older)?;
    if let Err(reason) = tree::possible(sh) {
        println!("skipped: testing packages takes root and namespaces: {reason:#}");
        return Ok(());
    }
    let trees = {
        let _lock = setup::lock(sh, repo)?;
        tree::for_packages(&Supply::new(sh, repo), &directory)?
    };
    for (name, tree) in trees {
        let (script, older, newer) = match name {
            "rpm" => (RPM, &rpm_older, repo.rpm_package()),
            _ => (DEBIAN, &deb, repo.debian_package()),
        };
        for (file, bytes) in [
            ("common.sh", COMMON.into()),
            ("script.sh", script.into()),
            ("older", read(older)?),
            ("newer", read(&newer)?),
        ] {
            tree.add(sh, &format!("prove/{file}"), &bytes)?;
        }
        let said = command::read(tree.run(sh, "/prove/script.sh"))
            .with_context(|| format!("in the tree {name}"))?;
        said.lines().for_each(|line| println!("{name}: {line}"));
    }
    sh.remove_path(directory)?;
    Ok(())
}

//! Step 4: packages are downloaded, verified and unpacked.
//!
//! * On entry: packages of one apt root, each with its SHA-256 from the signed index.
//! * On exit: a tree with their files. apt verifies each file that it downloads. A file of an
//!   earlier run is verified here; if it is damaged, it is downloaded again.

use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use xshell::{Shell, cmd};

use super::root::{AptRoot, Package};
use crate::command;
use crate::repository::Repository;

/// Downloads the packages that are missing.
pub fn fetch(
    sh: &Shell,
    repo: &Repository,
    root: &AptRoot<'_>,
    packages: &[Package],
) -> Result<()> {
    let downloads = repo.downloads();
    sh.create_dir(&downloads)?;
    let mut missing = Vec::new();
    for package in packages {
        let file = downloads.join(package.file_name());
        if !file.exists() {
            missing.push(package);
        } else if sha256(&file)? != package.sha256 {
            sh.remove_path(&file)?;
            missing.push(package);
        }
    }
    match missing[..] {
        [] => return Ok(()),
        [one] => eprintln!("  downloading {}", one.spec()),
        [.., last] => eprintln!("  downloading {} and {} more", last.spec(), missing.len() - 1),
    }
    let _there = sh.push_dir(&downloads);
    command::read(root.download(&missing)).map(drop)
}

/// Downloads the packages that are missing, and unpacks all of them into a fresh `tree`.
pub fn unpack(
    sh: &Shell,
    repo: &Repository,
    root: &AptRoot<'_>,
    packages: &[Package],
    tree: &Path,
) -> Result<()> {
    fetch(sh, repo, root, packages)?;
    sh.remove_path(tree)?;
    sh.create_dir(tree)?;
    for package in packages {
        let file = repo.downloads().join(package.file_name());
        command::read(cmd!(sh, "dpkg-deb --extract {file} {tree}"))?;
    }
    Ok(())
}

/// SHA-256 of a file, in hexadecimal.
fn sha256(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

//! Step 4: packages are downloaded, checked and unpacked.
//!
//! On entry: packages of one apt root, each with its size and SHA-256 from the signed index.
//! On exit: a tree with their files. A .deb whose SHA-256 is not the index's is deleted and never unpacked; one that is already
//! there and right is not fetched again.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use xshell::{Shell, cmd};

use crate::command;
use crate::repository::Repository;
use crate::setup::apt_root::{AptRoot, Package};

/// How often the progress bar looks at what has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Downloads what is missing: then all of it is among the downloads, and what the index says it is.
pub fn bring(sh: &Shell, repo: &Repository, root: &AptRoot<'_>, packages: &[Package]) -> Result<()> {
    let downloads = repo.downloads();
    sh.create_dir(&downloads)?;
    let mut missing = Vec::new();
    for package in packages {
        let file = downloads.join(package.file_name());
        if file.exists() && sha256(&file)? != package.sha256 {
            std::fs::remove_file(&file).with_context(|| format!("cannot remove the damaged {}", file.display()))?;
        }
        if !file.exists() {
            missing.push(package);
        }
    }
    if !missing.is_empty() {
        download(root, &missing, &downloads)?;
    }
    for package in packages {
        let file = downloads.join(package.file_name());
        let found = sha256(&file)?;
        if found != package.sha256 {
            std::fs::remove_file(&file).with_context(|| format!("cannot remove the wrong {}", file.display()))?;
            bail!("{} has SHA-256 {found}, the archive's index says {}; deleted, run this again", file.display(), package.sha256);
        }
    }
    Ok(())
}

/// Downloads what is missing and unpacks all of it into a fresh `tree`.
pub fn unpack(sh: &Shell, repo: &Repository, root: &AptRoot<'_>, packages: &[Package], tree: &Path) -> Result<()> {
    bring(sh, repo, root, packages)?;
    sh.remove_path(tree)?;
    sh.create_dir(tree)?;
    for package in packages {
        let file = repo.downloads().join(package.file_name());
        command::read(cmd!(sh, "dpkg-deb --extract {file} {tree}"))?;
    }
    Ok(())
}

/// One `apt-get download`, with a progress bar over the bytes that have arrived.
fn download(root: &AptRoot<'_>, packages: &[&Package], into: &Path) -> Result<()> {
    let total = packages.iter().map(|p| p.size).sum();
    let what = match packages {
        [one] => format!("{} {}", one.name, one.version),
        [.., last] => format!("{} and {} more", last.name, packages.len() - 1),
        [] => return Ok(()),
    };
    eprintln!("  downloading {what}, {}", indicatif::HumanBytes(total));
    let bar = ProgressBar::new(total).with_message(what.clone()).with_style(ProgressStyle::with_template(
        "  {msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
    )?);
    let log = into.join("apt-get.log");
    let mut child = root
        .download_command(packages)
        .current_dir(into)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?)
        .spawn()
        .context("could not start `apt-get`")?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        bar.set_position(packages.iter().filter_map(|p| into.join(p.file_name()).metadata().ok()).map(|m| m.len()).sum());
        std::thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    if !status.success() {
        let specs: Vec<String> = packages.iter().map(|p| p.spec()).collect();
        bail!("`apt-get download {}` failed ({status})\n{}", specs.join(" "), command::tail(&std::fs::read(&log)?));
    }
    Ok(())
}

/// SHA-256 of a file, in hexadecimal.
fn sha256(file: &Path) -> Result<String> {
    let mut input = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match input.read(&mut buffer).with_context(|| format!("cannot read {}", file.display()))? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}

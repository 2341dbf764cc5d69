//! What every build needs besides cargo: a C linker with the static C library, which this machine
//! must have, and the source of Rust's core library.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use super::apt::Release;
use super::{Supply, lock};
use crate::command;
use crate::repository::Repository;

/// Fails if the linker or the library is missing, and names the command that installs them.
pub fn linker(sh: &Shell) -> Result<()> {
    let remedy = "as root, run `apt-get install gcc libc6-dev`";
    let found = command::read(cmd!(sh, "cc -print-file-name=libc.a"))
        .with_context(|| format!("there is no C linker; {remedy}"))?;
    // Without the file, the linker prints the bare name.
    ensure!(Path::new(found.trim_end()).is_file(), "there is no static C library; {remedy}");
    Ok(())
}

/// Finds or fetches the core library's source, the directory `library`: rustup's component, else
/// Debian's package of the same version.
/// `without_rustup` ignores the toolchain and rustup. If the source is present, no lock is taken:
/// guests may be set up at the same time.
pub fn rust_src(sh: &Shell, repo: &Repository, without_rustup: bool) -> Result<PathBuf> {
    /// The file in the library directory that -Zbuild-std reads first.
    const LOCK: &str = "Cargo.lock";
    let _root = sh.push_dir(&repo.root);
    let sysroot = command::read(cmd!(sh, "rustc --print sysroot"))?;
    let library = Path::new(sysroot.trim_end()).join("lib/rustlib/src/rust/library");
    let is_component = || library.join(LOCK).is_file();
    // `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`: the one that rust-toolchain.toml names.
    let said = command::read(cmd!(sh, "rustc --version"))?;
    let version = said.split(' ').nth(1).context("unexpected output of `rustc --version`")?;
    let tree = repo.assets().join(format!("rust-src-{version}"));
    let unpacked = tree.join(format!("usr/src/rustc-{version}/library"));
    let add = format!("rustup component add rust-src --toolchain {version}");
    if !without_rustup && is_component() {
        return Ok(library);
    }
    // If Debian's package is present, rustup has failed before and is not asked again.
    if unpacked.join(LOCK).is_file() {
        return Ok(unpacked);
    }
    let _lock = lock(sh, repo)?;
    if !without_rustup {
        eprintln!("rust-src: missing, asking rustup for it");
        match command::read(cmd!(sh, "rustup component add rust-src --toolchain {version}")) {
            Ok(_) if is_component() => return Ok(library),
            Ok(_) => eprintln!("  rustup succeeded, but {} does not exist", library.display()),
            Err(error) => eprintln!("  {error:#}\n  using Debian's package instead"),
        }
    }
    // It cannot be installed, because it conflicts with the package rustup.
    let root = Supply::new(sh, repo).root(Release::Guests)?;
    let package = root.newest_of("rust-src", version)?;
    let Some(package) = package else {
        bail!("neither rustup nor Debian's archive has rust-src {version}; run `{add}`")
    };
    root.unpack(std::slice::from_ref(&package), &tree)?;
    ensure!(unpacked.join(LOCK).is_file(), "{} has no library/{LOCK}; run `{add}`", package.spec());
    Ok(unpacked)
}

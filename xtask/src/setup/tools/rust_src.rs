//! The source of `core`, from which the purgatory's own `core` is built: rustup's component, else
//! Debian's package of the same version.
//!
//! * On exit: the directory of the source, and whether cargo finds it without help.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use qemu_runner::assets::Part;
use xshell::{Shell, cmd};

use crate::command;
use crate::repository::Repository;
use crate::setup::apt::suites::Purpose;
use crate::setup::supply::{Found, Supply};

/// The name of rustup's component, of the part, and of Debian's package.
pub const NAME: &str = "rust-src";
/// The file in the library directory that -Zbuild-std reads first.
const LOCK: &str = "Cargo.lock";

/// The library's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RustSrc {
    /// In the toolchain, where cargo finds it.
    Toolchain(PathBuf),
    /// Elsewhere: cargo needs __CARGO_TESTS_ONLY_SRC_ROOT.
    Unpacked(PathBuf),
}

impl RustSrc {
    /// The `library` directory.
    pub fn library(&self) -> &Path {
        match self {
            RustSrc::Toolchain(library) | RustSrc::Unpacked(library) => library,
        }
    }
}

/// The source, if nothing needs to be fetched.
pub fn present(sh: &Shell, repo: &Repository, supply: &Supply<'_>) -> Result<Option<RustSrc>> {
    let library = in_toolchain(sh, repo)?;
    if library.join(LOCK).is_file() {
        return Ok(Some(RustSrc::Toolchain(library)));
    }
    let unpacked = match supply.remembered::<PathBuf>(&part_name(&rustc_version(sh, repo)?)) {
        Some(Part::Present(lock)) => {
            lock.parent().map(|library| RustSrc::Unpacked(library.to_path_buf()))
        }
        _ => None,
    };
    Ok(unpacked)
}

/// Finds or fetches the source. `without_rustup` ignores the toolchain and rustup.
pub fn get(
    sh: &Shell,
    repo: &Repository,
    supply: &Supply<'_>,
    without_rustup: bool,
) -> Result<RustSrc> {
    let library = in_toolchain(sh, repo)?;
    let version = rustc_version(sh, repo)?;
    let part = part_name(&version);
    if !without_rustup && library.join(LOCK).is_file() {
        return Ok(RustSrc::Toolchain(library));
    }
    // If Debian's package is present, rustup has failed before and is not asked again.
    if !without_rustup && supply.remembered::<PathBuf>(&part).is_none() {
        eprintln!("{NAME}: missing, asking rustup for it");
        let _root = sh.push_dir(&repo.root);
        match command::read(cmd!(sh, "rustup component add {NAME} --toolchain {version}")) {
            Ok(_) if library.join(LOCK).is_file() => {
                eprintln!("  done: rustup's component");
                return Ok(RustSrc::Toolchain(library));
            }
            Ok(_) => eprintln!("  rustup succeeded, but {} does not exist", library.display()),
            Err(error) => eprintln!("  {error:#}"),
        }
        eprintln!("  using Debian's package instead");
    }
    match supply.provide(&part, |supply, tree| from_debian(supply, tree, &version))? {
        Part::Present(lock) => {
            let library = lock.parent().context("a file in no directory")?;
            Ok(RustSrc::Unpacked(library.to_path_buf()))
        }
        Part::Missing(reason) => {
            bail!("{reason}; run `rustup component add {NAME} --toolchain {version}`")
        }
    }
}

/// The source must match the compiler, so each compiler has a part of its own.
fn part_name(version: &str) -> String {
    format!("{NAME}-{version}")
}

/// Unpacks Debian's package. It cannot be installed, because it conflicts with the package rustup.
fn from_debian(supply: &Supply<'_>, tree: &Path, version: &str) -> Result<Found<PathBuf>> {
    let root = supply.root(Purpose::Guests)?;
    let same = |package: &str| {
        package.strip_prefix(version).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
    };
    let Some(package) = root.newest(NAME, |package| same(&package.version))? else {
        return Ok(Found::missing(format!(
            "neither rustup nor the archive's index has {NAME} {version}"
        )));
    };
    let unpacked = tree.with_extension("unpacked");
    supply.unpack(&root, std::slice::from_ref(&package), &unpacked)?;
    // The package also has the compiler, six times as much.
    let library = unpacked.join(format!("usr/src/rustc-{version}/library"));
    supply.sh.remove_path(tree)?;
    supply.sh.create_dir(tree)?;
    std::fs::rename(&library, tree.join("library"))
        .with_context(|| format!("{} contains no {}", package.spec(), library.display()))?;
    supply.sh.remove_path(unpacked)?;
    let lock = tree.join("library").join(LOCK);
    anyhow::ensure!(lock.is_file(), "{} contains no library/{LOCK}", package.spec());
    Ok(Found::present(lock, vec![package.spec()]))
}

/// The library directory of rustup's component.
fn in_toolchain(sh: &Shell, repo: &Repository) -> Result<PathBuf> {
    let _root = sh.push_dir(&repo.root);
    let sysroot = command::read(cmd!(sh, "rustc --print sysroot"))?;
    Ok(Path::new(sysroot.trim_end()).join("lib/rustlib/src/rust/library"))
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`: the toolchain that rust-toolchain.toml names.
fn rustc_version(sh: &Shell, repo: &Repository) -> Result<String> {
    let _root = sh.push_dir(&repo.root);
    let said = command::read(cmd!(sh, "rustc --version"))?;
    said.split(' ')
        .nth(1)
        .map(str::to_string)
        .with_context(|| format!("unexpected output of `rustc --version`: {said:?}"))
}

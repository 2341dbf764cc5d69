//! The source of `core`, from which the purgatory's own `core` is built: rustup's component, else Debian's package of the same version.
//!
//! On exit: the directory that cargo must be told of, or none where rustup has put it in its place.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use qemu_runner::assets::Part;
use xshell::{Shell, cmd};

use crate::command;
use crate::repository::Repository;
use crate::setup::suites::Purpose;
use crate::setup::supply::{Found, Supply};

/// Name of the part and of Debian's package.
pub const NAME: &str = "rust-src";
/// In the library directory: what -Zbuild-std looks for first.
const LOCK: &str = "Cargo.lock";

/// Where the library's source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RustSrc {
    /// In the toolchain, where cargo looks by itself.
    Toolchain(PathBuf),
    /// Somewhere else: cargo must be told, by __CARGO_TESTS_ONLY_SRC_ROOT.
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

/// Where it is, if nothing needs to be fetched.
pub fn there(sh: &Shell, repo: &Repository, supply: &Supply<'_>) -> Result<Option<RustSrc>> {
    let library = in_toolchain(sh, repo)?;
    if library.join(LOCK).is_file() {
        return Ok(Some(RustSrc::Toolchain(library)));
    }
    let part = format!("{NAME}-{}", rustc_version(sh, repo)?);
    let unpacked = match supply.remembered::<PathBuf>(&part) {
        Some(Part::Present(lock)) if lock.is_file() => lock.parent().map(|library| RustSrc::Unpacked(library.to_path_buf())),
        _ => None,
    };
    Ok(unpacked)
}

/// Finds or fetches it. `without_rustup` does as if the toolchain had none and rustup could not bring it.
pub fn get(sh: &Shell, repo: &Repository, supply: &Supply<'_>, without_rustup: bool) -> Result<RustSrc> {
    let library = in_toolchain(sh, repo)?;
    let version = rustc_version(sh, repo)?;
    // The source must be the compiler's own, so another compiler asks for another part.
    let part = format!("{NAME}-{version}");
    if !without_rustup && library.join(LOCK).is_file() {
        return Ok(RustSrc::Toolchain(library));
    }
    // Once Debian's package has had to stand in, rustup is not asked again each time.
    if !without_rustup && supply.remembered::<PathBuf>(&part).is_none() {
        eprintln!("{NAME}: missing, asking rustup for it");
        match add_with_rustup(sh, repo, &version) {
            Ok(()) if library.join(LOCK).is_file() => {
                eprintln!("  done: rustup's component");
                return Ok(RustSrc::Toolchain(library));
            }
            Ok(()) => eprintln!("  rustup was content, but {} did not appear", library.display()),
            Err(error) => eprintln!("  {error:#}"),
        }
        eprintln!("  taking Debian's package instead");
    }
    match supply.provide(&part, |supply, tree| from_debian(supply, tree, &version))? {
        Part::Present(lock) => {
            let library = lock.parent().context("a file in no directory")?;
            Ok(RustSrc::Unpacked(library.to_path_buf()))
        }
        Part::Missing(reason) => bail!("{reason}; bring it with `rustup component add {NAME} --toolchain {version}`"),
    }
}

/// Unpacks Debian's package; it is not installed, because it conflicts with rustup's.
fn from_debian(supply: &Supply<'_>, tree: &Path, version: &str) -> Result<Found<PathBuf>> {
    let root = supply.root(Purpose::Guests)?;
    let same = |package: &str| package.strip_prefix(version).is_some_and(|rest| rest.starts_with(['+', '-', '~']));
    let Some(package) = root.newest(NAME, |p| same(&p.version))? else {
        let reason = format!("neither rustup nor the archive's index has {NAME} {version}");
        return Ok(Found { part: Part::Missing(reason), packages: Vec::new() });
    };
    let unpacked = tree.with_extension("unpacked");
    supply.unpack(&root, std::slice::from_ref(&package), &unpacked)?;
    // The package holds the compiler too, six times as much; rustup's component is the library alone.
    let library = unpacked.join(format!("usr/src/rustc-{version}/library"));
    supply.sh.remove_path(tree)?;
    supply.sh.create_dir(tree)?;
    std::fs::rename(&library, tree.join("library"))
        .with_context(|| format!("{} contains no {}", package.spec(), library.display()))?;
    supply.sh.remove_path(unpacked)?;
    let lock = tree.join("library").join(LOCK);
    anyhow::ensure!(lock.is_file(), "{} contains no library/{LOCK}", package.spec());
    Ok(Found { part: Part::Present(lock), packages: vec![package.spec()] })
}

/// Where rustup puts the library's source.
fn in_toolchain(sh: &Shell, repo: &Repository) -> Result<PathBuf> {
    let _root = sh.push_dir(&repo.root);
    let sysroot = command::read(cmd!(sh, "rustc --print sysroot"))?;
    Ok(Path::new(sysroot.trim_end()).join("lib/rustlib/src/rust/library"))
}

fn add_with_rustup(sh: &Shell, repo: &Repository, version: &str) -> Result<()> {
    let _root = sh.push_dir(&repo.root);
    command::read(cmd!(sh, "rustup component add {NAME} --toolchain {version}")).map(drop)
}

/// `1.95.0` of `rustc 1.95.0 (59807616e 2026-04-14)`: the toolchain that rust-toolchain.toml names.
fn rustc_version(sh: &Shell, repo: &Repository) -> Result<String> {
    let _root = sh.push_dir(&repo.root);
    let said = command::read(cmd!(sh, "rustc --version"))?;
    said.split(' ').nth(1).map(str::to_string).with_context(|| format!("`rustc --version` said {said:?}"))
}

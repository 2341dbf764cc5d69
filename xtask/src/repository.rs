//! Paths in this repository. Everything built or fetched goes under `target/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file's bytes.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The repository's root, and the paths below it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The directory with the workspace's Cargo.toml.
    pub root: PathBuf,
}

impl Repository {
    pub fn find() -> Result<Self> {
        let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let xtask = xtask
            .canonicalize()
            .with_context(|| format!("{} has been moved: build xtask again", xtask.display()))?;
        Ok(Self { root: xtask.parent().context("xtask has no parent directory")?.to_path_buf() })
    }

    /// The logs and command lines of a scenario or a case.
    pub fn run(&self, name: &str) -> PathBuf {
        self.root.join("target/qemu").join(name)
    }

    /// The timeline and figures of a scenario.
    pub fn outcome(&self, scenario: &str) -> PathBuf {
        self.run(scenario).join("outcome.txt")
    }
}

macro_rules! paths {
    ($($(#[$meta:meta])* $name:ident: $path:expr;)+) => {
        impl Repository {
            $($(#[$meta])* pub fn $name(&self) -> PathBuf { self.root.join($path) })+
        }
    };
}

paths! {
    /// Unpacked packages and the manifest.
    assets: "target/assets";
    /// Downloaded packages, kept so that nothing is fetched twice.
    downloads: "target/downloads";
    /// apt's private roots.
    apt: "target/apt";
    /// The crash kernel and the capture payload.
    bare: "target/bare";
    /// Everything that ships: the loader, the purgatory, man pages, completions, packages.
    dist: "target/dist";
    man: "target/dist/man";
    /// In a directory per shell.
    completions: "target/dist/completions";
    /// The purgatory with symbols. In memory it equals the one that ships.
    purgatory_debug: "target/dist/purgatory.debug";
    purgatory_elf: "target/dist/purgatory.elf";
    /// The capture kernel's /init.
    capture_init: "target/dist/capture-init";
    /// The loader with symbols.
    loader_debug: "target/dist/kdump-loader.debug";
    loader: "target/dist/kdump-loader";
    debian_package: concat!("target/dist/kdump-loader_", env!("CARGO_PKG_VERSION"), "_amd64.deb");
    /// The first of its version.
    rpm_package:
        concat!("target/dist/kdump-loader-", env!("CARGO_PKG_VERSION"), "-1.x86_64.rpm");
}

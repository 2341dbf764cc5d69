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

    /// Everything that ships: the loader, the purgatory, man pages, completions, packages.
    pub fn dist(&self) -> PathBuf {
        self.root.join("target/dist")
    }

    /// Unpacked packages and the manifest.
    pub fn assets(&self) -> PathBuf {
        self.root.join("target/assets")
    }

    /// Downloaded packages, kept so that nothing is fetched twice.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("target/downloads")
    }

    pub fn apt(&self) -> PathBuf {
        self.root.join("target/apt")
    }

    /// The purgatory with symbols. In memory it equals the one that ships.
    pub fn purgatory_debug(&self) -> PathBuf {
        self.dist().join("purgatory.debug")
    }

    /// The purgatory as it ships.
    pub fn purgatory_elf(&self) -> PathBuf {
        self.dist().join("purgatory.elf")
    }

    /// The loader with symbols.
    pub fn loader_debug(&self) -> PathBuf {
        self.dist().join("kdump-loader.debug")
    }

    /// The loader as it ships.
    pub fn loader(&self) -> PathBuf {
        self.dist().join("kdump-loader")
    }

    /// The logs and command lines of a scenario or a case.
    pub fn run(&self, name: &str) -> PathBuf {
        self.root.join("target/qemu").join(name)
    }

    /// The timeline and figures of a scenario.
    pub fn outcome(&self, scenario: &str) -> PathBuf {
        self.run(scenario).join("outcome.txt")
    }

    /// The crash kernel, the capture payload, and the builder of disk images.
    pub fn bare(&self) -> PathBuf {
        self.root.join("target/bare")
    }

    pub fn man(&self) -> PathBuf {
        self.dist().join("man")
    }

    /// Completions, in a directory per shell.
    pub fn completions(&self) -> PathBuf {
        self.dist().join("completions")
    }

    pub fn debian_package(&self) -> PathBuf {
        self.dist().join(format!("kdump-loader_{}_amd64.deb", env!("CARGO_PKG_VERSION")))
    }

    /// The RPM, the first of its version.
    pub fn rpm_package(&self) -> PathBuf {
        self.dist().join(format!("kdump-loader-{}-1.x86_64.rpm", env!("CARGO_PKG_VERSION")))
    }
}

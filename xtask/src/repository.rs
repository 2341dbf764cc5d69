//! Where things lie in this repository. Everything that is made or fetched goes under `target/`.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The repository's root and the places under it.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The directory with the workspace's Cargo.toml.
    pub root: PathBuf,
}

impl Repository {
    /// The repository that this xtask was built from.
    pub fn find() -> Result<Self> {
        let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let xtask = xtask.canonicalize().with_context(|| format!("{} has been moved: build xtask again", xtask.display()))?;
        Ok(Self { root: xtask.parent().context("xtask has no parent directory")?.to_path_buf() })
    }

    /// What users get: the loader, the purgatory, man pages, completions, the package.
    pub fn dist(&self) -> PathBuf {
        self.root.join("target/dist")
    }

    /// Unpacked packages and the manifest.
    pub fn assets(&self) -> PathBuf {
        self.root.join("target/assets")
    }

    /// Packages as they came from the archive, kept so that nothing is fetched twice.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("target/downloads")
    }

    /// The private apt roots.
    pub fn apt(&self) -> PathBuf {
        self.root.join("target/apt")
    }

    /// The freestanding binary with its symbols: loaded, it is the same.
    pub fn purgatory_debug(&self) -> PathBuf {
        self.dist().join("purgatory.debug")
    }

    /// The freestanding binary as it ships.
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

    /// What a scenario or a case leaves when it has been run: logs, command lines.
    pub fn run(&self, name: &str) -> PathBuf {
        self.root.join("target/qemu").join(name)
    }

    /// What a scenario leaves of its story: timeline and figures.
    pub fn outcome(&self, scenario: &str) -> PathBuf {
        self.run(scenario).join("outcome.txt")
    }

    /// Crash kernel, capture payload, and the maker of disk images.
    pub fn bare(&self) -> PathBuf {
        self.root.join("target/bare")
    }

    /// The loader's manual pages.
    pub fn man(&self) -> PathBuf {
        self.dist().join("man")
    }

    /// What shells complete, a directory each.
    pub fn completions(&self) -> PathBuf {
        self.dist().join("completions")
    }

    /// The Debian package.
    pub fn debian_package(&self) -> PathBuf {
        self.dist().join(format!("kdump-loader_{}_amd64.deb", env!("CARGO_PKG_VERSION")))
    }

    /// The RPM, the first of its version.
    pub fn rpm_package(&self) -> PathBuf {
        self.dist().join(format!("kdump-loader-{}-1.x86_64.rpm", env!("CARGO_PKG_VERSION")))
    }
}

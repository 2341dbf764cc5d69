//! The repository: its root, its files, and the gate's commands that prepare what is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use qemu_runner::Context;
use qemu_runner::context::KernelUnderTest;

pub struct Repository {
    /// The directory with the gate's Cargo.toml.
    pub root: PathBuf,
}

impl Repository {
    pub fn find() -> Result<Self> {
        let lab = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = lab.parent().context("lab/ has no parent directory")?;
        Ok(Self { root: root.to_owned() })
    }

    pub fn xtask(&self, words: &[&str]) -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.arg("xtask").args(words).current_dir(&self.root);
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(status.success(), "`cargo xtask {}` failed ({status})", words.join(" "));
        Ok(())
    }

    /// Brings and builds everything that guests need. They boot `bzimage` if there is one.
    pub fn prepare_guests(&self, bzimage: Option<&Path>) -> Result<Context> {
        // First, so that a wrong file costs no build.
        let kernel = bzimage.map(|file| KernelUnderTest::open(file, None)).transpose();
        let kernel = kernel.map_err(explain)?;
        const PARTS: &str =
            "qemu,busybox,kernels,makedumpfile,kexec,udev,flock,mke2fs,mkfs-xfs,ovmf";
        self.xtask(&["setup", "--only", PARTS])?;
        self.xtask(&["build", "--guests"])?;
        let context = self.context()?;
        Ok(match kernel {
            Some(kernel) => context.with_kernel(kernel),
            None => context,
        })
    }

    /// Assets and build results, as scenarios see them.
    pub fn context(&self) -> Result<Context> {
        Context::from_repo(&self.root, None, false).map_err(explain)
    }

    /// Writes a file, named relative to the root.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let file = self.root.join(path);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads a file, named relative to the root.
    pub fn read(&self, path: &str) -> Result<String> {
        let file = self.root.join(path);
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }
}

/// The runner's error with all its causes.
pub fn explain(error: qemu_runner::Error) -> anyhow::Error {
    anyhow!("{}", error.chain())
}

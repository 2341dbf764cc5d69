//! What is verified.

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::repository::Repository;

/// Sizes of the sweep's initrds, in MiB. The last is 4 GiB but for a little: the kernel's purgatory counts the bytes of a region in 32
/// bits (`sha256_update`, lib/crypto/sha256.c), and stands still before one of 4 GiB as before one that is corrupt.
const SWEEP: [u64; 5] = [16, 64, 256, 1024, 4095];
/// From this size on a contestant has all its turns in one process: building the image takes longer than verifying it.
const LARGE_MIB: u64 = 256;
/// The machine for which images are built, relative to the repository's root.
const MACHINE: &str = "tests/fixtures/elfcorehdr-6.12/snapshot";

/// One image.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// As in tables.
    pub name: String,
    /// What is in it.
    pub what: String,
    /// MiB of the initrd, where the image is one of the sweep.
    pub sweep_mib: Option<u64>,
    /// Whether turns are taken in one process.
    pub large: bool,
    /// Arguments of the program.
    #[serde(skip)]
    pub arguments: Vec<String>,
}

impl Image {
    fn new(repo: &Repository, name: &str, what: &str, more: &[String]) -> Self {
        let machine = repo.root.join(MACHINE).display().to_string();
        let arguments = ["--machine".into(), machine].into_iter().chain(more.iter().cloned()).collect();
        Self { name: name.into(), what: what.into(), sweep_mib: None, large: false, arguments }
    }

    fn synthetic(repo: &Repository, name: &str, what: &str, kernel_kib: u64, init_kib: u64, initrd_kib: u64) -> Self {
        let sizes = [("--kernel-kib", kernel_kib), ("--init-kib", init_kib), ("--initrd-kib", initrd_kib)];
        let arguments: Vec<String> = sizes.iter().flat_map(|(flag, kib)| [flag.to_string(), kib.to_string()]).collect();
        Self::new(repo, name, what, &arguments)
    }

    /// One that everybody verifies in a few milliseconds.
    pub fn small(repo: &Repository) -> Self {
        Self::synthetic(repo, "small", "kernel 1 MiB in 2 MiB, initrd 1 MiB", 1 << 10, 2 << 10, 1 << 10)
    }

    /// One whose instructions can be counted one by one.
    pub fn tiny(repo: &Repository) -> Self {
        Self::synthetic(repo, "tiny", "kernel 16 KiB in 64 KiB, initrd 16 KiB", 16, 64, 16)
    }
}

/// All images; with `sweep`, those that show how time grows.
pub fn all(repo: &Repository, sweep: bool) -> Result<Vec<Image>> {
    let mut all = vec![
        Image::synthetic(repo, "article", "kernel 10 MiB in 56 MiB, initrd 29 MiB", 10 << 10, 56 << 10, 29 << 10),
        debian(repo)?,
        Image::synthetic(
            repo,
            "files only",
            "kernel 10 MiB in 10 MiB, initrd 29 MiB: hardly a zero tail",
            10 << 10,
            10 << 10,
            29 << 10,
        ),
    ];
    for mib in SWEEP.into_iter().filter(|_| sweep) {
        let what = format!("kernel 10 MiB in 56 MiB, initrd {mib} MiB");
        let image = Image::synthetic(repo, &format!("sweep {mib}"), &what, 10 << 10, 56 << 10, mib << 10);
        all.push(Image { sweep_mib: Some(mib), large: mib >= LARGE_MIB, ..image });
    }
    Ok(all)
}

/// Debian's kernel 6.12, which setup has brought for the scenarios.
fn debian(repo: &Repository) -> Result<Image> {
    let explain = |error: qemu_runner::Error| anyhow!("{}", error.chain());
    let context = qemu_runner::Context::from_repo(&repo.root, None, false).map_err(explain)?;
    let kernel = context.kernel("6.12").map_err(explain)?;
    let path = kernel.vmlinuz.display().to_string();
    Ok(Image::new(repo, "Debian 6.12", &format!("{}, initrd 29 MiB", kernel.release), &["--kernel".into(), path]))
}

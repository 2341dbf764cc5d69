//! What people look into a dump with: crash and the debug symbols of the guests' kernel, and a
//! makedumpfile that finds the free pages of new kernels.

use std::path::Path;

use anyhow::{Context, Result};
use qemu_runner::assets::{GuestProgram, Readers};

use super::apt::Release;
use super::{Supply, kernels, program};

/// The kernel whose dumps are read.
const SERIES: &str = "6.12";

pub fn get(supply: &Supply<'_>, tree: &Path) -> Result<Readers> {
    let crash = program::get(supply, &tree.join("crash"), "crash", "crash")?;
    let root = supply.root(Release::Guests)?;
    let (_, release) = kernels::newest(&root, SERIES)?;
    let package = format!("linux-image-{release}-dbg");
    // Its dependencies are the kernel itself, which is there already.
    let packages = root.closure(&[&package], None)?;
    let symbols = packages.iter().find(|planned| planned.name == package);
    let symbols = symbols.with_context(|| format!("the archive has no {package}"))?;
    let tree = tree.join("symbols");
    root.unpack(std::slice::from_ref(symbols), &tree)?;
    let vmlinux = tree.join(format!("usr/lib/debug/boot/vmlinux-{release}"));
    anyhow::ensure!(vmlinux.is_file(), "{package} contains no {}", vmlinux.display());
    Ok(Readers { vmlinux, crash })
}

/// makedumpfile 1.7.7 or newer. Debian 13 has 1.7.6.
pub fn new_makedumpfile(supply: &Supply<'_>, tree: &Path) -> Result<GuestProgram> {
    program::get_from(supply, Release::Unstable, tree, "makedumpfile", "makedumpfile")
}

//! (1) A directory that looks like one machine to both programs: the recorded machine of the tests,
//! and what only a running system has.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use loader::machine::Machine;
use qemu_runner::assets::{GuestProgram, Kernel};
use tempfile::TempDir;

use super::APPEND;
use crate::repository::Repository;

/// Where the files are, below the root.
pub const KERNEL: &str = "/boot/vmlinuz";
pub const INITRD: &str = "/boot/initrd";
pub const LOADER: &str = "/usr/sbin/kdump-loader";

/// The loader, as it is shipped.
const BUILT_LOADER: &str = "target/dist/kdump-loader";
/// A machine with Linux 6.12, recorded under QEMU.
const SNAPSHOT: &str = "tests/fixtures/elfcorehdr-6.12/snapshot";
/// Size of the initrd: that of the article which docs/bench/verify.txt compares with.
const INITRD_LEN: usize = 29 << 20;

/// The directory, which is removed with this value.
pub struct Root {
    directory: TempDir,
    kernel_bytes: u64,
    release: String,
}

impl Root {
    pub fn plant(repo: &Repository, kernel: &Kernel, kexec: &GuestProgram) -> Result<Self> {
        let directory = TempDir::new().context("no temporary directory")?;
        let root = directory.path();
        copy_tree(&repo.root.join(SNAPSHOT), root)?;
        let text_virt = Machine::read(root, None)?.kcore.text_virt;
        for (path, text) in [
            // Root of the whole machine, with all capabilities.
            ("proc/self/status", format!("Uid:\t0\t0\t0\t0\nCapEff:\t{ALL}\nCapBnd:\t{ALL}\n")),
            ("proc/self/uid_map", "0 0 4294967295\n".into()),
            ("proc/sys/kernel/osrelease", format!("{}\n", kernel.release)),
            ("proc/sys/kernel/random/boot_id", "d3c1d0c6-0000-4000-8000-000000000000\n".into()),
            // kexec-tools looks for the segment of /proc/kcore that holds this symbol.
            ("proc/kallsyms", format!("{text_virt:x} T _stext\n")),
            // An image is armed, which the kernel updates.
            ("sys/kernel/kexec_crash_loaded", "1\n".into()),
            ("sys/devices/system/cpu/crash_hotplug", "1\n".into()),
            ("sys/devices/system/memory/crash_hotplug", "1\n".into()),
            ("sys/devices/system/memory/block_size_bytes", "8000000\n".into()),
            (
                "etc/kdump-loader.toml",
                format!("kernel = \"{KERNEL}\"\ninitrd = \"{INITRD}\"\nappend = \"{APPEND}\"\n"),
            ),
        ] {
            write(root, path, text.as_bytes())?;
        }
        symlink(LOADER, root.join("proc/self/exe"))?;
        for path in ["run", "tmp", "var/lib", "dev"] {
            fs::create_dir_all(root.join(path))?;
        }
        write(root, "dev/null", b"")?;
        let kernel_bytes = copy(&kernel.vmlinuz, root, KERNEL)?;
        write(root, INITRD, &initrd())?;
        copy(&repo.root.join(BUILT_LOADER), root, LOADER)?;
        for (path, file) in &kexec.files {
            copy(file, root, path)?;
        }
        Ok(Self { directory, kernel_bytes, release: kernel.release.clone() })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What is armed, in words.
    pub fn describe(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (kernel, initrd) = (mib(self.kernel_bytes), INITRD_LEN >> 20);
        format!("Linux {} ({kernel:.1} MiB) with an initrd of {initrd} MiB", self.release)
    }
}

/// Every capability of Linux 6.12.
const ALL: &str = "000001ffffffffff";

/// The start of a cpio archive, and bytes that do not repeat.
fn initrd() -> Vec<u8> {
    let words = (1..=INITRD_LEN as u64 / 8).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes[..6].copy_from_slice(b"070701");
    bytes
}

/// Writes a file below the root; `path` may begin with a slash.
fn write(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let path = root.join(path.trim_start_matches('/'));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn copy(file: &Path, root: &Path, path: &str) -> Result<u64> {
    let to = root.join(path.trim_start_matches('/'));
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(file, &to)
        .with_context(|| format!("cannot copy {} to {}", file.display(), to.display()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

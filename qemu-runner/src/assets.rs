//! What `cargo xtask setup` brought: programs, kernels and firmware, all under `target/`, named in one manifest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the manifest lies, relative to the repository's root.
pub const MANIFEST: &str = "target/assets/manifest.json";

/// Everything a scenario may need. An absent part carries the reason, so that it can be told why a scenario cannot be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assets {
    /// The emulator, version 10 or newer.
    pub qemu: Qemu,
    /// The static busybox of the guests; none where only the emulator has been asked for.
    pub busybox: Option<PathBuf>,
    /// Kernels by series: "6.1", "6.12", "7".
    pub kernels: BTreeMap<String, Part<Kernel>>,
    /// makedumpfile, run inside the capture kernel's user space.
    pub makedumpfile: Part<GuestProgram>,
    /// kexec-tools, the peer, run inside the first kernel's user space.
    pub kexec: Part<GuestProgram>,
    /// EFI firmware.
    pub ovmf: Part<Ovmf>,
}

/// Something that may be missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part<T> {
    /// It is here.
    Present(T),
    /// It is not; the reason, as a sentence for a person.
    Missing(String),
}

/// The emulator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Qemu {
    /// `qemu-system-x86_64`.
    pub program: PathBuf,
    /// Directories for LD_LIBRARY_PATH; empty when the system's own QEMU is used.
    pub library_path: Vec<PathBuf>,
    /// `-L`: where its option ROMs and BIOS lie; none when the system's own QEMU is used.
    pub data_dirs: Vec<PathBuf>,
    /// First line of `--version`.
    pub version: String,
}

/// A kernel image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kernel {
    /// The bzImage.
    pub vmlinuz: PathBuf,
    /// What `uname -r` will say.
    pub release: String,
}

/// A program of the guest's user space with every shared library it needs, as files to copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuestProgram {
    /// The package and its version.
    pub version: String,
    /// Absolute path in the guest → file on the host; the program itself, its ELF interpreter and its libraries.
    pub files: BTreeMap<String, PathBuf>,
    /// The program's path in the guest.
    pub program: String,
}

/// EFI firmware as two flash images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ovmf {
    /// OVMF_CODE*.fd.
    pub code: PathBuf,
    /// OVMF_VARS*.fd, a template to copy for each run.
    pub vars: PathBuf,
}

//! What `cargo xtask setup` has fetched: programs, kernels and firmware under `target/`, named in
//! one manifest.

pub(crate) mod kernel; // one that a developer brings
pub(crate) mod shared; // a folder that lasts as long as a run

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Where the manifest is, relative to the repository's root.
pub const MANIFEST: &str = "target/assets/manifest.json";

/// Everything a scenario may need. An absent part carries the reason, so that it can be told why a
/// scenario cannot be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assets {
    /// The emulator, version 10 or newer.
    pub qemu: Qemu,
    /// The static busybox of the guests; none where only the emulator has been asked for.
    pub busybox: Option<PathBuf>,
    /// Kernels by series: "6.1", "6.12", "7", and "full" for 6.12 with drivers for every machine.
    pub kernels: BTreeMap<String, Part<Kernel>>,
    /// makedumpfile, run inside the capture kernel's user space.
    pub makedumpfile: Part<GuestProgram>,
    /// kexec-tools, the peer, run inside the first kernel's user space.
    pub kexec: Part<GuestProgram>,
    /// systemd's udev, run inside the first kernel's user space. Manifests written by hand may lack
    /// it.
    #[serde(default = "unnamed")]
    pub udev: Part<GuestProgram>,
    /// util-linux's flock, likewise.
    #[serde(default = "unnamed")]
    pub flock: Part<GuestProgram>,
    /// What makes an ext4 filesystem, on this machine. Manifests written by hand may lack it.
    #[serde(default = "unnamed")]
    pub mke2fs: Part<GuestProgram>,
    /// The same for xfs.
    #[serde(default = "unnamed")]
    pub mkfs_xfs: Part<GuestProgram>,
    /// EFI firmware.
    pub ovmf: Part<Ovmf>,
    /// An installed Debian. Manifests written by hand may lack it.
    #[serde(default = "unnamed")]
    pub debian_disk: Part<DebianDisk>,
    /// A browser. Manifests written by hand may lack it.
    #[serde(default = "unnamed")]
    pub browser: Part<Browser>,
    /// What looks into a dump. Manifests written by hand may lack it.
    #[serde(default = "unnamed")]
    pub readers: Part<Readers>,
    /// makedumpfile 1.7.7 or newer, which finds the free pages of Linux 6.12 and newer. Manifests
    /// written by hand may lack it.
    #[serde(default = "unnamed")]
    pub new_makedumpfile: Part<GuestProgram>,
}

fn unnamed<T>() -> Part<T> {
    Part::Missing(format!("{MANIFEST} does not name it; `cargo xtask setup` rewrites it"))
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
    /// `-L`: where its option ROMs and BIOS are; none when the system's own QEMU is used.
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
    /// The module with its driver for virtio-mem, as it was packed; none if it has no such module,
    /// or if setup did not look for one.
    #[serde(default)]
    pub virtio_mem: Option<PathBuf>,
    /// The directory with `modules.builtin`, if its modules were fetched.
    #[serde(default)]
    pub modules: Option<PathBuf>,
}

/// A program of the guest's user space with every shared library it needs, as files to copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GuestProgram {
    /// The package and its version.
    pub version: String,
    /// Absolute path in the guest → file on the host; the program itself, its ELF interpreter and
    /// its libraries.
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

/// A Debian with systemd and kdump-tools, installed on a disk, and what looks into the disk from
/// outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DebianDisk {
    /// An ext4 file system without partition table, a template to copy for each run.
    pub image: PathBuf,
    /// The kernel that is installed on it.
    pub kernel: Kernel,
    /// The initial RAM disk that Debian's initramfs-tools has made for it.
    pub initrd: PathBuf,
    /// Everything installed on it, `package=version`.
    pub packages: Vec<String>,
    /// SHA-256 of the recipe by which it was made, so that a changed recipe rebuilds the disk.
    pub recipe: String,
    /// Reads and writes its files.
    pub debugfs: GuestProgram,
    /// Brings its file system into order after a crash.
    pub e2fsck: GuestProgram,
}

/// A browser without windows, which looks at pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Browser {
    /// Chromium's headless shell.
    pub program: PathBuf,
    /// Directories for LD_LIBRARY_PATH; empty where nothing was missing.
    pub library_path: Vec<PathBuf>,
    /// fontconfig's configuration, with the fonts that came with it and no others.
    pub fonts: PathBuf,
    /// What `--version` says.
    pub version: String,
}

/// What looks into a dump on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Readers {
    /// The 6.12 kernel with debug information.
    pub vmlinux: PathBuf,
    /// The program, which runs on this machine with its own libraries.
    pub crash: GuestProgram,
}

impl Browser {
    /// Environment variables that it needs.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("FONTCONFIG_FILE", self.fonts.clone().into_os_string())];
        if !self.library_path.is_empty() {
            let directories: Vec<_> =
                self.library_path.iter().map(|path| path.as_os_str()).collect();
            variables.push(("LD_LIBRARY_PATH", directories.join(OsStr::new(":"))));
        }
        variables
    }
}

impl GuestProgram {
    /// The program on this machine, with its own ELF interpreter and its own libraries: nothing of
    /// it is installed here.
    ///
    /// # Panics
    /// When the program is not among its own files: what `cargo xtask setup` writes has it.
    pub fn on_host(&self) -> Command {
        let program = &self.files[&self.program];
        let is_interpreter = |path: &&String| {
            Path::new(path)
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"ld-linux"))
        };
        let Some(interpreter) = self.files.keys().find(is_interpreter) else {
            return Command::new(program);
        };
        let directories: BTreeSet<_> = self
            .files
            .values()
            .filter(|file| *file != program)
            .filter_map(|file| file.parent())
            .collect();
        let directories: Vec<_> = directories.into_iter().map(Path::as_os_str).collect();
        let mut command = Command::new(&self.files[interpreter]);
        command.arg("--library-path").arg(directories.join(OsStr::new(":"))).arg(program);
        command
    }
}

//! `cargo xtask setup`: fetches everything that is missing.
//!
//! * On exit: the toolchain has rust-src, or `target/` has it; packages are unpacked under
//!   `target/`, and the QEMU runner's asset manifest names their files. Nothing else is installed.

mod toolchain; // what every build needs
pub mod apt; // packages, from Debian's archive
mod assets; // the parts, and the manifest that names them
mod qemu; // the emulator
mod kernels; // Debian's kernels
pub mod program; // programs of the guests' user space
mod readers; // for people who look into a dump
mod browser; // for `cargo lab pages`
pub mod tree; // a Debian in a directory
mod debian_disk; // a Debian on a disk

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use clap::ValueEnum;
use xshell::Shell;

use crate::repository::Repository;
use apt::{Release, Root};
pub use toolchain::linker;

/// Fetch everything that building and testing need, and install nothing but a component of the
/// toolchain
///
/// rust-src comes from rustup. If rustup cannot fetch it, Debian's package goes under target/.
/// Packages come from the Debian archive that this machine's apt is configured for. apt verifies
/// the archive's signature and every package. They are unpacked under target/. Parts that are
/// present are not fetched again. Other commands fetch what they need.
#[derive(clap::Args)]
pub struct Args {
    /// Fetch only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Name>,
    /// Fetch the newest versions of parts that are present
    #[arg(long)]
    refresh: bool,
    /// Do without rustup: use Debian's package of rust-src
    #[arg(long)]
    without_rustup: bool,
}

/// The parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The source of Rust's core library, for the purgatory
    RustSrc,
    /// QEMU 10 or newer
    Qemu,
    /// The user space of guests
    Busybox,
    /// Debian's kernels 6.1, 6.12 and 7
    Kernels,
    /// makedumpfile, for the capture kernel's user space
    Makedumpfile,
    /// kexec-tools, the peer
    Kexec,
    /// systemd's udev, for storms
    Udev,
    /// util-linux's flock, for storms
    Flock,
    /// e2fsprogs' mke2fs, for disks of guests
    Mke2fs,
    /// xfsprogs' mkfs.xfs, likewise
    MkfsXfs,
    /// EFI firmware
    Ovmf,
    /// A browser without windows, for `cargo lab pages` (100 MB). Fetched only if it is named
    Browser,
    /// A Debian with systemd and kdump-tools on a disk
    DebianDisk,
    /// For readers of a dump: crash, and the debug symbols of kernel 6.12 (320 MB). Fetched only
    /// if it is named
    Readers,
    /// Debian's kernel 6.12 for every machine (110 MB), in which drivers of disks and filesystems
    /// are modules. Fetched only if it is named
    FullKernel,
    /// makedumpfile of Debian unstable, which finds the free pages of Linux 6.12 and newer. Fetched
    /// only if it is named
    NewMakedumpfile,
}

impl Name {
    /// Whether nothing but the laboratory uses it.
    fn is_for_the_laboratory(self) -> bool {
        matches!(self, Self::Browser | Self::Readers | Self::FullKernel | Self::NewMakedumpfile)
    }
}

impl Args {
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        linker(sh)?;
        let wanted = |name: Name| match self.only[..] {
            [] => !name.is_for_the_laboratory(),
            _ => self.only.contains(&name),
        };
        if wanted(Name::RustSrc) {
            let rust_src = toolchain::rust_src(sh, repo, self.without_rustup)?;
            println!("rust-src      {}", rust_src.display());
        }
        if self.only != [Name::RustSrc] {
            let assets = assets::get(sh, repo, self.refresh, wanted)?;
            assets::print(&assets);
            assets::demand(&assets, wanted)?;
        }
        Ok(())
    }
}

/// The standard library's source, for `build`.
pub fn rust_src(sh: &Shell, repo: &Repository) -> Result<PathBuf> {
    toolchain::rust_src(sh, repo, false)
}

/// The emulator alone, for `qemu bare`: its machines need no distribution's kernel and no user
/// space.
pub fn emulator(sh: &Shell, repo: &Repository) -> Result<()> {
    assets::get(sh, repo, false, |name| name == Name::Qemu).map(drop)
}

/// The packages with the peers' purgatories, for `peers`.
pub fn peers(sh: &Shell, repo: &Repository) -> Result<()> {
    let carriers = |name| [Name::Kernels, Name::Kexec].contains(&name);
    assets::demand(&assets::get(sh, repo, false, carriers)?, carriers)
}

/// Which of the large parts scenarios need.
#[derive(Clone, Copy, Debug)]
pub struct Large {
    /// Debian's kernels, unless another kernel takes their place.
    pub kernels: bool,
    /// The disk with a Debian, which takes a minute to be made.
    pub debian_disk: bool,
}

/// Everything that scenarios need, for `qemu` and `test`: with less, green would not mean proven.
pub fn guests(sh: &Shell, repo: &Repository, large: Large) -> Result<()> {
    let wanted = |name| match name {
        Name::DebianDisk => large.debian_disk,
        Name::Kernels => large.kernels,
        _ => !name.is_for_the_laboratory(),
    };
    assets::demand(&assets::get(sh, repo, false, wanted)?, wanted)
}

/// One set-up run: the private apt roots, opened when a part needs them.
pub struct Supply<'a> {
    sh: &'a Shell,
    repo: &'a Repository,
    roots: RefCell<BTreeMap<Release, Rc<Root<'a>>>>,
}

impl<'a> Supply<'a> {
    pub fn new(sh: &'a Shell, repo: &'a Repository) -> Self {
        Self { sh, repo, roots: RefCell::default() }
    }

    pub fn root(&self, release: Release) -> Result<Rc<Root<'a>>> {
        if let Some(root) = self.roots.borrow().get(&release) {
            return Ok(root.clone());
        }
        let root = Rc::new(Root::open(self.sh, self.repo, release)?);
        self.roots.borrow_mut().insert(release, root.clone());
        Ok(root)
    }
}

/// Keeps two set-ups from unpacking into the same directories.
pub fn lock(sh: &Shell, repo: &Repository) -> Result<File> {
    sh.create_dir(repo.assets())?;
    let path = repo.assets().join("setup.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

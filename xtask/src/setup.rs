//! `cargo xtask setup`: finds out what is missing, gets it, and says so. Nothing is installed into the machine but rustup's components
//! rust-src and llvm-tools: packages are unpacked under `target/`, and what they are is written to the asset manifest that the QEMU
//! runner reads.

mod archive;
mod suites;
mod apt_root;
mod fetch;
mod supply;
mod linker;
mod rust_src;
mod llvm_tools;
mod qemu;
mod guests;
mod kernels;
mod guest_program;
mod browser;
mod debian_disk;
pub mod package_trees;
mod by_hand;

use std::fs::File;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use xshell::Shell;

use crate::repository::Repository;
use by_hand::Unsupported;
pub use linker::check as linker;
pub use llvm_tools::LlvmTools;
pub use rust_src::RustSrc;
use supply::Supply;

/// Bring everything that building and testing need, without installing anything but components of the toolchain
///
/// rust-src and llvm-tools come from rustup, or, where it cannot bring them, from elsewhere without touching the toolchain. Packages
/// come from the Debian archive that this machine's apt is configured for; they are verified (apt checks the archive's signature, and
/// every package is compared with the index's SHA-256) and unpacked under target/. What is there already is not fetched again. Other
/// commands run what they need of this by themselves.
#[derive(clap::Args)]
pub struct Args {
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Name>,
    /// Read the archive's index anew and bring the newest versions
    #[arg(long)]
    refresh: bool,
    /// Do as if rustup could bring nothing: take Debian's package of rust-src, and scripts for llvm-tools
    #[arg(long)]
    without_rustup: bool,
}

/// The parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The source of Rust's core library, for the purgatory
    RustSrc,
    /// llvm-objcopy, for the disks of the bare-metal cases
    LlvmTools,
    /// The emulator, 10 or newer
    Qemu,
    /// What every scenario on a real kernel needs beside it
    Busybox,
    /// Debian's kernels 6.1, 6.12 and 7
    Kernels,
    /// makedumpfile, for the capture kernel's user space
    Makedumpfile,
    /// kexec-tools, the peer
    Kexec,
    /// systemd's udev, for the storms
    Udev,
    /// util-linux's flock, likewise
    Flock,
    /// EFI firmware
    Ovmf,
    /// A browser without windows, which looks at what people will look at
    Browser,
    /// A Debian with systemd and kdump-tools on a disk
    DebianDisk,
}

impl Args {
    /// Does it, and prints what is there in the end.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        linker(sh)?;
        let wanted = |name| self.only.is_empty() || self.only.contains(&name);
        if wanted(Name::RustSrc) {
            let _lock = lock(sh, repo)?;
            let supply = Supply::new(sh, repo, self.refresh);
            let rust_src = rust_src::get(sh, repo, &supply, self.without_rustup).map_err(explain)?;
            match rust_src {
                RustSrc::Toolchain(library) => println!("rust-src      {} (rustup)", library.display()),
                RustSrc::Unpacked(library) => println!("rust-src      {} (Debian)", library.display()),
            }
        }
        if wanted(Name::LlvmTools) {
            let _lock = lock(sh, repo)?;
            match llvm_tools::get(sh, repo, self.without_rustup)? {
                LlvmTools::Toolchain(bin) => println!("llvm-tools    {} (rustup)", bin.display()),
                tools => println!("llvm-tools    {} (scripts)", tools.bin().display()),
            }
        }
        if self.only.iter().any(|name| ![Name::RustSrc, Name::LlvmTools].contains(name)) || self.only.is_empty() {
            let assets = guests::get(sh, repo, self.refresh, wanted)?;
            guests::print(&assets);
            guests::demand(&assets, wanted)?;
        }
        Ok(())
    }
}

/// The library's source, for `build`. What is there is not locked, since guests may be set up meanwhile.
pub fn rust_src(sh: &Shell, repo: &Repository) -> Result<RustSrc> {
    let supply = Supply::new(sh, repo, false);
    if let Some(found) = rust_src::there(sh, repo, &supply)? {
        return Ok(found);
    }
    let _lock = lock(sh, repo)?;
    rust_src::get(sh, repo, &supply, false).map_err(explain)
}

/// The tools without which the maker of disk images does not build, for `qemu bare`.
pub fn llvm_tools(sh: &Shell, repo: &Repository) -> Result<LlvmTools> {
    if let Some(found) = llvm_tools::there(sh, repo)? {
        return Ok(found);
    }
    let _lock = lock(sh, repo)?;
    llvm_tools::get(sh, repo, false)
}

/// Only the emulator, for `qemu bare`: its machines boot no kernel of a distribution, and have no user space.
pub fn emulator(sh: &Shell, repo: &Repository) -> Result<()> {
    guests::get(sh, repo, false, |name| name == Name::Qemu).map(drop)
}

/// What carries the peers' purgatories, for `peers`.
pub fn peers(sh: &Shell, repo: &Repository) -> Result<()> {
    let carriers = |name| [Name::Kernels, Name::Kexec].contains(&name);
    guests::demand(&guests::get(sh, repo, false, carriers)?, carriers)
}

/// The browser, for `test`: 100 MB for one test, which is skipped without.
pub fn browser(sh: &Shell, repo: &Repository) -> Result<()> {
    guests::get(sh, repo, false, |name| name == Name::Browser).map(drop)
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
        Name::Browser => false,
        Name::DebianDisk => large.debian_disk,
        Name::Kernels => large.kernels,
        _ => true,
    };
    guests::demand(&guests::get(sh, repo, false, wanted)?, wanted)
}

/// Adds to the reason what a person can do.
fn explain(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Unsupported>() { anyhow!("{error:#}\n\n{}", by_hand::instructions()) } else { error }
}

/// One set-up at a time: two would unpack over each other.
fn lock(sh: &Shell, repo: &Repository) -> Result<File> {
    sh.create_dir(repo.assets())?;
    let path = repo.assets().join("setup.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

//! `cargo xtask setup`: fetches everything that is missing.
//!
//! * On exit: the toolchain has rust-src and llvm-tools, or `target/` has replacements; packages
//!   are unpacked under `target/`, and the QEMU runner's asset manifest names their files. Nothing
//!   else is installed.

mod apt; // packages, from Debian's archive
mod supply; // parts, recorded from run to run
mod tools; // what every build needs
mod guests; // the emulator, and what guests need
pub mod package_trees; // trees in which packages are tested
mod by_hand; // instructions for other machines

use std::fs::File;

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use xshell::Shell;

use crate::repository::Repository;
use by_hand::Unsupported;
use supply::Supply;
pub use tools::linker::check as linker;
pub use tools::llvm_tools::LlvmTools;
pub use tools::rust_src::RustSrc;
use tools::{llvm_tools, rust_src};

/// Fetch everything that building and testing need, and install nothing but components of the
/// toolchain
///
/// rust-src and llvm-tools come from rustup. If rustup cannot fetch them, replacements go under
/// target/. Packages come from the Debian archive that this machine's apt is configured for. apt
/// verifies the archive's signature and every package. They are unpacked under target/. Parts that
/// are present are not fetched again. Other commands fetch what they need.
#[derive(clap::Args)]
pub struct Args {
    /// Fetch only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<Name>,
    /// Fetch the archive's index and the newest versions
    #[arg(long)]
    refresh: bool,
    /// Do without rustup: use Debian's package of rust-src, and scripts in place of llvm-tools
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
    /// EFI firmware
    Ovmf,
    /// A browser without windows, for tests of pages
    Browser,
    /// A Debian with systemd and kdump-tools on a disk
    DebianDisk,
}

impl Args {
    /// Fetches the parts, and prints each.
    pub fn run(&self, sh: &Shell, repo: &Repository) -> Result<()> {
        linker(sh)?;
        let wanted = |name| self.only.is_empty() || self.only.contains(&name);
        if wanted(Name::RustSrc) {
            let _lock = lock(sh, repo)?;
            let supply = Supply::new(sh, repo, self.refresh);
            let rust_src =
                rust_src::get(sh, repo, &supply, self.without_rustup).map_err(explain)?;
            match rust_src {
                RustSrc::Toolchain(library) => {
                    println!("rust-src      {} (rustup)", library.display())
                }
                RustSrc::Unpacked(library) => {
                    println!("rust-src      {} (Debian)", library.display())
                }
            }
        }
        if wanted(Name::LlvmTools) {
            let _lock = lock(sh, repo)?;
            match llvm_tools::get(sh, repo, self.without_rustup)? {
                LlvmTools::Toolchain(bin) => println!("llvm-tools    {} (rustup)", bin.display()),
                tools => println!("llvm-tools    {} (scripts)", tools.bin().display()),
            }
        }
        if self.only.iter().any(|name| ![Name::RustSrc, Name::LlvmTools].contains(name))
            || self.only.is_empty()
        {
            let assets = guests::get(sh, repo, self.refresh, wanted)?;
            guests::print(&assets);
            guests::demand(&assets, wanted)?;
        }
        Ok(())
    }
}

/// The standard library's source, for `build`. If it is present, no lock is taken: guests may be
/// set up at the same time.
pub fn rust_src(sh: &Shell, repo: &Repository) -> Result<RustSrc> {
    let supply = Supply::new(sh, repo, false);
    if let Some(found) = rust_src::present(sh, repo, &supply)? {
        return Ok(found);
    }
    let _lock = lock(sh, repo)?;
    rust_src::get(sh, repo, &supply, false).map_err(explain)
}

/// The tools that the builder of disk images needs, for `qemu bare`.
pub fn llvm_tools(sh: &Shell, repo: &Repository) -> Result<LlvmTools> {
    if let Some(found) = llvm_tools::present(sh, repo)? {
        return Ok(found);
    }
    let _lock = lock(sh, repo)?;
    llvm_tools::get(sh, repo, false)
}

/// The emulator alone, for `qemu bare`: its machines need no distribution's kernel and no user
/// space.
pub fn emulator(sh: &Shell, repo: &Repository) -> Result<()> {
    guests::get(sh, repo, false, |name| name == Name::Qemu).map(drop)
}

/// The packages with the peers' purgatories, for `peers`.
pub fn peers(sh: &Shell, repo: &Repository) -> Result<()> {
    let carriers = |name| [Name::Kernels, Name::Kexec].contains(&name);
    guests::demand(&guests::get(sh, repo, false, carriers)?, carriers)
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

/// Adds the instructions for unsupported machines.
fn explain(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Unsupported>() {
        anyhow!("{error:#}\n\n{}", by_hand::instructions())
    } else {
        error
    }
}

/// Keeps two set-ups from unpacking into the same directories.
fn lock(sh: &Shell, repo: &Repository) -> Result<File> {
    sh.create_dir(repo.assets())?;
    let path = repo.assets().join("setup.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

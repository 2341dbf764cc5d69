//! The peers' purgatories, as files: what Debian's kexec-tools and Debian's kernels carry inside themselves.
//!
//! *On entry* the kexec program and the kernel images that `cargo xtask setup` has brought. *On exit* `target/assets/peers/NAME.ro`, an
//! ELF object that the loader can bind, and which symbols its own loader tells it what to verify with.

use std::fs;
use std::path::{Path, PathBuf};

use loader::purgatory::relocatable::{self, Relocatable};
use loader::request::InputFile;

use crate::Error;
use crate::context::Context;

pub mod embedded; // an object inside of something else
pub mod payload; // vmlinux inside of a bzImage
pub mod proof; // that it was bound right

/// Where the objects lie, relative to the repository's root.
const DIRECTORY: &str = "target/assets/peers";

/// A purgatory that somebody else has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `kexec-tools`, `linux-6.12` or `linux-7`.
    pub name: &'static str,
    /// Of the package it came from, or of the kernel.
    pub version: String,
    /// The object.
    pub object: PathBuf,
    /// How it is told what to do.
    pub contract: &'static Contract,
}

/// By which symbols a peer's loader talks to its purgatory.
#[derive(Debug, PartialEq, Eq)]
pub struct Contract {
    /// 16 times start and length of what is digested, two u64 each; unused ones have no length.
    pub regions: &'static str,
    /// SHA-256 of the regions' bytes, one after the other.
    pub digest: &'static str,
    /// Every symbol that is written, and its size.
    pub written: &'static [(&'static str, u64)],
}

/// The seventeen registers with which the next kernel is entered. Their order is not the same in both peers.
pub const ENTRY_REGS: &str = "entry64_regs";
/// Where the stack ends that the next kernel is entered with.
pub const STACK_END: &str = "stack_end";

/// kexec-tools' (`bzImage64_load`, `update_purgatory`, `load_crashdump_segments`; sizes in purgatory/ and its arch/ directories).
pub const KEXEC_TOOLS: Contract = Contract {
    regions: "sha256_regions",
    digest: "sha256_digest",
    written: &[
        (ENTRY_REGS, 136),
        ("sha256_regions", 256),
        ("sha256_digest", 32),
        ("cmdline_end", 8),
        ("skip_checks", 4),
        ("backup_src_start", 8),
        ("backup_src_size", 8),
        ("backup_start", 8),
        ("panic_kernel", 1),
        ("reset_vga", 1),
        ("console_vga", 1),
        ("console_serial", 1),
        ("serial_base", 2),
        ("serial_baud", 4),
    ],
};

/// The kernel's (`bzImage64_load`, arch/x86/kernel/kexec-bzimage64.c; `kexec_calculate_store_digests`, kernel/kexec_file.c).
pub const LINUX: Contract = Contract {
    regions: "purgatory_sha_regions",
    digest: "purgatory_sha256_digest",
    written: &[(ENTRY_REGS, 136), ("purgatory_sha_regions", 256), ("purgatory_sha256_digest", 32)],
};

/// Whose purgatory, and what carries it.
#[derive(Debug)]
pub struct Source {
    /// What the peer is called.
    pub name: &'static str,
    carrier: Carrier,
    contract: &'static Contract,
}

#[derive(Debug)]
enum Carrier {
    /// The program kexec.
    Kexec,
    /// The kernel of a series.
    Kernel(&'static str),
}

/// All that are compared.
pub const SOURCES: [Source; 3] = [
    Source { name: "kexec-tools", carrier: Carrier::Kexec, contract: &KEXEC_TOOLS },
    Source { name: "linux-6.12", carrier: Carrier::Kernel("6.12"), contract: &LINUX },
    Source { name: "linux-7", carrier: Carrier::Kernel("7"), contract: &LINUX },
];

impl Source {
    /// Takes the purgatory out of what setup has brought, anew each time. [`Error::Missing`] if setup has not.
    pub fn bring(&self, context: &Context) -> Result<Peer, Error> {
        let (version, object) = match self.carrier {
            Carrier::Kexec => {
                let kexec = context.kexec()?;
                let missing = || Error::Missing(format!("{} is not among its own files", kexec.program));
                let program = read(kexec.files.get(&kexec.program).ok_or_else(missing)?)?;
                let place = embedded::only(&program).map_err(|defect| self.error(defect))?;
                (&kexec.version, program[place].to_vec())
            }
            Carrier::Kernel(series) => {
                let kernel = context.kernel(series)?;
                let bzimage = InputFile { path: kernel.vmlinuz.clone(), bytes: read(&kernel.vmlinuz)? };
                let vmlinux = payload::vmlinux(&bzimage).map_err(|defect| self.error(defect))?;
                let place = embedded::only(&vmlinux).map_err(|defect| self.error(defect))?;
                embedded::kernel_agrees(&vmlinux, &place).map_err(|defect| self.error(defect))?;
                (&kernel.release, vmlinux[place].to_vec())
            }
        };
        let path = context.directory(DIRECTORY)?.join(format!("{}.ro", self.name));
        fs::write(&path, object).map_err(Error::file("write", &path))?;
        Ok(Peer { name: self.name, version: version.clone(), object: path, contract: self.contract })
    }

    fn error(&self, defect: impl Into<Defect>) -> Error {
        Error::peer(self.name, defect)
    }
}

impl Peer {
    /// Takes the object apart, ready to be bound.
    pub fn parse(&self) -> Result<Relocatable, Error> {
        let file = InputFile { path: self.object.clone(), bytes: read(&self.object)? };
        Relocatable::parse(&file).map_err(|error| self.error(error))
    }

    fn error(&self, defect: impl Into<Defect>) -> Error {
        Error::peer(self.name, defect)
    }
}

/// Why a peer's purgatory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Defect {
    /// vmlinux cannot be had.
    Payload(#[from] payload::Error),
    /// It is not where it should be.
    Embedded(#[from] embedded::Error),
    /// The loader refuses it.
    Relocatable(#[from] relocatable::Error),
    /// It was not bound as it must be.
    Proof(#[from] proof::Error),
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::file("read", path))
}

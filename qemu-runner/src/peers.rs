//! The purgatories inside Debian's kexec-tools and Debian's kernels, as files.
//!
//! *On entry*: the kexec program and the kernel images from `cargo xtask setup`.
//! *On exit*: `target/assets/peers/NAME.ro`, an ELF object that the loader can bind.

use std::path::PathBuf;

use loader::purgatory::foreign::{Contract, Foreign, KEXEC_TOOLS, LINUX};
use loader::request::InputFile;

use crate::assets::kernel::payload;
use crate::context::Context;
use crate::error::{Error, check_eq, with_causes};
use crate::host;

pub(crate) mod embedded; // an object inside of something else
mod proof; // that it was bound right

/// Where the objects are, relative to the repository's root.
const DIRECTORY: &str = "target/assets/peers";

/// A purgatory that another project has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `kexec-tools`, `linux-6.12` or `linux-7`.
    pub name: &'static str,
    /// Of the package it came from, or of the kernel.
    pub version: String,
    /// The object.
    pub object: PathBuf,
    /// Whose loader it is for.
    pub contract: &'static Contract,
}

/// Whose purgatory, and what carries it.
#[derive(Debug)]
pub struct Source {
    /// What the peer is called.
    pub name: &'static str,
    /// The kernel's series; the program kexec when none.
    series: Option<&'static str>,
    contract: &'static Contract,
}

/// All that are compared.
pub static SOURCES: [Source; 3] = [
    Source { name: "kexec-tools", series: None, contract: &KEXEC_TOOLS },
    Source { name: "linux-6.12", series: Some("6.12"), contract: &LINUX },
    Source { name: "linux-7", series: Some("7"), contract: &LINUX },
];

/// The one of this name.
pub fn source(name: &str) -> Result<&'static Source, Error> {
    let source = SOURCES.iter().find(|source| source.name == name);
    source.ok_or_else(|| Error::Missing(format!("no purgatory of {name} is known")))
}

impl Source {
    /// Takes the purgatory out of what setup has brought, anew each time, and leaves it as a file.
    /// [`Error::Missing`] if setup has not.
    pub fn bring(&self, context: &Context) -> Result<Peer, Error> {
        let (version, object) = self.take_out(context)?;
        let path = context.directory(DIRECTORY)?.join(format!("{}.ro", self.name));
        host::write(&path, &object)?;
        Ok(Peer { name: self.name, version, object: path, contract: self.contract })
    }

    /// The same without a file, which scenarios that run at once would write at once.
    pub fn object(&self, context: &Context) -> Result<Vec<u8>, Error> {
        self.take_out(context).map(|(_, object)| object)
    }

    /// The version of what carries it, and the object.
    fn take_out(&self, context: &Context) -> Result<(String, Vec<u8>), Error> {
        let Some(series) = self.series else {
            let kexec = context.kexec()?;
            let missing =
                || Error::Missing(format!("{} is not among its own files", kexec.program));
            let program = host::read(kexec.files.get(&kexec.program).ok_or_else(missing)?)?;
            let place = embedded::only(&program).map_err(|defect| error(self.name, defect))?;
            return Ok((kexec.version.clone(), program[place].to_vec()));
        };
        let kernel = context.kernel(series)?;
        let bzimage =
            InputFile { path: kernel.vmlinuz.clone(), bytes: host::read(&kernel.vmlinuz)? };
        let vmlinux = payload::vmlinux(&bzimage).map_err(|defect| match context.under_test() {
            Some(_) => Error::Unfit(format!("no purgatory in the bzImage: {defect}")),
            None => error(self.name, defect),
        })?;
        let place = embedded::only(&vmlinux).map_err(|defect| error(self.name, defect))?;
        embedded::kernel_agrees(&vmlinux, &place).map_err(|defect| error(self.name, defect))?;
        Ok((kernel.release.clone(), vmlinux[place].to_vec()))
    }
}

impl Peer {
    /// Takes the object apart, ready to be bound and told; it must be for the loader that it came
    /// from.
    pub fn parse(&self) -> Result<Foreign, Error> {
        let file = InputFile { path: self.object.clone(), bytes: host::read(&self.object)? };
        let foreign =
            Foreign::parse(&file).map_err(|error| self.error(with_causes(&error, ": ")))?;
        check_eq!(foreign.contract().name, self.contract.name, "whose purgatory it is")?;
        Ok(foreign)
    }

    fn error(&self, defect: String) -> Error {
        error(self.name, defect)
    }
}

/// The purgatory of the peer `name` has this defect.
pub(crate) fn error(name: &str, defect: impl std::fmt::Display) -> Error {
    Error::Host(format!("the purgatory of {name} cannot be used: {defect}"))
}

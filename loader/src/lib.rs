//! Builds a kdump image and arms it: `parse → place → describe → seal → bind → submit`.
//!
//! Everything up to `bind` is pure: bytes and a [`Machine`] in, an [`Image`] out. Only [`submit`] talks to the kernel, because a
//! kexec_load(2) that fails late has already destroyed the image that was armed before (`do_kexec_load`, kernel/kexec.c).

#![deny(unsafe_code)]

pub mod phys;
pub mod request;
pub mod files;
pub mod machine;
pub mod kernel;
pub mod purgatory;
pub mod place;
pub mod cmdline;
pub mod describe;
pub mod seal;
pub mod bind;
pub mod image;
pub mod admit;
#[allow(unsafe_code)]
pub mod submit;
#[cfg(any(test, feature = "testing"))]
#[allow(missing_docs, reason = "fields are named as those of the ELF structures that they fill")]
pub mod example;

use std::path::PathBuf;

use digest::Engine;

use crate::bind::Bind;
use crate::describe::Parsed;
use crate::image::Image;
use crate::machine::Machine;
use crate::phys::PhysRange;
use crate::purgatory::Kind;
use crate::request::Request;

/// Builds the image that `request` asks for on `machine`; touches nothing.
pub fn build<'r>(request: &'r Request, machine: &Machine) -> Result<Image<'r>, Error> {
    match purgatory::read(&request.purgatory)? {
        Kind::Ours(program) => build_around(program, request, machine),
        Kind::Foreign(foreign) => build_around(foreign, request, machine),
    }
}

/// The same steps for every kind of purgatory.
fn build_around<'r, P: Bind>(purgatory: P, request: &'r Request, machine: &Machine) -> Result<Image<'r>, Error> {
    let engine = Engine::fastest();
    let parsed = Parsed::new(purgatory, request, machine)?; // what is it, how much does it need
    let placed = place::place(parsed.needs(), parsed.room())?; // where does everything go
    let described = parsed.describe(placed, machine)?; // boot_params, which hold addresses
    let sealed = seal::seal(described, engine); // nothing may change after this line
    let image = bind::bind(sealed, engine)?; // what the purgatory is told
    admit::check(&image, machine)?; // what the kernel would refuse
    Ok(image)
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Error {
    /// The machine cannot hold one.
    Machine(#[from] machine::Error),
    /// The purgatory cannot be told what was asked.
    Settings(#[from] purgatory::settings::Error),
    /// The kernel's file is no capture kernel.
    Kernel(#[from] kernel::Error),
    /// The purgatory's file is no purgatory, or cannot be bound where it is placed.
    Purgatory(#[from] purgatory::Error),
    /// The initial RAM disk is an empty file.
    #[error("{} is empty: an initrd was asked for, but there is none in it", path.display())]
    EmptyInitrd {
        /// The file.
        path: PathBuf,
    },
    /// What was asked for of the crash region is not of it.
    #[error("nothing of the crash region {crash_region} lies in {window}, where the image was asked to stay")]
    Window {
        /// What was asked for.
        window: PhysRange,
        /// The region.
        crash_region: PhysRange,
    },
    /// There is no room.
    Place(#[from] place::Error),
    /// The command line cannot be passed on.
    CommandLine(#[from] cmdline::Error),
    /// The machine's memory cannot be described to the capture kernel.
    BootParams(#[from] describe::bootparams::Error),
    /// The machine's memory cannot be described to whoever reads the dump.
    Elfcorehdr(#[from] describe::elfcorehdr::Error),
    /// The kernel would refuse it.
    Admit(#[from] admit::Error),
}

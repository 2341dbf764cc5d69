//! Builds kdump images for x86-64 Linux, and submits them to the kernel.
//!
//! A kdump image runs after a panic. It has a capture kernel, its initrd, a description of the
//! crashed kernel's memory, and a *purgatory*: a small program that verifies the rest before the
//! capture kernel starts.
//!
//! ```text
//! files, machine → kernel → purgatory → place → describe → seal → bind → admit → submit
//! ```
//!
//! [`build`] does everything from `kernel` to `admit`. It is pure: bytes and a [`Machine`] in, an
//! [`Image`] out. Only [`submit`] changes the machine.
//!
//! # A plan for another machine
//!
//! A [`Machine`] is read from `/`, or from a [snapshot](machine::snapshot) of another machine. This
//! prints every segment of an image for that machine; `examples/plan_from_snapshot.rs` is the whole
//! program.
//!
//! ```
//! use std::path::Path;
//!
//! use kdump_image::machine::Machine;
//! use kdump_image::request::{InputFile, Request};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use kdump_image::example::{bzimage, pattern, purgatory};
//! # use kdump_image::machine::example;
//! # let vmlinuz = bzimage(&pattern(50_000));
//! # let purgatory_elf = purgatory().bytes();
//! # let tree = example::tree();
//! # let snapshot = tree.path();
//! let kernel = InputFile { path: "vmlinuz".into(), bytes: vmlinuz };
//! let purgatory = InputFile { path: "purgatory.elf".into(), bytes: purgatory_elf };
//! let machine = Machine::read(Path::new(snapshot), None)?;
//! let request = Request { command_line: "nr_cpus=1".into(), ..Request::new(kernel, purgatory) };
//! let image = kdump_image::build(&request, &machine)?;
//! for segment in image.segments() {
//!     println!("{:12} {}", segment.kind().name(), segment.range());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! * `testing`: example kernels, purgatories and machines, for tests of a crate that uses this one.
//! * `fuzzing`: the parsers of a machine's files, for fuzz targets.

// Not `forbid`: two places make system calls that have no safe interface.
#![deny(unsafe_code)]

pub mod phys; // ranges of physical memory
pub mod cmdline; // command lines of kernels
pub mod request; // what the image must be
pub mod files; // [0]
pub mod machine; // [1]
pub mod kernel; // [2]
pub mod purgatory; // [3] [4]
pub mod place; // [5]
pub mod describe; // [6]
mod seal; // [7]
mod bind; // [8]
pub mod image; // [9]
pub mod admit; // [11]
#[allow(unsafe_code)]
pub mod submit; // [12] [13]
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

/// The end of every message about a mistake of this crate itself.
const REPORT_IT: &str =
    "this is a mistake in the loader; please report it with a snapshot of the machine";

/// Builds the image that `request` asks for on `machine`. Nothing is changed.
///
/// The image borrows the capture kernel and the initrd from the request.
///
/// # Errors
///
/// The [`Error`] names the step that failed, the value and the limit. An image that the kernel
/// would refuse is refused here, because a kexec_load(2) that fails late has already destroyed the
/// previous image (`do_kexec_load`, kernel/kexec.c). [`admit::preflight`] checks whether this
/// process may load an image at all.
///
/// # Example
///
/// ```no_run
/// use std::path::Path;
///
/// use kdump_image::machine::Machine;
/// use kdump_image::request::{InputFile, Request};
/// use kdump_image::submit;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let read = |path: &str| std::fs::read(path).map(|bytes| InputFile { path: path.into(), bytes });
/// let machine = Machine::read(Path::new("/"), Some(submit::measure()))?;
/// let request = Request {
///     initrd: Some(read("/boot/initrd.img")?),
///     command_line: "root=/dev/vda1 nr_cpus=1".into(),
///     ..Request::new(read("/boot/vmlinuz")?, read("purgatory.elf")?)
/// };
/// let image = kdump_image::build(&request, &machine)?;
/// print!("{}", image.summary());
/// # Ok(())
/// # }
/// ```
pub fn build<'r>(request: &'r Request, machine: &Machine) -> Result<Image<'r>, Error> {
    match purgatory::read(&request.purgatory)? {
        Kind::Ours(program) => build_around(program, request, machine),
        Kind::Foreign(foreign) => build_around(foreign, request, machine),
    }
}

/// The same steps for every kind of purgatory.
fn build_around<'r, P: Bind>(
    purgatory: P,
    request: &'r Request,
    machine: &Machine,
) -> Result<Image<'r>, Error> {
    let engine = Engine::fastest();
    let parsed = Parsed::new(purgatory, request, machine)?; // all sizes, content without addresses
    let placed = place::place(parsed.needs(), parsed.room())?; // addresses
    let black_box = parsed.reserve(&placed, machine); // in what the image leaves free
    let described = parsed.describe(placed, black_box, machine)?; // boot_params, with addresses
    let sealed = seal::seal(described, engine); // digests; nothing changes after this line
    let image = bind::bind(sealed, engine)?; // the purgatory's segment
    admit::check(&image, machine)?; // the kernel's rules
    Ok(image)
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum Error {
    /// The machine cannot hold one.
    Machine(#[from] machine::Error),
    /// The purgatory cannot be configured as requested.
    Settings(#[from] purgatory::settings::Error),
    /// The kernel's file is not a capture kernel.
    Kernel(#[from] kernel::Error),
    /// The purgatory's file is not a purgatory, or cannot be bound at its place.
    Purgatory(#[from] purgatory::Error),
    /// The initrd is an empty file.
    #[error("the initrd {} is empty: name the initrd's file, or use no initrd", path.display())]
    EmptyInitrd {
        /// The file.
        path: PathBuf,
    },
    /// The requested window and the crash region have no whole page in common.
    #[error(
        "the requested window {window} holds no page of the crash region {crash_region}: choose \
         one inside of it"
    )]
    Window {
        /// [`Request::window`].
        window: PhysRange,
        /// The region that images go into.
        crash_region: PhysRange,
    },
    /// There is no room.
    Place(#[from] place::Error),
    /// The command line cannot be passed on.
    CommandLine(#[from] cmdline::Error),
    /// The machine's memory cannot be described to the capture kernel.
    BootParams(#[from] describe::bootparams::Error),
    /// The machine's memory cannot be described in an elfcorehdr.
    Elfcorehdr(#[from] describe::elfcorehdr::Error),
    /// The kernel would refuse it.
    Admit(#[from] admit::Error),
}

//! `[0b]` The initrd of `--capture`, which saves the dump with drivers and /init alone.
//!
//! ```text
//! place → target → drivers, watchdogs → modules → packed, makedumpfile → archive
//! ```
//!
//! *On entry*
//! - what the user asks for
//! - the capture kernel's file
//! - the machine: its devices, mounts and modules
//!
//! *On exit* an initrd whose /init finds the target again after a panic, whatever the names of
//! devices are then; or why that is impossible, before anything is armed.

mod error; // why there is none
mod place; // [1] the text of --capture
mod target; // [2] the device and the directory
mod disk; // [2a] block devices
mod ext4; // [2b] what an ext4 needs besides its module
mod drivers; // [3] what the running kernel uses for it
mod watchdog; // [3a] watchdogs that run, and their drivers
mod modules; // [4] what the capture kernel needs for all of them
mod modprobe; // [4b] parameters of modules
mod iommus; // [4c] what the capture kernel takes for them
mod packed; // [5] its modules' files
pub mod makedumpfile; // [5a] makedumpfile, and what it needs
mod archive; // [6] the initrd
pub mod earlier; // the last capture at a target
pub mod parameters; // [7] the command line
#[cfg(test)]
pub(crate) mod example; // a machine with disks
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use capture_init::{Filesystem, Keep, TASK_VERSION, Target, Task};
use loader::files::identity::FileIdentity;
use loader::kernel;
use loader::place::room::Room;
use loader::request::InputFile;

use crate::health::files::Files;
use crate::options::words::saving::{built_in, nearest_built_in};
use crate::options::{Options, embedded};
pub use disk::{Disk, words as id_words};
pub use earlier::last;
pub use error::{Error, Refused};
use makedumpfile::{Makedumpfile, version};
use modprobe::Configured;
use modules::Index;
use packed::Packed;
pub use place::Place;
use target::Found;
pub use target::{expect, find};
use watchdog::Running;

/// Shown in place of a path.
pub const NAME: &str = "(initrd of --capture)";
/// Before the name of a module among the files that an image was made from.
pub const MODULE: &str = "module ";
/// How many dumps stay in a directory, unless the user says otherwise.
pub const DEFAULT_KEEP: u32 = 5;

/// The initrd, and what it was made from.
#[derive(Debug)]
pub struct Made {
    /// The archive.
    pub initrd: InputFile,
    /// Where /init saves the dump.
    pub target: Target,
    /// The node of the target's device now.
    pub node: PathBuf,
    /// Its files, each by [`MODULE`] and the module's name, or by the keys of [`makedumpfile`].
    pub files: BTreeMap<String, FileIdentity>,
    /// Bytes of memory that the capture kernel needs besides the image.
    pub room: u64,
    /// What it is, in sentences for the user.
    pub notes: [String; 2],
    /// The names of the watchdogs that run.
    pub watchdogs: Vec<String>,
    /// What happens to each of them, in sentences for the user.
    pub watchdog_notes: Vec<String>,
    /// What modprobe's configuration and the command line change, in sentences for the user.
    pub module_notes: Vec<String>,
    /// What may cost the dump, in a sentence for the user.
    pub warning: Option<String>,
}

/// Whether a file with this key was put into the initrd.
pub fn is_in_initrd(key: &str) -> bool {
    key.starts_with(MODULE) || key == makedumpfile::KEY || key.starts_with(makedumpfile::LIBRARY)
}

/// Makes the initrd for the capture kernel in `kernel`, which gets this command line. None if the
/// options do not ask for it.
pub fn make(
    root: &Path,
    options: &Options,
    kernel: &InputFile,
    command_line: &[u8],
) -> Result<Option<Made>, Error> {
    let Some(place) = &options.capture else { return Ok(None) };
    let init = embedded::capture_init().ok_or(Error::NoInit)?;
    around(init, Files::new(root), place, options, kernel, command_line).map(Some)
}

fn around(
    init: &[u8],
    files: Files<'_>,
    place: &Place,
    options: &Options,
    kernel: &InputFile,
    command_line: &[u8],
) -> Result<Made, Error> {
    let found = target::find(files, place)?;
    let release = kernel::release(kernel)
        .ok_or_else(|| error::Modules::NoRelease { kernel: kernel.path.clone() })?;
    let index = Index::read(files, &release)?;
    let watchdogs = watchdog::running(files);
    let (first, watchdog_notes) = for_watchdogs(files, &index, &watchdogs);
    let drivers = drivers::of(files, &found.disk.controllers(files));
    let filesystem = filesystem(files, &found, &index)?;
    let needed = modules::needed(files, &index, first, &drivers, &filesystem)?;
    let watchdogs: Vec<String> = watchdogs.into_iter().map(|watchdog| watchdog.name).collect();
    let packed = packed::read(files, &release, &needed)?;
    let Configured { parameters, files: configuration, notes: module_notes } =
        modprobe::configured(files, command_line, &needed);
    let path = |packed: &Packed| archive::module_path(&packed.file);
    let level = options.level();
    let program = options.makedumpfile.as_deref();
    let program = program.map(|program| makedumpfile::read(files, program, level)).transpose()?;
    if program.is_none() && built_in(level).is_none() {
        return Err(error::Makedumpfile::Level { level }.into());
    }
    let task = Task {
        version: TASK_VERSION,
        modules: packed.iter().map(path).collect(),
        parameters: needed
            .iter()
            .zip(&packed)
            .filter_map(|(module, packed)| {
                Some((path(packed), parameters.get(&module.name)?.clone()))
            })
            .collect(),
        target: found.target.clone(),
        level: nearest_built_in(level),
        timeout_seconds: options.capture_timeout,
        keep: Keep { count: options.keep_dumps.unwrap_or(DEFAULT_KEEP), bytes: options.keep_bytes },
        makedumpfile: program.as_ref().map(|program| program.arguments.clone()),
        watchdogs: watchdogs.clone(),
    };
    let carried = program.as_ref().map_or(&[][..], |program| &program.files);
    let bytes = archive::archive(init, &task, &packed, carried);
    let largest = packed.iter().map(Packed::while_loaded).max();
    let notes = [found.to_string(), contents(&bytes, &needed, program.as_ref())];
    let named = needed.iter().zip(&packed);
    let sources =
        named.map(|(module, packed)| (format!("{MODULE}{}", module.name), packed.source.clone()));
    let mut sources: BTreeMap<String, FileIdentity> = sources.collect();
    // Their identities are compared as those of the modules are.
    let configuration = configuration.into_iter();
    sources
        .extend(configuration.map(|(name, file)| (format!("{MODULE}configuration {name}"), file)));
    sources.extend(carried.iter().map(|file| (file.key.clone(), file.source.clone())));
    Ok(Made {
        files: sources,
        initrd: InputFile { path: PathBuf::from(NAME), bytes },
        room: Room::safe_of_capture(
            Some(&release),
            largest.unwrap_or(0),
            program.as_ref().map(Makedumpfile::files_len),
        ) + iommus::memory(files),
        warning: program.and_then(|program| too_old(files, &program.version)),
        target: found.target,
        node: found.disk.node(),
        notes,
        watchdogs,
        watchdog_notes,
        module_notes,
    })
}

/// The modules with the drivers of these watchdogs, and what /init can do about each. A watchdog
/// without a driver is no reason to arm nothing.
fn for_watchdogs(
    files: Files<'_>,
    index: &Index,
    watchdogs: &[Running],
) -> (Vec<String>, Vec<String>) {
    let (mut names, mut notes) = (Vec::new(), Vec::new());
    for Running { name, drivers } in watchdogs {
        let why_not = match drivers {
            None => "which driver it has is unknown".to_owned(),
            Some(drivers) => match modules::with_drivers(files, index, drivers) {
                Ok(modules) => {
                    names.extend(modules);
                    notes.push(format!("the watchdog {name} is running; /init will feed it"));
                    continue;
                }
                Err(_) => format!("Linux {} has no driver for it", index.release),
            },
        };
        notes.push(format!(
            "the watchdog {name} is running, and {why_not}: it may reset the machine before the \
             dump is complete"
        ));
    }
    (names, notes)
}

/// The target that an initrd would have that is made now.
pub fn target_now(root: &Path, place: &Place) -> Result<Target, Error> {
    target::find(Files::new(root), place).map(|found| found.target)
}

/// The watchdogs that the /init of an initrd would feed that is made now.
pub fn watchdogs_now(root: &Path) -> Vec<String> {
    watchdog::running(Files::new(root)).into_iter().map(|watchdog| watchdog.name).collect()
}

/// The modules of the target's filesystem, with what each is in messages.
fn filesystem(
    files: Files<'_>,
    found: &Found,
    index: &Index,
) -> Result<Vec<(&'static str, &'static str)>, Error> {
    let mut modules = Vec::new();
    match found.target {
        Target::Raw { .. } => {}
        Target::Directory { filesystem: Filesystem::Ext4, .. } => {
            modules.push(("filesystem", "ext4"));
            modules.extend(ext4::modules(files, &found.disk, index)?);
        }
        Target::Directory { filesystem: Filesystem::Xfs, .. } => {
            modules.push(("filesystem", "xfs"))
        }
    }
    Ok(modules)
}

/// What this version of makedumpfile does to the running kernel's dump.
fn too_old(files: Files<'_>, version: &str) -> Option<String> {
    let running = files.line("proc/sys/kernel/osrelease").unwrap_or_default();
    let is_too_old =
        version::has_new_page_types(&running) && version::is_before_new_page_types(version);
    is_too_old.then(|| version::keeps_free_pages(version, &running))
}

fn contents(archive: &[u8], modules: &[modules::Module], program: Option<&Makedumpfile>) -> String {
    let kib = archive.len().div_ceil(1024);
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let drivers = match names[..] {
        [] => "; the capture kernel has every driver built in".to_owned(),
        _ => format!(", with the modules {}", names.join(", ")),
    };
    let program = program.map_or(String::new(), |Makedumpfile { version, files, .. }| {
        format!("; makedumpfile {version} with {} libraries saves the dump", files.len() - 1)
    });
    format!("its initrd has {kib} KiB{drivers}{program}")
}

//! `[4]` The modules of the capture kernel that the target and the watchdogs need, dependencies
//! first.
//!
//! *On entry*
//! - the drivers that the running kernel uses, and the filesystem
//! - the capture kernel's release, and its modules below /lib/modules
//!
//! *On exit* paths of modules, in the order in which /init loads them; or which driver is missing.

mod index; // what depmod(8) wrote about them
mod pattern; // names of devices

use std::path::PathBuf;

use super::drivers::Bound;
use super::error::Modules as Error;
use crate::health::files::Files;
pub use index::{Index, underscored};

/// Where `uname -r` of the running kernel is, below the root.
const OSRELEASE: &str = "proc/sys/kernel/osrelease";

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with underscores for hyphens.
    pub name: String,
    /// Its file, from the root.
    pub path: PathBuf,
}

/// The modules with these drivers, without those that they depend on.
pub fn with_drivers(
    files: Files<'_>,
    index: &Index,
    drivers: &[Bound],
) -> Result<Vec<String>, Error> {
    let same_release = files.line(OSRELEASE).as_ref() == Some(&index.release);
    let mut wanted = Vec::new();
    for bound in drivers {
        wanted.extend(for_driver(index, bound, same_release)?);
    }
    Ok(wanted)
}

/// The modules that come `first`, and those for the target's drivers and filesystem, in the order
/// in which they are loaded. Those of the filesystem are by what each is in messages, and its name.
pub fn needed(
    files: Files<'_>,
    index: &Index,
    first: Vec<String>,
    drivers: &[Bound],
    filesystem: &[(&'static str, &str)],
) -> Result<Vec<Module>, Error> {
    let mut wanted = first;
    wanted.extend(with_drivers(files, index, drivers)?);
    for &(what, name) in filesystem {
        match (index.has(name), index.is_built_in(name)) {
            (true, _) => wanted.push(name.to_owned()),
            (false, true) => {}
            (false, false) => return Err(index.missing(what, name)),
        }
    }
    Ok(index.in_order(&wanted))
}

/// The modules with this driver. None if it is built in.
fn for_driver(index: &Index, bound: &Bound, same_release: bool) -> Result<Vec<String>, Error> {
    let by_alias = || {
        let alias = bound.modalias.as_deref();
        alias.map(|alias| index.matching(alias)).unwrap_or_default()
    };
    let Some(module) = &bound.module else {
        // The running kernel has it built in. Another kernel may have it as a module. If that has
        // neither, it has it built in, too, or cannot be told from a kernel without it.
        return Ok(if same_release { Vec::new() } else { by_alias() });
    };
    if index.has(module) {
        return Ok(vec![module.clone()]);
    }
    if index.is_built_in(module) {
        return Ok(Vec::new());
    }
    match by_alias() {
        found if found.is_empty() => Err(index.missing("driver", &bound.driver)),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests;

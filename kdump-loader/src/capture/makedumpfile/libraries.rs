//! `[5a]` The ELF interpreter and the libraries of a program, and of those libraries.
//!
//! *On entry* the program's path, and what it names. *On exit* every file that it needs, each at
//! the place where its interpreter finds it in the initrd, where there is no cache of ldconfig(8):
//! all libraries are in one directory, with the names by which they are asked for.
//!
//! Nothing is run, so /etc/ld.so.preload and the environment have no influence. Libraries for newer
//! CPUs (`glibc-hwcaps`) are left out: the ordinary ones do the same.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use capture_init::LIBRARIES_PATH;
use loader::files::read::{Content, Opened, all};

use super::elf::{self, Named};
use super::{Carried, LARGEST, LIBRARY, real, search};
use crate::capture::error::Makedumpfile as Error;
use crate::health::files::Files;

/// What a library is in messages.
const WHAT: &str = "library";
/// Stands for the directory of the file that names it, in both spellings (ld.so(8)).
const ORIGIN: [&str; 2] = ["$ORIGIN", "${ORIGIN}"];

/// The files that a program needs besides itself.
pub fn needed(files: Files<'_>, program: &Path, named: Named) -> Result<Vec<Carried>, Error> {
    let directories = search::directories(files);
    let mut carried = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    if let Some(path) = &named.interpreter {
        let missing = || Error::Missing {
            path: files.outside(program),
            library: path.clone(),
            searched: "that path".into(),
        };
        let (interpreter, _) = candidate(files, Path::new(path), path)?.ok_or_else(missing)?;
        // libc needs it by its name. It is there already.
        known.extend(Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()));
        carried.push(interpreter);
    }
    let mut open = VecDeque::from([(program.to_owned(), named)]);
    while let Some((path, named)) = open.pop_front() {
        for name in &named.libraries {
            if !known.insert(name.clone()) {
                continue;
            }
            let places = places(&path, &named, name, &directories);
            let found = places.iter().find_map(|place| {
                let found = candidate(files, place, &in_initrd(name)).transpose()?;
                Some(found.map(|(library, names)| (place, library, names)))
            });
            let Some((place, library, names)) = found.transpose()? else {
                let searched = places.iter().filter_map(|place| place.parent());
                let searched: Vec<_> = searched.map(|place| place.display().to_string()).collect();
                return Err(Error::Missing {
                    path: files.outside(&path),
                    library: name.clone(),
                    searched: searched.join(", "),
                });
            };
            open.push_back((real(files, place), names));
            carried.push(library);
        }
    }
    Ok(carried)
}

/// Where the library of this name may be, in ld.so's order.
fn places(needs: &Path, named: &Named, name: &str, directories: &[String]) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![name.into()];
    }
    let origin = needs.parent().unwrap_or(Path::new("/")).to_string_lossy();
    let own = named.directories.iter().map(|directory| {
        ORIGIN.iter().fold(directory.clone(), |path, word| path.replace(word, &origin))
    });
    // An empty one is the working directory, which is not the same after a panic.
    let own = own.filter(|directory| directory.starts_with('/'));
    own.chain(directories.iter().cloned())
        .map(|directory| Path::new(&directory).join(name))
        .collect()
}

/// The path in the initrd of a library that is asked for by this name.
fn in_initrd(name: &str) -> String {
    match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("{LIBRARIES_PATH}/{name}"),
    }
}

/// The file at `path`, if it is one that ld.so would take: it skips those of other machines.
fn candidate(
    files: Files<'_>,
    path: &Path,
    place: &str,
) -> Result<Option<(Carried, Named)>, Error> {
    if !path.is_absolute() || !files.exists(path) {
        return Ok(None);
    }
    let Content { input, identity, .. } =
        Opened::new(WHAT, &files.outside(path))?.read(all, LARGEST)?;
    let Some(named) = elf::read(&input.bytes) else { return Ok(None) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let carried = Carried {
        key: format!("{LIBRARY}{name}"),
        place: place.trim_start_matches('/').to_owned(),
        bytes: input.bytes,
        source: identity,
    };
    Ok(Some((carried, named)))
}

//! `[5a]` The program of `--makedumpfile`, which /init runs before the built-in filter.
//!
//! *On entry* its path, and the level of the dump. *On exit* its arguments and its files as /init
//! gets them: the program, its ELF interpreter and every library that it needs. If it cannot run
//! there, why.

mod elf; // what an ELF file names
mod libraries; // where those files are
mod search; // where ld.so looks for libraries
pub mod version; // what the program says of itself

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf, absolute};

use capture_init::MAKEDUMPFILE_PATH;
use loader::files::identity::FileIdentity;
use loader::files::read::{Content, Opened, all};

use super::error::Makedumpfile as Error;
use crate::health::files::Files;
use version::Compression;

/// The option's name, which is the program's key among the files that an image was made from.
pub const KEY: &str = "makedumpfile";
/// Before the name of each other file that it needs, in the same list.
pub const LIBRARY: &str = "library ";
/// Limit of a file, packed or not. Debian's libc has 2 MB.
const LARGEST: u64 = 64 << 20;
/// The bits with which a file can be executed.
const EXECUTABLE: u32 = 0o111;

/// The program, and all that it needs.
#[derive(Debug)]
pub struct Makedumpfile {
    /// Its version.
    pub version: String,
    /// Arguments before the two files.
    pub arguments: Vec<String>,
    /// The program first.
    pub files: Vec<Carried>,
}

/// A file of the initrd.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Its key among the files that an image was made from.
    pub key: String,
    /// Its path in the initrd, without a `/` at the beginning.
    pub place: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The file that it was read from.
    pub source: FileIdentity,
}

impl Makedumpfile {
    /// Bytes of its files.
    pub fn files_len(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }
}

/// Reads the program for a dump of this level.
pub fn read(files: Files<'_>, program: &Path, level: u8) -> Result<Makedumpfile, Error> {
    let path = absolute(program).map_err(|source| Error::Path { path: program.into(), source })?;
    let outside = files.outside(&path);
    let Content { input, identity, file } = Opened::new(KEY, &outside)?.read(all, LARGEST)?;
    let unreadable = |source: io::Error| Error::Path { path: outside.clone(), source };
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & EXECUTABLE == 0 {
        return Err(Error::NotExecutable { path: outside });
    }
    let Some(named) = elf::read(&input.bytes) else {
        return Err(Error::NotProgram { path: outside });
    };
    let Some(version) = version::of(&input.bytes) else {
        return Err(Error::Other { path: outside });
    };
    let needed = libraries::needed(files, &real(files, &path), named)?;
    let arguments = [Compression::best(&input.bytes).option(), "-d", &level.to_string()];
    let program = Carried {
        key: KEY.to_owned(),
        place: MAKEDUMPFILE_PATH.trim_start_matches('/').to_owned(),
        bytes: input.bytes,
        source: identity,
    };
    Ok(Makedumpfile {
        version,
        arguments: arguments.map(str::to_owned).to_vec(),
        files: [program].into_iter().chain(needed).collect(),
    })
}

/// The path without links, from which `$ORIGIN` counts.
fn real(files: Files<'_>, path: &Path) -> PathBuf {
    files.real_path(path).map_or_else(|_| path.to_owned(), |real| Path::new("/").join(real))
}

#[cfg(test)]
pub(super) mod example; // programs and libraries
#[cfg(test)]
mod tests;

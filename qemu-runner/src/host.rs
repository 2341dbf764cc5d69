//! Files and programs of the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::file("read", path))
}

/// Writes a file, in a directory that is made if necessary.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    make(path.parent().expect("a file is in a directory"))?;
    fs::write(path, bytes).map_err(Error::file("write", path))
}

/// Makes a directory if necessary.
pub fn make(directory: &Path) -> Result<(), Error> {
    fs::create_dir_all(directory).map_err(Error::file("make", directory))
}

/// Every file below a directory; links are not followed.
pub fn files_below(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::file("list", directory))? {
        let entry = entry.map_err(Error::file("list", directory))?;
        let kind = entry.file_type().map_err(Error::file("look at", &entry.path()))?;
        if kind.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Runs a program of the host, which must end with a status of at most `worst`.
pub fn succeed(command: &mut Command, worst: i32) -> Result<(), Error> {
    let output = command.output().map_err(Error::file("run", Path::new(command.get_program())))?;
    if output.status.code().is_some_and(|code| code <= worst) {
        return Ok(());
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    Err(Error::Host(format!("{command:?} ended with {}: {}", output.status, said.trim())))
}

//! The subcommands, one file each, and what they share: messages and data output, and how a request
//! is read.

mod error; // why a command failed
pub mod load;
pub mod unload;
pub mod kexec;
pub mod reload;
pub mod status;
pub mod last;
pub mod watch;
pub mod plan;
pub mod estimate;
pub mod test;
pub mod inspect;
pub mod snapshot;
pub mod service;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;

use crate::arm::write;
pub use error::Error;

/// The root of the live machine.
pub const LIVE: &str = "/";
/// Mode of a new file that the user asked for: pictures and metrics have no secrets.
const READABLE: u32 = 0o644;
/// The permission bits of a mode, without set-user-ID and its neighbors (inode(7)).
const PERMISSIONS: u32 = 0o777;

/// Prints data on standard output. A reader that has closed it (`| head`) is no error.
pub fn print(data: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output { path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// Version of the `--json` output. New keys do not change it.
pub const JSON_VERSION: u32 = 1;

/// Data with its version.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    data: &'a T,
}

impl<'a, T> Versioned<'a, T> {
    fn new(data: &'a T) -> Self {
        Self { version: JSON_VERSION, data }
    }
}

/// Data as JSON.
pub fn print_json(data: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(&Versioned::new(data))
        .expect("strings, integers and booleans always serialize");
    print(&(text + "\n"))
}

/// Writes a file that the user named: whole or not at all, and never through a link.
/// An existing file keeps its group and mode.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mode = fs::symlink_metadata(path)
        .map_or(READABLE, |found| found.permissions().mode() & PERMISSIONS);
    write::replace(path, bytes, mode)
        .map_err(|source| Error::Output { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;

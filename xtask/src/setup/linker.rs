//! A C linker and the static C library, which the loader is linked with so that it runs on any Linux.
//!
//! On exit: both are there. Unlike everything else they are not brought but asked for: rustc takes the machine's own.

use std::path::Path;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::command;

/// What rustc calls to link for Linux, unless the machine's configuration says otherwise.
const LINKER: &str = "cc";
/// What `+crt-static` links.
const LIBRARY: &str = "libc.a";
/// How Debian brings both.
const COMMAND: &str = "apt-get install gcc libc6-dev";

/// Fails if one is missing, with the command that brings it.
pub fn check(sh: &Shell) -> Result<()> {
    look(sh, LINKER)
}

fn look(sh: &Shell, linker: &str) -> Result<()> {
    if cmd!(sh, "{linker} --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        bail!("there is no C linker: `{linker}` cannot be run; install one: `{COMMAND}` (as root)");
    }
    // It prints the bare name if it does not find the file.
    let found = command::read(cmd!(sh, "{linker} -print-file-name={LIBRARY}"))?;
    if !Path::new(found.trim_end()).is_file() {
        bail!("there is no static C library: `{linker}` finds no {LIBRARY}; install it: `{COMMAND}` (as root)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_linker_is_answered_with_the_command_that_brings_it() {
        let error = look(&Shell::new().unwrap(), "/nonexistent/cc").unwrap_err().to_string();
        assert!(error.contains("no C linker") && error.contains(COMMAND), "{error}");
    }

    #[test]
    fn a_missing_static_library_is_answered_with_the_command_that_brings_it() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let (linker, library) = (dir.path().join("cc"), dir.path().join(LIBRARY));
        write(&linker, format!("#!/bin/sh\necho {}\n", library.display())).unwrap();
        set_permissions(&linker, Permissions::from_mode(0o755)).unwrap();
        let error = look(&sh, linker.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("no static C library") && error.contains(COMMAND), "{error}");
        write(&library, "").unwrap();
        look(&sh, linker.to_str().unwrap()).unwrap();
    }
}

//! A C linker and the static C library. With them, the loader becomes one executable for any Linux.
//!
//! * On exit: both are installed. Setup does not fetch them, because rustc uses the machine's own.

use std::path::Path;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::command;

/// rustc's linker for Linux, unless the machine's configuration names another.
const LINKER: &str = "cc";
/// The library that `+crt-static` links.
const LIBRARY: &str = "libc.a";
/// Installs both on Debian.
const COMMAND: &str = "apt-get install gcc libc6-dev";

/// Fails if one is missing, and names the command that installs it.
pub fn check(sh: &Shell) -> Result<()> {
    look(sh, LINKER)
}

fn look(sh: &Shell, linker: &str) -> Result<()> {
    if !command::is_installed(sh, linker) {
        bail!("no C linker: `{linker}` cannot be started; as root, run `{COMMAND}`");
    }
    // Without the file, the linker prints the bare name.
    let found = command::read(cmd!(sh, "{linker} -print-file-name={LIBRARY}"))?;
    if !Path::new(found.trim_end()).is_file() {
        bail!("no static C library: `{linker}` finds no {LIBRARY}; as root, run `{COMMAND}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_linker_is_reported_with_the_command_that_installs_it() {
        let error = look(&Shell::new().unwrap(), "/nonexistent/cc").unwrap_err().to_string();
        assert!(error.contains("no C linker") && error.contains(COMMAND), "{error}");
    }

    #[test]
    fn a_missing_static_library_is_reported_with_the_command_that_installs_it() {
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

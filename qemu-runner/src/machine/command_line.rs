//! QEMU's command line as text, for a shell.

use std::ffi::OsString;
use std::fmt;

use crate::assets::Qemu;

/// A command line that can be pasted into a shell.
pub struct CommandLine<'a> {
    pub qemu: &'a Qemu,
    pub arguments: &'a [OsString],
}

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "# {}", self.qemu.version)?;
        if let Some(path) = library_path(self.qemu) {
            write!(out, "LD_LIBRARY_PATH={} ", shell_words::quote(&path.to_string_lossy()))?;
        }
        write!(out, "{}", shell_words::quote(&self.qemu.program.to_string_lossy()))?;
        for argument in self.arguments {
            write!(out, " {}", shell_words::quote(&argument.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// The value of LD_LIBRARY_PATH that QEMU needs, if it needs one.
pub fn library_path(qemu: &Qemu) -> Option<OsString> {
    if qemu.library_path.is_empty() {
        return None;
    }
    Some(
        qemu.library_path
            .iter()
            .map(|path| path.as_os_str())
            .collect::<Vec<_>>()
            .join(":".as_ref()),
    )
}

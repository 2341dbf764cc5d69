//! makedumpfile 1.7.7 or newer, on this machine with its own libraries.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use qemu_runner::Context;
use qemu_runner::assets::GuestProgram;

use crate::repository::{Repository, explain};

/// Errors and the report (`ERROR_MSG` and `REPORT_MSG`, print_info.h of makedumpfile).
const MESSAGES: &str = "20";
/// The report's line (`print_report`, makedumpfile.c).
const FREE: &str = "Free pages";

pub struct Makedumpfile {
    program: GuestProgram,
    /// Debian's package and version.
    pub version: String,
}

impl Makedumpfile {
    /// Fetches it if it is missing.
    pub fn fetch(repo: &Repository) -> Result<()> {
        repo.xtask(&["setup", "--only", "new-makedumpfile"])
    }

    /// What was fetched before `context` was opened.
    pub fn find(context: &Context) -> Result<Self> {
        let program = context.new_makedumpfile().map_err(explain)?.clone();
        let version = program.version.clone();
        Ok(Self { program, version })
    }

    /// Filters a dump into a new one, compressed with zstd. Returns the free pages that it found.
    pub fn filter(&self, level: u32, from: &Path, to: &Path) -> Result<u64> {
        let mut line = self.line(level, from, to);
        let said = run(&mut line)?;
        free_pages(&said).with_context(|| format!("no count of free pages in: {said}"))
    }

    /// The same as a command that writes nothing.
    pub fn without_writing(&self, level: u32, from: &Path, to: &Path) -> Command {
        let mut line = self.line(level, from, to);
        line.arg("--dry-run");
        line
    }

    /// Writes the crashed kernel's log into a file.
    pub fn write_log(&self, from: &Path, to: &Path) -> Result<()> {
        run(self.program.on_host().args(["-f", "--dump-dmesg"]).arg(from).arg(to)).map(drop)
    }

    fn line(&self, level: u32, from: &Path, to: &Path) -> Command {
        let mut line = self.program.on_host();
        let level = level.to_string();
        line.args(["-f", "-z", "-d", &level, "--message-level", MESSAGES]).arg(from).arg(to);
        line
    }
}

/// What it says if it succeeds.
fn run(line: &mut Command) -> Result<String> {
    let output = line.output().with_context(|| format!("cannot start {line:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{line:?} failed ({}): {said}", output.status);
    Ok(said)
}

fn free_pages(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.trim().strip_prefix(FREE))?;
    let number = line.trim_start_matches([' ', ':']).trim();
    u64::from_str_radix(number.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of makedumpfile 1.7.8.
    #[test]
    fn count_of_free_pages_is_in_the_report() {
        let said = "Original pages  : 0x0000000000078bd4\n  Excluded pages   : 0x3b1\n    \
                    Free pages                    : 0x0000000000027964\n    Hwpoison pages : 0x0\n";
        assert_eq!(free_pages(said), Some(162_148));
        assert_eq!(free_pages("Free pages : many"), None);
    }
}

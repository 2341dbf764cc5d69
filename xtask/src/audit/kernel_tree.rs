//! Linux's drop-in, linked by a kernel tree's rules in place of the tree's own objects
//! (docs/linux-purgatory.md).
//!
//! * On entry: the object.
//! * On exit: `purgatory.ro` and `purgatory.chk`, linked as in arch/x86/purgatory/Makefile. The
//!   first is audited like the object. The second only proves that it links, as in the kernel.

use std::path::Path;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::drop_in;
use crate::build::drop_in::DropIn;
use crate::command;
use crate::repository::{Repository, read};

/// The directory of both, relative to the repository's root.
const DIRECTORY: &str = "target/drop-in/kernel-tree";

/// Links both and returns every violation. Without `ld`, prints that it skips this.
pub fn faults(sh: &Shell, repo: &Repository, drop_in: &DropIn) -> Result<Vec<String>> {
    if !command::is_installed(sh, "ld") {
        println!("kernel tree: skipped: ld is not installed");
        return Ok(Vec::new());
    }
    let directory = repo.root.join(DIRECTORY);
    sh.create_dir(&directory)?;
    let [ro, chk] = ["purgatory.ro", "purgatory.chk"].map(|name| directory.join(name));
    link(sh, &["-r"], &drop_in.object(repo), &ro)?;
    link(sh, &["--fatal-warnings"], &ro, &chk)?;
    drop_in::faults(&read(&ro)?, drop_in)
        .with_context(|| format!("cannot read {} as an object", ro.display()))
}

/// `LD` with the flags of both rules (`PURGATORY_LDFLAGS`) and of every link for x86-64
/// (`KBUILD_LDFLAGS`, arch/x86/Makefile).
fn link(sh: &Shell, more: &[&str], from: &Path, to: &Path) -> Result<()> {
    let flags =
        ["-m", "elf_x86_64", "-z", "noexecstack", "-e", "purgatory_start", "-z", "nodefaultlib"];
    command::read(cmd!(sh, "ld {flags...} {more...} {from} -o {to}")).map(drop)
}

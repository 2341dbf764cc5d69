//! Two builds of the same source, in different directories, make the same files.
//!
//! * On entry: the files built here.
//! * On exit: a copy of the source below `target/reproducible/` is built, and its files equal
//!   these, byte by byte. Both builds use this machine's compiler and core library.
//!   rust-toolchain.toml pins those of other machines.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::build;
use crate::build::drop_in::DROP_INS;
use crate::build::manifest;
use crate::command;
use crate::package;
use crate::repository::{Repository, read};

/// The copy, relative to the repository's root. Every path in it differs, and is longer.
const COPY: &str = "target/reproducible/the-same-source-in-another-directory";

/// The files to build twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The purgatory and the drop-ins: half a minute
    Purgatories,
    /// Everything in target/dist/MANIFEST: some minutes
    All,
}

/// Builds the copy and compares. Returns a line about the result.
pub fn prove(sh: &Shell, repo: &Repository, what: What) -> Result<String> {
    let copy = Repository { root: repo.root.join(COPY) };
    copy_source(sh, &repo.root, &copy.root)?;
    {
        let _there = sh.push_dir(&copy.root);
        match what {
            What::Purgatories => build::purgatory(sh, &copy)?,
            What::All => package::build(sh, &copy)?,
        }
    }
    let files: Vec<PathBuf> = match what {
        What::Purgatories => {
            let objects = DROP_INS.iter().map(|drop_in| drop_in.object(repo));
            [repo.purgatory_elf()].into_iter().chain(objects).collect()
        }
        What::All => {
            // `build` has removed older packages.
            package::build(sh, repo)?;
            manifest::shipped(repo)?
        }
    };
    for file in &files {
        let name =
            file.strip_prefix(repo.dist()).context("a file outside target/dist is shipped")?;
        same(file, &copy.dist().join(name))?;
    }
    Ok(format!(
        "reproducible: {} files are the same, byte for byte, when built in another directory",
        files.len()
    ))
}

/// Fails with the offset of the first difference, if two files differ.
fn same(one: &Path, other: &Path) -> Result<()> {
    let (first, second) = (read(one)?, read(other)?);
    if first == second {
        return Ok(());
    }
    let at = first.iter().zip(&second).take_while(|(one, other)| one == other).count();
    bail!(
        "{} ({} bytes) and {} ({} bytes), built from the same source, differ from {at:#x} on; \
         compare them with `cmp -l`",
        one.display(),
        first.len(),
        other.display(),
        second.len()
    )
}

/// Makes `to` a copy of the source, committed or not. Its `target` directory stays: cargo compares
/// the times of files, and those of the copy are new.
fn copy_source(sh: &Shell, from: &Path, to: &Path) -> Result<()> {
    sh.create_dir(to)?;
    for old in sh.read_dir(to)?.into_iter().filter(|path| !path.ends_with("target")) {
        sh.remove_path(old)?;
    }
    let archive = sh.create_temp_dir()?;
    let archive = archive.path().join("source.tar");
    command::read(cmd!(
        sh,
        "tar --create --file {archive} --exclude=target --exclude=.git --directory {from} ."
    ))?;
    command::read(cmd!(sh, "tar --extract --touch --file {archive} --directory {to}")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_reported_with_its_offset() {
        let sh = Shell::new().unwrap();
        let directory = sh.create_temp_dir().unwrap();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        sh.write_file(&one, "abcdef").unwrap();
        for (text, expected) in [("abcxef", "differ from 0x3 on"), ("abcdefg", "(7 bytes)")] {
            sh.write_file(&other, text).unwrap();
            assert!(same(&one, &other).unwrap_err().to_string().contains(expected));
        }
        same(&one, &one).unwrap();
    }

    #[test]
    fn the_copy_has_the_source_and_no_deleted_file() {
        let sh = Shell::new().unwrap();
        let directory = sh.create_temp_dir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        for path in ["src/a/b.rs", "target/x", ".git/x", "deep/target/x"] {
            sh.write_file(from.join(path), path).unwrap();
        }
        for path in ["src/gone.rs", "target/kept"] {
            sh.write_file(to.join(path), path).unwrap();
        }
        copy_source(&sh, &from, &to).unwrap();
        let is_there = |path: &&str| to.join(path).exists();
        let all = ["src/a/b.rs", "target/kept", "src/gone.rs", "target/x", ".git", "deep/target"];
        let there: Vec<_> = all.into_iter().filter(is_there).collect();
        assert_eq!(there, ["src/a/b.rs", "target/kept"]);
    }
}

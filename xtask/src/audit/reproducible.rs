//! The same source makes the same files, whatever directory it lies in.
//!
//! On entry: what was built in this directory. On exit: a copy of the source under `target/reproducible/`, built there, and its
//! files compared with these, byte by byte. The compiler and the core library are the same machine's; that others' are the same
//! is what `rust-toolchain.toml` is for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::Shell;

use crate::build;
use crate::build::drop_in::DROP_INS;
use crate::build::manifest;
use crate::package;
use crate::repository::Repository;

/// Where the copy lies, relative to the repository's root: deeper, so that every path in it is another, and longer.
const COPY: &str = "target/reproducible/the-same-source-in-another-directory";
/// What is not source.
const NOT_SOURCE: [&str; 2] = ["target", ".git"];

/// What is built twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The purgatory and the drop-ins: half a minute
    Purgatories,
    /// Everything in target/dist/MANIFEST: some minutes
    All,
}

/// Builds the copy and compares; returns what was found the same.
pub fn prove(sh: &Shell, repo: &Repository, what: What) -> Result<String> {
    let copy = Repository { root: repo.root.join(COPY) };
    copy_source(&repo.root, &copy.root)?;
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
            // `build` alone leaves none, since what an older one was made of may have changed.
            package::build(sh, repo)?;
            manifest::handed_out(repo)?
        }
    };
    for file in &files {
        let name = file.strip_prefix(repo.dist()).context("everything that is handed out lies in one directory")?;
        same(file, &copy.dist().join(name))?;
    }
    Ok(format!("reproducible: {} files are the same, byte for byte, when they are built in another directory", files.len()))
}

/// Fails and says where, if two files differ.
fn same(one: &Path, other: &Path) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (first, second) = (read(one)?, read(other)?);
    if first == second {
        return Ok(());
    }
    let at = first.iter().zip(&second).take_while(|(one, other)| one == other).count();
    bail!(
        "{} ({} bytes) and {} ({} bytes), built of the same source, differ from {at:#x} on: compare them with `cmp -l`",
        one.display(),
        first.len(),
        other.display(),
        second.len()
    )
}

/// Brings the copy up to date. What was built there before may stay: cargo goes by the times of the files, which are new.
fn copy_source(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    remove_source(to)?;
    copy(from, to)
}

/// Removes what was source once, so that nothing that is gone is built.
fn remove_source(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        if is_source(&entry) {
            let path = entry.path();
            let removed = if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let failed = || format!("cannot copy {} to {}", entry.path().display(), target.display());
        if entry.file_type()?.is_dir() {
            if is_source(&entry) {
                fs::create_dir_all(&target).with_context(failed)?;
                copy(&entry.path(), &target)?;
            }
        } else if is_source(&entry) {
            fs::copy(entry.path(), &target).with_context(failed)?;
        }
    }
    Ok(())
}

fn is_source(entry: &fs::DirEntry) -> bool {
    NOT_SOURCE.iter().all(|name| entry.file_name() != *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_are_told_with_where() {
        let directory = Shell::new().unwrap().create_temp_dir().unwrap();
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        fs::write(&one, "abcdef").unwrap();
        fs::write(&other, "abcdef").unwrap();
        same(&one, &other).unwrap();
        fs::write(&other, "abcxef").unwrap();
        assert!(same(&one, &other).unwrap_err().to_string().contains("differ from 0x3 on"));
        fs::write(&other, "abcdefg").unwrap();
        assert!(same(&one, &other).unwrap_err().to_string().contains("(7 bytes)"));
    }

    #[test]
    fn copy_has_the_source_and_nothing_that_is_gone() {
        let directory = Shell::new().unwrap().create_temp_dir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        for path in ["src/a/b.rs", "target/x", ".git/x", "deep/target/x"] {
            fs::create_dir_all(from.join(path).parent().unwrap()).unwrap();
            fs::write(from.join(path), path).unwrap();
        }
        for path in ["src/gone.rs", "target/kept"] {
            fs::create_dir_all(to.join(path).parent().unwrap()).unwrap();
            fs::write(to.join(path), path).unwrap();
        }
        copy_source(&from, &to).unwrap();
        let there = |path: &str| to.join(path).exists();
        assert!(there("src/a/b.rs") && there("target/kept"));
        assert!(!there("src/gone.rs") && !there("target/x") && !there(".git") && !there("deep/target"));
    }
}
